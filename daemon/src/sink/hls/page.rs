//! The play page, and the player that it loads.

use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;

use super::rendered::gzip;

/// hls.js 1.7.4 (Apache-2.0), as published in its npm package, without the reference to its source map.
const PLAYER: &[u8] = include_bytes!("player/hls-1.7.4.min.js");
/// The name carries the version, so that it may be kept for ever.
pub(super) const PLAYER_NAME: &str = "hls-1.7.4.min.js";
const PAGE: &str = include_str!("player/page.html");

/// The player, compressed; none where compression failed.
pub(super) fn player_gzip() -> Option<Bytes> {
    static GZIP: OnceLock<Option<Bytes>> = OnceLock::new();
    let compress = || gzip(PLAYER, Compression::best()).ok();
    GZIP.get_or_init(compress).clone()
}

/// The player as it is.
pub(super) fn player() -> Bytes {
    Bytes::from_static(PLAYER)
}

/// The page for a pipeline. Its name holds letters, digits, dashes and slashes, and is escaped all the same.
pub(super) fn page(name: &str, is_low_latency: bool) -> String {
    let escaped = name.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let low_latency = if is_low_latency { "true" } else { "false" };
    PAGE.replace("{name}", &escaped).replace("{player}", PLAYER_NAME).replace("{low-latency}", low_latency)
}
