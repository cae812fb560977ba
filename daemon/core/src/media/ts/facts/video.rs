//! What parameter sets tell of a video stream.

use std::num::NonZeroUsize;

use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::rbsp::{BitRead, BitReader, BitReaderError, ByteReader};

use super::super::keyframe::{AVC, HEVC};
use super::super::start_code::NalUnits;
use super::Video;
use super::gather::Stream;

/// A rate outside of these is not believed.
const FRAME_RATES: std::ops::RangeInclusive<f64> = 1.0..=300.0;

/// Reads the first sequence parameter set; `measured` is the frame rate by time stamps.
pub(super) fn read(stream: &Stream, measured: Option<f64>) -> Video {
    let units = || NalUnits::of(&stream.bytes).map(|nal| nal.bytes);
    let said = match stream.stream_type {
        AVC => units().filter(|nal| nal.first().is_some_and(|header| header & 0x1f == 7)).find_map(avc),
        HEVC => {
            units().filter(|nal| nal.first().is_some_and(|header| (header >> 1) & 0x3f == 33)).find_map(hevc)
        }
        _ => None,
    };
    let mut video = said.unwrap_or_default();
    video.frame_rate = video.frame_rate.or(measured).filter(|rate| FRAME_RATES.contains(rate));
    video.resolution = video.resolution.filter(|(width, height)| *width > 0 && *height > 0);
    video
}

fn avc(nal: &[u8]) -> Option<Video> {
    let [_, profile, constraints, level, ..] = nal else { return None };
    let codec = Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"));
    let bits = BitReader::new(ByteReader::skipping_h264_header(nal));
    // what cannot be read to its end still has a profile
    let Ok(set) = SeqParameterSet::from_bits(bits) else { return Some(Video { codec, ..Video::default() }) };
    let frame_rate = set.fps().filter(|rate| FRAME_RATES.contains(rate));
    Some(Video { codec, resolution: set.pixel_dimensions().ok(), frame_rate })
}

fn hevc(nal: &[u8]) -> Option<Video> {
    let skip = NonZeroUsize::new(2)?;
    let mut bits = BitReader::new(ByteReader::skipping_bytes(nal, skip));
    let (codec, layers) = profile_of(&mut bits).ok()?;
    let resolution = resolution_of(&mut bits, layers).ok();
    Some(Video { codec: Some(codec), resolution, frame_rate: None })
}

/// The codec (ISO/IEC 14496-15, annex E) from the head of a sequence parameter set (H.265, 7.3.2.2 and 7.3.3), and
/// the number of sub-layers below the highest.
fn profile_of(bits: &mut impl BitRead) -> Result<(String, u32), BitReaderError> {
    bits.skip(4, "sps_video_parameter_set_id")?;
    let layers: u32 = bits.read::<3, u32>("sps_max_sub_layers_minus1")?;
    bits.skip(1, "sps_temporal_id_nesting_flag")?;
    let space: u8 = bits.read::<2, u8>("general_profile_space")?;
    let is_high = bits.read_bit("general_tier_flag")?;
    let profile: u8 = bits.read::<5, u8>("general_profile_idc")?;
    let compatible: u32 = bits.read::<32, u32>("general_profile_compatibility_flags")?;
    let mut constraints = [0; 6];
    for byte in &mut constraints {
        *byte = bits.read::<8, u8>("general_constraint_flags")?;
    }
    let level: u8 = bits.read::<8, u8>("general_level_idc")?;
    let space = ["", "A", "B", "C"].get(usize::from(space)).copied().unwrap_or_default();
    let tier = if is_high { 'H' } else { 'L' };
    let mut codec = format!("hvc1.{space}{profile}.{:x}.{tier}{level}", compatible.reverse_bits());
    let significant = constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    for byte in &constraints[..significant] {
        codec.push_str(&format!(".{byte:x}"));
    }
    Ok((codec, layers))
}

fn resolution_of(bits: &mut impl BitRead, layers: u32) -> Result<(u32, u32), BitReaderError> {
    let mut present = Vec::new();
    for _ in 0..layers {
        present
            .push((bits.read_bit("sub_layer_profile_present")?, bits.read_bit("sub_layer_level_present")?));
    }
    if layers > 0 {
        bits.skip(2 * (8 - layers), "reserved_zero_2bits")?;
    }
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 }, "sub_layer")?;
    }
    bits.read_ue("sps_seq_parameter_set_id")?;
    let chroma = bits.read_ue("chroma_format_idc")?;
    if chroma == 3 {
        bits.skip(1, "separate_colour_plane_flag")?;
    }
    let width = bits.read_ue("pic_width_in_luma_samples")?;
    let height = bits.read_ue("pic_height_in_luma_samples")?;
    let mut crop = [0_u32; 4];
    if bits.read_bit("conformance_window_flag")? {
        for side in &mut crop {
            *side = bits.read_ue("conf_win_offset")?;
        }
    }
    let (across, down) = (if matches!(chroma, 1 | 2) { 2 } else { 1 }, if chroma == 1 { 2 } else { 1 });
    let [left, right, top, bottom] = crop;
    let less =
        |size: u32, a: u32, b: u32, unit: u32| size.saturating_sub(a.saturating_add(b).saturating_mul(unit));
    Ok((less(width, left, right, across), less(height, top, bottom, down)))
}
