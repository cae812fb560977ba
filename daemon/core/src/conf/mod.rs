//! Reading configuration: a cursor over KDL that reports every problem at once.

mod node;
mod problem;
mod scalar;

pub use node::Node;
pub use problem::{Problem, Problems, Severity};
pub use scalar::{ByteSize, Scalar, Secret};
