//! Problems of a configuration.
/// x
pub struct Problem;
/// x
pub struct Problems;
/// x
pub enum Severity {
    /// x
    Error,
}
