//! The registry: every kind of source, buffer, sink and middleware that a configuration can name. A new kind is
//! one new file and one line here.

use sluice_core::buffer::BUFFERS;
use sluice_core::middleware::LAYERS;
use sluice_core::stage::Kinds;

use crate::{sink, source};

/// Every kind.
pub(crate) const KINDS: Kinds = Kinds {
    sources: &[
        source::hls::HLS,
        source::file::FILE,
        source::mpegts::MPEGTS,
        source::exec::EXEC,
        source::pipeline::PIPELINE,
    ],
    buffers: BUFFERS,
    sinks: &[sink::hls::HLS, sink::record::RECORD],
    layers: LAYERS,
};
