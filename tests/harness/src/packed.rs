//! Packed audio as RFC 8216, 3.4 wants it: ffmpeg writes bare ADTS, to which this adds the time of each segment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::listing::Listing;

/// How often the playlist of the encoder is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where the time of a transport stream of ffmpeg begins, on the clock of 90 kHz: after 1.4 s.
const BEGIN_90KHZ: u64 = 126_000;

/// The playing time of 1024 samples at 48 kHz.
const FRAME_90KHZ: u64 = 1920;

/// Stamps segments until it is dropped.
pub(crate) struct Stamping(JoinHandle<()>);

impl Drop for Stamping {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Stamping {
    /// Follows `raw.m3u8` of the encoder, with its segments `raw-N.aac`, and writes `audio.m3u8` with stamped
    /// segments `a-N.aac` beside it.
    pub(crate) fn start(directory: PathBuf) -> Self {
        Self(tokio::spawn(async move {
            let (mut next, mut time_90khz) = (0, BEGIN_90KHZ);
            loop {
                let playlist = std::fs::read_to_string(directory.join("raw.m3u8")).unwrap_or_default();
                let mut fresh = Listing::read(&playlist).entries;
                fresh.retain(|entry| entry.sequence >= next);
                for entry in &fresh {
                    let raw = std::fs::read(directory.join(&entry.uri)).unwrap();
                    let stamped = [&tag(time_90khz)[..], &raw].concat();
                    std::fs::write(directory.join(stamped_name(&entry.uri)), stamped).unwrap();
                    time_90khz += frames(&raw) * FRAME_90KHZ;
                    next = entry.sequence + 1;
                }
                if !fresh.is_empty() {
                    publish(&directory, &stamped_name(&playlist));
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }))
    }
}

fn stamped_name(text: &str) -> String {
    text.replace("raw-", "a-")
}

fn publish(directory: &Path, playlist: &str) {
    let fresh = directory.join("audio.new");
    std::fs::write(&fresh, playlist).unwrap();
    std::fs::rename(fresh, directory.join("audio.m3u8")).unwrap();
}

/// An ID3 tag with one PRIV frame that holds a time of the transport stream.
fn tag(time_90khz: u64) -> Vec<u8> {
    let content = [b"com.apple.streaming.transportStreamTimestamp\0", &time_90khz.to_be_bytes()[..]].concat();
    let size = u8::try_from(content.len()).unwrap();
    let frame = [b"PRIV\0\0\0", &[size][..], b"\0\0", &content].concat();
    let size = u8::try_from(frame.len()).unwrap();
    [b"ID3\x04\0\0\0\0\0", &[size][..], &frame].concat()
}

/// How many ADTS frames there are (ISO/IEC 13818-7, 6.2).
fn frames(mut bytes: &[u8]) -> u64 {
    let mut count = 0;
    while let [0xff, _, _, high, middle, low, ..] = bytes {
        let length = usize::from(high & 3) << 11 | usize::from(*middle) << 3 | usize::from(low >> 5);
        bytes = bytes.get(length.max(1)..).unwrap_or_default();
        count += 1;
    }
    count
}
