//! A live stream whose segments can be told from each other, moved on by a test or by the clock.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aes::Aes128;
use bytes::Bytes;
use cbc::Encryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};

use super::Answer;

/// The size of a transport stream packet, ISO/IEC 13818-1.
const PACKET: usize = 188;

/// A live media playlist with its segments. Segment number n is `NAME-n.ts`, whatever its media sequence.
pub struct Live {
    name: String,
    size: usize,
    state: Mutex<State>,
}

struct State {
    window: usize,
    target_secs: u64,
    duration: Duration,
    first_sequence: u64,
    discontinuity_sequence: u64,
    next_number: u64,
    listed: VecDeque<Listed>,
    key: Option<[u8; 16]>,
}

struct Listed {
    number: u64,
    discontinuity: bool,
}

/// Moves a stream on by the clock until it is dropped.
pub struct Ticking(tokio::task::JoinHandle<()>);

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Live {
    /// An empty stream with segments of 1 s and about 20 KB, of which 6 are listed.
    pub fn new(name: &str) -> Arc<Self> {
        Self::with_size(name, 100 * PACKET)
    }

    /// The same with segments of about `bytes`, rounded to whole packets.
    pub fn with_size(name: &str, bytes: usize) -> Arc<Self> {
        let state = State {
            window: 6,
            target_secs: 1,
            duration: Duration::from_secs(1),
            first_sequence: 0,
            discontinuity_sequence: 0,
            next_number: 0,
            listed: VecDeque::new(),
            key: None,
        };
        Arc::new(Self {
            name: name.to_owned(),
            size: bytes.next_multiple_of(PACKET),
            state: Mutex::new(state),
        })
    }

    /// Starts with so many segments.
    #[must_use]
    pub fn filled(self: Arc<Self>, segments: usize) -> Arc<Self> {
        (0..segments).for_each(|_| self.advance());
        self
    }

    /// Numbers the first segment so.
    #[must_use]
    pub fn from_sequence(self: Arc<Self>, sequence: u64) -> Arc<Self> {
        self.change(|state| state.first_sequence = sequence);
        self
    }

    /// Lists so many segments.
    #[must_use]
    pub fn window(self: Arc<Self>, segments: usize) -> Arc<Self> {
        self.change(|state| state.window = segments);
        self
    }

    /// Makes segments so long, in seconds.
    #[must_use]
    pub fn lasting(self: Arc<Self>, seconds: u64) -> Arc<Self> {
        self.change(|state| (state.target_secs, state.duration) = (seconds, Duration::from_secs(seconds)));
        self
    }

    /// Announces a longer target duration than its segments have, in seconds.
    #[must_use]
    pub fn targeting(self: Arc<Self>, seconds: u64) -> Arc<Self> {
        self.change(|state| state.target_secs = seconds);
        self
    }

    /// Protects segments by AES-128 with an IV that the playlist does not state: it is the media sequence number
    /// (RFC 8216, 5.2). Not for a stream that is restarted.
    #[must_use]
    pub fn encrypted(self: Arc<Self>, key: [u8; 16]) -> Arc<Self> {
        self.change(|state| state.key = Some(key));
        self
    }

    /// Adds a segment; the oldest leaves when the window is full.
    pub fn advance(&self) {
        self.add(false);
    }

    /// Adds a segment with a discontinuity before it.
    pub fn advance_with_discontinuity(&self) {
        self.add(true);
    }

    /// Starts anew at `sequence` with one new segment, as a packager does that was restarted.
    pub fn restart_at(&self, sequence: u64) {
        self.change(|state| {
            state.listed.clear();
            (state.first_sequence, state.discontinuity_sequence) = (sequence, 0);
        });
        self.advance();
    }

    /// Adds a segment now and then, until what this returns is dropped.
    #[must_use]
    pub fn ticking(self: &Arc<Self>, every: Duration) -> Ticking {
        let live = self.clone();
        Ticking(tokio::spawn(async move {
            let mut interval = tokio::time::interval(every);
            loop {
                interval.tick().await;
                live.advance();
            }
        }))
    }

    /// The number of the newest segment.
    pub fn newest(&self) -> u64 {
        self.change(|state| state.next_number) - 1
    }

    /// The bytes of a segment before any protection, the same each time.
    pub fn segment(&self, number: u64) -> Bytes {
        packets(&format!("{}-{number}", self.name), self.size)
    }

    /// The playlist now.
    pub fn playlist(&self) -> String {
        self.change(|state| {
            let mut text = format!(
                "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:{}\n",
                state.target_secs, state.first_sequence
            );
            if state.discontinuity_sequence > 0 {
                writeln!(text, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", state.discontinuity_sequence).unwrap();
            }
            text.push_str(state.key.map_or("", |_| "#EXT-X-KEY:METHOD=AES-128,URI=\"key\"\n"));
            for Listed { number, discontinuity } in &state.listed {
                text.push_str(if *discontinuity { "#EXT-X-DISCONTINUITY\n" } else { "" });
                let seconds = state.duration.as_secs_f64();
                write!(text, "#EXTINF:{seconds:.3},\n{}-{number}.ts\n", self.name).unwrap();
            }
            text
        })
    }

    /// The answer to a file of the stream's directory.
    pub(super) fn answer(&self, file: &str) -> Option<Answer> {
        if file == "index.m3u8" {
            let answer =
                Answer::text(self.playlist()).header("Content-Type", "application/vnd.apple.mpegurl");
            return Some(answer);
        }
        if file == "key" {
            return self.change(|state| state.key).map(|key| Answer::bytes(key.to_vec()));
        }
        let number = file.strip_prefix(&self.name)?.strip_prefix('-')?.strip_suffix(".ts")?.parse().ok()?;
        (number <= self.newest())
            .then(|| Answer::bytes(self.protected(number)).header("Content-Type", "video/mp2t"))
    }

    /// A segment as it is sent.
    fn protected(&self, number: u64) -> Bytes {
        let clear = self.segment(number);
        let sequence = |state: &State| state.next_sequence() - (state.next_number - number);
        let Some((key, sequence)) = self.change(|state| Some((state.key?, sequence(state)))) else {
            return clear;
        };
        let iv = u128::from(sequence).to_be_bytes();
        Encryptor::<Aes128>::new(&key.into(), &iv.into()).encrypt_padded_vec::<Pkcs7>(&clear).into()
    }

    fn add(&self, discontinuity: bool) {
        self.change(|state| {
            state.listed.push_back(Listed { number: state.next_number, discontinuity });
            state.next_number += 1;
            while state.listed.len() > state.window {
                let left = state.listed.pop_front();
                state.discontinuity_sequence += u64::from(left.is_some_and(|left| left.discontinuity));
                state.first_sequence += 1;
            }
        });
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }
}

impl State {
    /// The media sequence number that the next segment gets.
    fn next_sequence(&self) -> u64 {
        self.first_sequence + self.listed.len() as u64
    }
}

/// Transport stream packets of about `size` bytes, whose payload follows from `seed`.
pub fn packets(seed: &str, size: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(size);
    let mut word = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    for counter in (0..16_u8).cycle().take(size / PACKET) {
        // payload only, on PID 0x100
        bytes.extend_from_slice(&[0x47, 0x01, 0x00, 0x10 | counter]);
        for _ in 0..(PACKET - 4) / 8 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    }
    bytes.into()
}
