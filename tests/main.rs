//! End to end: the real binary, real origins, real players.

#[cfg(test)]
mod e2e;
