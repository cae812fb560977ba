//! What is new in a playlist: a pure state machine over the playlists that one poll after another brings.

use std::collections::VecDeque;
use std::time::Duration;

use sluice_core::media::playlist::{Entry, MediaPlaylist};
use tokio::time::Instant;

/// Missing segments up to this many become gaps, which keep renditions in step; beyond, the stream jumped.
const MOST_GAPS: u64 = 30;
/// How many segments are remembered, to tell an old copy of a playlist from a stream that started again.
const REMEMBERED: usize = 512;
/// How much is taken at a start: enough for a viewer to start at once.
const START_SPAN: Duration = Duration::from_secs(10);
const START_MOST: usize = 10;
const JOINING_MOST: usize = 3;

/// One place in the stream, in order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Counts the starts of the origin's numbering, so that numbers of different starts are not compared.
    pub(super) start: u32,
    /// The origin's number.
    pub(super) number: u64,
    /// How many discontinuities were passed.
    pub(super) era: u64,
    /// What to fetch; none where the origin skipped it.
    pub(super) entry: Option<Box<Entry>>,
}

/// Where a follower stands in its origin's playlist.
#[derive(Debug)]
pub(super) struct Cursor {
    next: u64,
    start: u32,
    era: u64,
    /// What is added to the origin's discontinuity sequence to give the era.
    era_offset: i128,
    known: VecDeque<(u64, String)>,
    went_back: Option<Instant>,
}

/// How much of a playlist a start takes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing is served yet: enough for a viewer to start at once.
    Fresh,
    /// Viewers follow a window already: a few, for many at once would push out what they play.
    Joining,
}

/// The number of the entry to start with: a live stream starts near its edge, one that has ended at its beginning.
pub(super) fn start_at(playlist: &MediaPlaylist, start: Start) -> u64 {
    let at = match start {
        _ if playlist.ended => 0,
        Start::Fresh => live_edge(playlist),
        Start::Joining => playlist.entries.len().saturating_sub(JOINING_MOST),
    };
    playlist.entries.get(at).map_or(playlist.media_sequence, |entry| entry.sequence)
}

/// Where the first entries to take begin: far enough from the end for [`START_SPAN`] and three target durations.
fn live_edge(playlist: &MediaPlaylist) -> usize {
    let wanted = START_SPAN.max(3 * playlist.target_duration);
    let mut span = Duration::ZERO;
    let mut at = playlist.entries.len();
    while at > 0 && span < wanted && playlist.entries.len() - at < START_MOST {
        at -= 1;
        span += playlist.entries[at].duration;
    }
    at
}

impl Cursor {
    /// Starts at the entry of this number. `era_zero` is the origin's discontinuity sequence at era 0, the same
    /// for every rendition.
    pub(super) fn new(number: u64, era_zero: u64) -> Self {
        let era_offset = -i128::from(era_zero);
        Self { next: number, start: 0, era: 0, era_offset, known: VecDeque::new(), went_back: None }
    }

    /// What `playlist` brings behind what was given out already. A playlist that went back is an old copy for
    /// up to three target durations, when its newest segment is known; else the stream started again.
    pub(super) fn advance(&mut self, playlist: &MediaPlaylist, now: Instant) -> Vec<Step> {
        let Some(last) = playlist.entries.last() else { return Vec::new() };
        let mut from = self.next;
        if last.sequence + 1 < self.next {
            let since = *self.went_back.get_or_insert(now);
            if self.knows(last) && now.duration_since(since) < 3 * playlist.target_duration {
                return Vec::new();
            }
            from = self.start_again(playlist, last);
        }
        self.went_back = None;
        let oldest = playlist.entries.first().map_or(0, |entry| entry.sequence);
        if oldest > from.saturating_add(MOST_GAPS) {
            from = self.start_again(playlist, last);
        }
        let mut steps: Vec<Step> = (from..oldest).map(|number| self.step(number, None)).collect();
        for entry in playlist.entries.iter().filter(|entry| entry.sequence >= from) {
            let era = self.era_offset + i128::from(entry.discontinuity_sequence);
            self.era = self.era.max(u64::try_from(era).unwrap_or(0));
            self.remember(entry);
            steps.push(self.step(entry.sequence, Some(Box::new(entry.clone()))));
        }
        self.next = last.sequence + 1;
        steps
    }

    /// A gap stands for `number` and everything before it: the follower gave it out on its own.
    pub(super) fn skip(&mut self, number: u64) {
        self.next = self.next.max(number + 1);
    }

    /// Numbers mean nothing any more: the stream goes on at the live edge, behind a discontinuity.
    fn start_again(&mut self, playlist: &MediaPlaylist, last: &Entry) -> u64 {
        let number = start_at(playlist, Start::Joining);
        let first = playlist.entries.iter().find(|entry| entry.sequence == number).unwrap_or(last);
        self.start += 1;
        self.era_offset = i128::from(self.era) + 1 - i128::from(first.discontinuity_sequence);
        self.known.clear();
        first.sequence
    }

    fn step(&self, number: u64, entry: Option<Box<Entry>>) -> Step {
        Step { start: self.start, number, era: self.era, entry }
    }

    fn knows(&self, entry: &Entry) -> bool {
        self.known.iter().any(|(number, path)| *number == entry.sequence && path == entry.url.path())
    }

    fn remember(&mut self, entry: &Entry) {
        if self.known.len() == REMEMBERED {
            self.known.pop_front();
        }
        // without the query, which often holds a token that changes
        self.known.push_back((entry.sequence, entry.url.path().to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::media::playlist::{Playlist, Variables, parse};
    use url::Url;

    use super::*;

    /// A playlist of two-second segments `{prefix}{number}.ts`, with discontinuities before some.
    fn playlist(prefix: &str, numbers: std::ops::Range<u64>, discontinuities: &[u64]) -> MediaPlaylist {
        let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:{}\n", numbers.start);
        for number in numbers {
            if discontinuities.contains(&number) {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            text.push_str(&format!("#EXTINF:2,\n{prefix}{number}.ts?token={number}\n"));
        }
        let base = Url::parse("https://origin.example/live/index.m3u8").unwrap();
        match parse(text.as_bytes(), &base, &Variables::default()).unwrap() {
            Playlist::Media(playlist) => playlist,
            Playlist::Multivariant(_) => panic!("multivariant"),
        }
    }

    fn numbers(steps: &[Step]) -> Vec<(u64, u64, bool)> {
        steps.iter().map(|step| (step.number, step.era, step.entry.is_some())).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_new_segment_is_given_out_once_and_in_order() {
        let mut cursor = Cursor::new(5, 0);
        let now = Instant::now();
        assert_eq!(numbers(&cursor.advance(&playlist("a", 3..7, &[]), now)), [(5, 0, true), (6, 0, true)]);
        assert_eq!(cursor.advance(&playlist("a", 3..7, &[]), now), []);
        assert_eq!(numbers(&cursor.advance(&playlist("a", 6..9, &[8]), now)), [(7, 0, true), (8, 1, true)]);
    }

    #[tokio::test(start_paused = true)]
    async fn skipped_segments_become_gaps_and_a_far_jump_a_discontinuity() {
        let mut cursor = Cursor::new(0, 0);
        let now = Instant::now();
        cursor.advance(&playlist("a", 0..3, &[]), now);
        let jumped = cursor.advance(&playlist("a", 5..7, &[]), now);
        assert_eq!(numbers(&jumped), [(3, 0, false), (4, 0, false), (5, 0, true), (6, 0, true)]);
        let far = cursor.advance(&playlist("a", 1000..1002, &[]), now);
        assert_eq!(numbers(&far), [(1000, 1, true), (1001, 1, true)]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_copy_is_passed_over_and_a_restart_is_a_discontinuity() {
        let mut cursor = Cursor::new(0, 0);
        cursor.advance(&playlist("a", 0..9, &[]), Instant::now());
        assert_eq!(cursor.advance(&playlist("a", 0..6, &[]), Instant::now()), [], "an old copy");
        assert_eq!(numbers(&cursor.advance(&playlist("a", 0..10, &[]), Instant::now())), [(9, 0, true)]);
        let again = cursor.advance(&playlist("b", 0..2, &[]), Instant::now());
        assert_eq!(numbers(&again), [(0, 1, true), (1, 1, true)], "other names: started again");
        assert_eq!(again[0].start, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_under_the_same_names_is_seen_when_the_old_copy_stays() {
        let mut cursor = Cursor::new(0, 0);
        cursor.advance(&playlist("a", 0..9, &[]), Instant::now());
        assert_eq!(cursor.advance(&playlist("a", 0..3, &[]), Instant::now()), []);
        tokio::time::advance(Duration::from_secs(6)).await;
        let again = cursor.advance(&playlist("a", 0..4, &[]), Instant::now());
        assert_eq!(numbers(&again), [(1, 1, true), (2, 1, true), (3, 1, true)]);
    }

    #[test]
    fn a_start_takes_ten_seconds_or_ten_segments_from_the_end() {
        assert_eq!(live_edge(&playlist("a", 0..20, &[])), 15);
        assert_eq!(live_edge(&playlist("a", 0..3, &[])), 0);
    }
}
