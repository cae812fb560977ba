//! Segments that are made into others take a processor for longer than those who share a thread can wait.

use std::sync::Arc;

use super::writer::{Outlet, Writer};
use crate::fault::{Fault, FaultKind};
use crate::health::Delivery;
use crate::media::Media;

impl Writer {
    /// As [`Writer::append_delivered`]: on a thread that may block where the segment is split or multiplexed first, which
    /// takes milliseconds for each megabyte.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub async fn append_whole(self: &Arc<Self>, media: Media, delivery: Delivery) -> Result<(), Fault> {
        if !matches!(&self.outlet, Outlet::Mapped(mapped, from) if mapped.remakes(*from)) {
            return self.append_delivered(media, delivery);
        }
        let writer = self.clone();
        let appended = tokio::task::spawn_blocking(move || writer.append_delivered(media, delivery)).await;
        appended.map_err(|error| Fault::new(FaultKind::Internal("multiplexing".into())).because(error))?
    }
}
