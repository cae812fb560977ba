use libmpegts::psi::Sections;
use proptest::prelude::*;

use super::super::testing::{AUDIO, Reading, Shape, VIDEO, is_continuous};
use super::*;

const FIRST: Pick = Pick::Audio { language: None, is_default: true };
const PMT: u16 = 0x1001;

fn split(pick: Pick, stream: &[u8], chunk: usize) -> Vec<u8> {
    let (mut split, mut output) = (Split::new(pick), Vec::new());
    for bytes in stream.chunks(chunk) {
        split.push(bytes, &mut output);
    }
    output
}

fn clocks(bytes: &[u8]) -> Vec<u64> {
    let packets = bytes.as_chunks().0.iter().map(TsPacketRef::from);
    packets.filter_map(|packet| packet.adaptation_field()?.pcr()).collect()
}

/// A PMT with one video stream and audio in these languages, from PID 0x200 on, behind a PAT.
fn tables(languages: &[&[u8; 3]]) -> Vec<u8> {
    let mut packets = Shape { frames: 1, ..Shape::default() }.build()[..PACKET_SIZE].to_vec();
    let audio = languages.iter().zip(0x200..).map(|(code, elementary_pid)| PmtStream {
        stream_type: 0x0f,
        elementary_pid,
        stream_descriptors: [&[LANGUAGE, 4][..], &code[..], &[0]].concat(),
    });
    let video = PmtStream { stream_type: 0x1b, elementary_pid: VIDEO, stream_descriptors: Vec::new() };
    append(
        &mut packets,
        PmtBuilder::build(PmtConfig {
            program_number: 1,
            pcr_pid: VIDEO,
            version: 0,
            program_descriptors: Vec::new(),
            streams: std::iter::once(video).chain(audio).collect(),
        }),
    );
    packets
}

fn append(packets: &mut Vec<u8>, sections: Sections) {
    let mut packetizer = PsiPacketizer::new(PMT);
    packetizer.set_sections(sections);
    let mut packet = [0; PACKET_SIZE];
    while packetizer.next(&mut packet) {
        packets.extend_from_slice(&packet);
    }
}

/// The PIDs that the last PMT announces.
fn announced(bytes: &[u8]) -> Vec<u16> {
    let (mut psi, mut pids) = (Psi::default(), Vec::new());
    for packet in bytes.as_chunks().0.iter().map(TsPacketRef::from).filter(|packet| packet.pid() == PMT) {
        psi.assemble(&packet);
        for map in psi.sections().iter().map(|section| PmtSectionRef::try_from(section).unwrap()) {
            pids = map.streams().map(|stream| stream.unwrap().elementary_pid()).collect();
        }
    }
    pids
}

#[test]
fn each_output_announces_what_it_carries_and_has_the_clock() {
    let stream = Shape::default().build();
    for (pick, pid) in [(Pick::Video, VIDEO), (FIRST, AUDIO)] {
        let output = split(pick, &stream, 1316);
        assert_eq!(announced(&output), [pid]);
        assert_eq!(clocks(&output), clocks(&stream));
        let pids: Vec<u16> =
            output.as_chunks().0.iter().map(|packet| TsPacketRef::from(packet).pid()).collect();
        assert_eq!(&pids[..2], [0, PMT], "it starts with the tables");
        let foreign = if pid == VIDEO { AUDIO } else { VIDEO };
        let carries = |packet: &[u8; PACKET_SIZE]| {
            let packet = TsPacketRef::from(packet);
            packet.pid() == foreign && packet.payload().is_some()
        };
        assert!(!output.as_chunks().0.iter().any(carries), "nothing of PID {foreign:#x}");
    }
}

#[test]
fn audio_is_chosen_by_language_whichever_code_the_stream_has() {
    for (language, is_default, expected) in [
        (Some("\"en\""), false, vec![0x201]),
        (Some("de"), true, vec![0x200]),
        (Some("fr"), true, vec![0x200]),
        (Some("fr"), false, vec![]),
        (None, true, vec![0x200]),
        (None, false, vec![]),
    ] {
        let output = split(Pick::audio(language, is_default), &tables(&[b"ger", b"eng"]), 999);
        assert_eq!(announced(&output), expected, "{language:?}, {is_default}");
    }
}

#[test]
fn a_table_over_several_packets_is_replaced_once() {
    let many = vec![b"eng"; 30];
    let stream = tables(&many);
    assert!(stream.len() > 2 * PACKET_SIZE, "{}", stream.len());
    let output = split(FIRST, &stream, 100);
    assert_eq!((output.len(), announced(&output)), (2 * PACKET_SIZE, vec![0x200]));
}

#[test]
fn a_radio_program_has_no_video() {
    let mut output = Vec::new();
    let has_media = Split::new(Pick::Video).push(&Shape { gop: 0, ..Shape::default() }.build(), &mut output);
    assert!(!has_media);
    assert!(announced(&output).is_empty());
}

#[test]
fn a_stream_that_is_joined_in_the_middle_begins_with_whole_access_units() {
    let stream = Shape { size: 3000, ..Shape::default() }.build();
    let whole = Reading::of(&stream);
    // behind the first packets of a video frame, where the tables are known from before
    let (mut split, mut output) = (Split::new(Pick::Video), Vec::new());
    split.push(&stream[..2 * PACKET_SIZE], &mut output);
    split.push(&stream[10 * PACKET_SIZE..], &mut output);
    let reading = Reading::of(&output);
    assert!(is_continuous(&output));
    assert!(whole.payload[&VIDEO].ends_with(&reading.payload[&VIDEO]));
    assert_eq!(reading.times[&VIDEO], whole.times[&VIDEO][1..]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn both_outputs_together_are_the_input_whatever_the_chunks(
        chunk in 1..3000_usize, gop in 1..30_u64, size in 1..900_usize, tables in 1..12_u64,
    ) {
        let stream = Shape { frames: 40, gop, size, tables, ..Shape::default() }.build();
        let whole = Reading::of(&stream);
        for (pick, pid) in [(Pick::Video, VIDEO), (FIRST, AUDIO)] {
            let output = split(pick, &stream, chunk);
            prop_assert!(is_continuous(&output));
            let reading = Reading::of(&output);
            prop_assert_eq!(reading.continuity_errors, 0);
            prop_assert_eq!(reading.payload.keys().collect::<Vec<_>>(), [&pid]);
            prop_assert_eq!(&reading.payload[&pid], &whole.payload[&pid]);
            prop_assert_eq!(&reading.times[&pid], &whole.times[&pid]);
            prop_assert_eq!(clocks(&output), clocks(&stream));
        }
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes in prop::collection::vec(prop_oneof![Just(0x47_u8), any::<u8>()], 0..2000)) {
        let mut stream = Shape { frames: 10, ..Shape::default() }.build();
        stream.extend(bytes);
        for pick in [Pick::Video, FIRST] {
            prop_assert_eq!(split(pick, &stream, 500).len() % PACKET_SIZE, 0);
        }
    }
}
