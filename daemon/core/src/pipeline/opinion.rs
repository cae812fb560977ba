//! What is thought of a pipeline's stream, for failover and for whoever asks.

use std::sync::Arc;

use tokio::sync::watch;

use super::Shared;
use crate::health::Standing;
use crate::port::Opinion;

impl Shared {
    /// How its health stands; none before the first verdict.
    pub fn standing(&self) -> Option<Arc<Standing>> {
        self.standing.load_full()
    }

    /// Where opinions on the stream go.
    pub fn judged(&self) -> watch::Sender<Opinion> {
        self.opinions.clone()
    }

    pub(super) fn opinions(&self) -> watch::Receiver<Opinion> {
        self.opinions.subscribe()
    }

    /// The score that a run has held; none for no opinion. What a monitor found of the run stays.
    pub(super) fn score(&self, run: u64, held: Option<u8>) {
        let score = held.map(u32::from);
        self.opinions.send_if_modified(|opinion| {
            let is_news = (opinion.run, opinion.score) != (run, score);
            if opinion.run != run {
                *opinion = Opinion { run, ..Opinion::default() };
            }
            opinion.score = score;
            is_news
        });
    }
}
