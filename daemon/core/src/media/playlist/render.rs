//! Renders playlists.
