//! ffmpeg as an encoder that segments live.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aes::Aes128;
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use tempfile::TempDir;
use tokio::process::Command;

use crate::packed::Stamping;
use crate::process::{Ending, Process, program};
use crate::wait::eventually;

/// The key that protected streams use.
const KEY: [u8; 16] = *b"sixteen byte key";

/// Inputs, in real time.
const PICTURE: &str = "-re -f lavfi -i testsrc2=size=320x180:rate=25";
const SOUND: &str = "-re -f lavfi -i sine=frequency=440:sample_rate=48000";

/// One keyframe a second.
const H264: &str = "-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -threads 1 -g 25 \
                    -keyint_min 25 -sc_threshold 0";

/// Segments of 1 s that are cut at keyframes, of which six are listed.
const LIVE: &str = "-f hls -hls_time 1 -hls_list_size 6 -hls_flags independent_segments";

/// Segments of packed audio; the playlist and the names follow.
const PACKED: &str = "-f segment -segment_format adts -segment_time 1 -segment_list_type m3u8 \
                      -segment_list_size 6 -segment_list_flags +live -segment_list";

/// Leads to a video rendition and to its packed audio.
const PACKED_GROUP: &str = "#EXTM3U
#EXT-X-VERSION:4
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"tone\",DEFAULT=YES,AUTOSELECT=YES,URI=\"audio.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=500000,CODECS=\"avc1.42c00c,mp4a.40.2\",AUDIO=\"sound\"
video.m3u8
";

/// How segments are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// They are not.
    Clear,
    /// AES-128 (RFC 8216, 4.3.2.4).
    Aes128,
}

/// What is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ladder {
    /// H.264 and AAC in one transport stream.
    TransportStream(Protection),
    /// H.264 and AAC in one fragmented MP4.
    FragmentedMp4,
    /// Two variants of H.264 with one audio group.
    TwoVariants,
    /// AAC alone, as packed audio (RFC 8216, 3.4).
    PackedAudio,
    /// H.264 with an audio group of packed audio.
    PackedAudioGroup,
    /// H.264 and AAC with a group of WebVTT subtitles.
    Subtitles,
}

/// A live encoder: one segment a second, in real time, into a directory. It ends when this is dropped.
pub struct Encoder {
    process: Process,
    _stamping: Option<Stamping>,
    directory: TempDir,
    ladder: Ladder,
}

impl Encoder {
    /// Starts to encode, and returns when the playlist is there.
    pub async fn start(ladder: Ladder) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(program("ffmpeg", "ffmpeg"));
        command.current_dir(directory.path());
        command.args(words("-hide_banner -loglevel error"));
        match ladder {
            Ladder::TransportStream(protection) => {
                video_and_audio(&mut command);
                transport_stream(&mut command, directory.path(), protection);
            }
            Ladder::FragmentedMp4 => {
                video_and_audio(&mut command);
                command.args(words("-b:v 300k -hls_segment_type fmp4 -hls_fmp4_init_filename init.mp4"));
                command.args(words("-hls_segment_filename s%05d.m4s index.m3u8"));
            }
            Ladder::TwoVariants => {
                video_and_audio(&mut command);
                command.args(words("-map 0:v -map 0:v -map 1:a -b:v:0 300k -b:v:1 150k -s:v:1 160x90"));
                command.args(words("-master_pl_name index.m3u8 -var_stream_map"));
                command.arg("v:0,agroup:sound v:1,agroup:sound a:0,agroup:sound,language:en,default:yes");
                command.args(words("-hls_segment_filename r%v-%05d.ts r%v.m3u8"));
            }
            Ladder::PackedAudio => {
                command.args(words(SOUND));
                command
                    .args(words("-c:a aac -b:a 64k"))
                    .args(words(PACKED))
                    .args(words("index.m3u8 s%05d.aac"));
            }
            Ladder::PackedAudioGroup => packed_audio_group(&mut command, directory.path()),
            Ladder::Subtitles => subtitles(&mut command, directory.path()),
        }
        let process = Process::start("ffmpeg", &mut command, Ending::Kill);
        let stamping =
            (ladder == Ladder::PackedAudioGroup).then(|| Stamping::start(directory.path().to_owned()));
        let encoder = Self { process, _stamping: stamping, directory, ladder };
        let playlists: &[&str] = match ladder {
            Ladder::PackedAudioGroup => &["video.m3u8", "audio.m3u8"],
            Ladder::Subtitles => &["index.m3u8", "r0.m3u8", "r0_vtt.m3u8"],
            _ => &["index.m3u8"],
        };
        for playlist in playlists {
            let (what, path) = (format!("{playlist} of ffmpeg"), encoder.directory.path().join(playlist));
            eventually(&what, Duration::from_secs(20), async || path.exists().then_some(())).await;
        }
        encoder
    }

    /// Where it writes: `index.m3u8` and what that leads to.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The bytes of a file as they were before any protection; none while it is being written.
    pub fn clear(&self, name: &str) -> Option<Vec<u8>> {
        let bytes = std::fs::read(self.directory.path().join(name)).unwrap();
        if self.ladder != Ladder::TransportStream(Protection::Aes128) || !name.starts_with('s') {
            return Some(bytes);
        }
        decrypt(&bytes)
    }

    /// The segments and initialization sections, in order of name.
    pub fn files(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut media: Vec<PathBuf> = all
            .filter(|path| {
                path.extension()
                    .is_some_and(|kind| ["ts", "m4s", "mp4", "aac", "vtt"].iter().any(|own| kind == *own))
            })
            .collect();
        media.sort();
        media
    }

    /// How many streams of video and audio a player gets at once.
    pub fn media(&self) -> usize {
        if self.ladder == Ladder::PackedAudio { 1 } else { 2 }
    }

    /// How often a player's clock jumps without a loss: ffmpeg moves its own once, by a segment, when packed audio
    /// with time stamps joins a video, straight from nginx too.
    pub fn jumps(&self) -> usize {
        usize::from(self.ladder == Ladder::PackedAudioGroup)
    }

    /// Stops it where it stands: its playlist stays and does not move any more.
    pub fn pause(&self) {
        self.process.signal(nix::sys::signal::Signal::SIGSTOP);
    }

    /// What ffmpeg complained about.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// Inputs and encoding of H.264 with AAC, and segments of 1 s.
fn video_and_audio(command: &mut Command) {
    command.args(words(PICTURE)).args(words(SOUND)).args(words(H264)).args(words("-c:a aac -b:a 64k"));
    command.args(words(LIVE));
}

fn packed_audio_group(command: &mut Command, directory: &Path) {
    std::fs::write(directory.join("index.m3u8"), PACKED_GROUP).unwrap();
    command.args(words(PICTURE)).args(words(SOUND));
    command.args(words("-map 0:v")).args(words(H264)).args(words("-b:v 300k")).args(words(LIVE));
    command.args(words("-hls_segment_filename v%05d.ts video.m3u8"));
    command
        .args(words("-map 1:a -c:a aac -b:a 64k"))
        .args(words(PACKED))
        .args(words("raw.m3u8 raw-%05d.aac"));
}

fn subtitles(command: &mut Command, directory: &Path) {
    std::fs::write(directory.join("cues.srt"), cues()).unwrap();
    command.args(words(PICTURE)).args(words(SOUND)).args(words("-re -i cues.srt -map 0:v -map 1:a -map 2:s"));
    command.args(words(H264)).args(words("-b:v 300k -c:a aac -b:a 64k -c:s webvtt")).args(words(LIVE));
    command.args(words("-master_pl_name index.m3u8 -var_stream_map"));
    command.arg("v:0,a:0,s:0,sgroup:words,language:en");
    command.args(words("-hls_segment_filename r%v-%05d.ts r%v.m3u8"));
}

/// Two subtitles a second for half an hour, each of which differs from all others.
fn cues() -> String {
    let time = |ms: u32| {
        let (minutes, seconds) = (ms / 60_000, ms / 1000 % 60);
        format!("00:{minutes:02}:{seconds:02},{:03}", ms % 1000)
    };
    let cue = |at: u32| format!("{}\n{} --> {}\ncue {at}\n\n", at + 1, time(at * 500), time(at * 500 + 400));
    (0..3600).map(cue).collect()
}

fn transport_stream(command: &mut Command, directory: &Path, protection: Protection) {
    if protection == Protection::Aes128 {
        std::fs::write(directory.join("key"), KEY).unwrap();
        std::fs::write(directory.join("key.info"), "key\nkey\n").unwrap();
        command.args(words("-hls_key_info_file key.info"));
    }
    command.args(words("-b:v 300k -hls_segment_filename s%05d.ts index.m3u8"));
}

/// Decrypts a segment of a protected stream; none when it is not whole. ffmpeg states the IV of the first
/// segment, zero, for all.
fn decrypt(bytes: &[u8]) -> Option<Vec<u8>> {
    let cipher = Decryptor::<Aes128>::new(&KEY.into(), &[0; 16].into());
    cipher.decrypt_padded_vec::<Pkcs7>(bytes).ok()
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace()
}
