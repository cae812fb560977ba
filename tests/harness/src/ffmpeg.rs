//! ffmpeg as an encoder that segments live.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aes::Aes128;
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::{Ending, Process, program};
use crate::wait::eventually;

/// The key that protected streams use.
const KEY: [u8; 16] = *b"sixteen byte key";

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
}

/// A live encoder: one segment a second, in real time, into a directory. It ends when this is dropped.
pub struct Encoder {
    process: Process,
    directory: TempDir,
    ladder: Ladder,
}

impl Encoder {
    /// Starts to encode, and returns when the playlist is there.
    pub async fn start(ladder: Ladder) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(program("ffmpeg", "ffmpeg"));
        command.current_dir(directory.path());
        command.args(words("-hide_banner -loglevel error -re -f lavfi -i testsrc2=size=320x180:rate=25"));
        command.args(words("-re -f lavfi -i sine=frequency=440:sample_rate=48000"));
        command.args(words("-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -threads 1"));
        command.args(words("-g 25 -keyint_min 25 -sc_threshold 0 -c:a aac -b:a 64k"));
        command.args(words("-f hls -hls_time 1 -hls_list_size 6 -hls_flags independent_segments"));
        match ladder {
            Ladder::TransportStream(protection) => {
                transport_stream(&mut command, directory.path(), protection)
            }
            Ladder::FragmentedMp4 => {
                command.args(words("-b:v 300k -hls_segment_type fmp4 -hls_fmp4_init_filename init.mp4"));
                command.args(words("-hls_segment_filename s%05d.m4s index.m3u8"));
            }
            Ladder::TwoVariants => {
                command.args(words("-map 0:v -map 0:v -map 1:a -b:v:0 300k -b:v:1 150k -s:v:1 160x90"));
                command.args(words("-master_pl_name index.m3u8 -var_stream_map"));
                command.arg("v:0,agroup:sound v:1,agroup:sound a:0,agroup:sound,language:en,default:yes");
                command.args(words("-hls_segment_filename r%v-%05d.ts r%v.m3u8"));
            }
        }
        let process = Process::start("ffmpeg", &mut command, Ending::Kill);
        let encoder = Self { process, directory, ladder };
        let index = encoder.directory.path().join("index.m3u8");
        eventually("a playlist of ffmpeg", Duration::from_secs(20), async || index.exists().then_some(()))
            .await;
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
                path.extension().is_some_and(|kind| kind == "ts" || kind == "m4s" || kind == "mp4")
            })
            .collect();
        media.sort();
        media
    }

    /// What ffmpeg complained about.
    pub fn log(&self) -> String {
        self.process.log()
    }
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
