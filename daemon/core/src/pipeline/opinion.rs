//! What is thought of a pipeline's stream, for failover and for whoever asks.

use tokio::sync::watch;

use super::Shared;
use crate::port::Opinion;

impl Shared {
    /// Where opinions on the stream go.
    pub fn judged(&self) -> watch::Sender<Opinion> {
        self.opinions.clone()
    }

    pub(super) fn opinions(&self) -> watch::Receiver<Opinion> {
        self.opinions.subscribe()
    }
}
