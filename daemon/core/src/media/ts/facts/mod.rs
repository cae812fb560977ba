//! What a program holds, as far as players and operators want to know before they take it.

mod audio;
mod bitrate;
mod gather;
mod video;

use super::profile::median;
use super::tables::Tables;

/// What a program holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Its first video stream.
    pub video: Option<Video>,
    /// Its audio streams, in the order of the PMT.
    pub audio: Vec<Audio>,
    /// The bitrate in bits per second, without stuffing, measured by the clock of the program (PCR).
    pub bitrate_bps: Option<u64>,
}

/// A video stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Video {
    /// Its codec (RFC 6381), as `avc1.64001f`.
    pub codec: Option<String>,
    /// Width and height in pixels.
    pub resolution: Option<(u32, u32)>,
    /// Frames in a second, as the stream says, or else as measured.
    pub frame_rate: Option<f64>,
}

/// An audio stream.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Audio {
    /// Its codec (RFC 6381), as `mp4a.40.2`.
    pub codec: Option<String>,
    /// How many channels, where a frame tells.
    pub channels: Option<u8>,
    /// Its sampling rate in Hz.
    pub sample_rate_hz: Option<u32>,
    /// Samples in a frame.
    pub frame_samples: Option<u32>,
    /// Its language (ISO 639-2), as `deu`.
    pub language: Option<String>,
}

impl Facts {
    /// Reads them from packets, which should begin with a keyframe. `steps` are the distances of access units of the
    /// main stream in ticks of 90 kHz.
    pub(super) fn of(packets: &[u8], tables: &Tables, steps: &[i64]) -> Self {
        let Some(map) = tables.program_map() else { return Self::default() };
        let gathered = gather::streams(packets, &map);
        let mut facts = Self { bitrate_bps: bitrate::bitrate_bps(packets, map.pcr_pid()), ..Self::default() };
        for stream in &gathered {
            if stream.is_video && facts.video.is_none() {
                facts.video = Some(video::read(stream, measured(steps)));
            } else if !stream.is_video {
                facts.audio.push(audio::read(stream));
            }
        }
        facts
    }

    /// How long a frame of the first audio stream is: samples, and how many of them there are in a second.
    pub(super) fn audio_frame(&self) -> Option<(u32, u32)> {
        let audio = self.audio.first()?;
        Some((audio.frame_samples?, audio.sample_rate_hz?))
    }

    /// The attributes of EXT-X-STREAM-INF that follow (RFC 8216, 4.3.4.2), written as in a playlist. CODECS is left
    /// out unless every stream is known, because players take it at its word.
    pub fn attributes(&self) -> Vec<(String, String)> {
        let mut attributes = Vec::new();
        let video = self.video.iter().map(|video| &video.codec);
        let mut codecs: Vec<&String> = Vec::new();
        let known = video.chain(self.audio.iter().map(|audio| &audio.codec)).try_for_each(|codec| {
            let codec = codec.as_ref()?;
            if !codecs.contains(&codec) {
                codecs.push(codec);
            }
            Some(())
        });
        if known.is_some() && !codecs.is_empty() {
            let codecs = codecs.iter().map(|codec| codec.as_str()).collect::<Vec<_>>().join(",");
            attributes.push(("CODECS".to_owned(), format!("\"{codecs}\"")));
        }
        if let Some((width, height)) = self.video.as_ref().and_then(|video| video.resolution) {
            attributes.push(("RESOLUTION".to_owned(), format!("{width}x{height}")));
        }
        if let Some(rate) = self.video.as_ref().and_then(|video| video.frame_rate) {
            attributes.push(("FRAME-RATE".to_owned(), format!("{rate:.3}")));
        }
        attributes
    }
}

/// Frames in a second, by the mean of the steps that are near to the usual one.
fn measured(steps: &[i64]) -> Option<f64> {
    let usual = median(steps)?;
    let (sum, count) = steps
        .iter()
        .filter(|step| (**step - usual).abs() * 4 <= usual)
        .fold((0_i64, 0_u32), |(sum, count), step| (sum + step, count + 1));
    let sum = f64::from(u32::try_from(sum).ok()?);
    (sum > 0.0).then(|| f64::from(count) * 90_000.0 / sum)
}

#[cfg(test)]
mod tests;
