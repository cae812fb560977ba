//! decrypt
