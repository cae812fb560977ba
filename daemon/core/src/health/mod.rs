//! The health of a stream: what was seen of its segments, what a scorer makes of it, and when that is news.
//!
//! The records mirror those of the plugins' contract (`plugin-sdk/wit`), and their JSON has its names: what the API shows
//! of a pipeline is what `sluice plugin test --input` reads.

mod legacy;
mod level;
mod milliseconds;
mod observation;
mod sample;
mod standing;
mod verdict;

pub use legacy::legacy_score;
pub use level::{Level, Limits, Settling};
pub use observation::{Delivery, Observation};
pub use sample::{MOST_OBSERVATIONS, Sample};
pub use standing::Standing;
pub use verdict::{Factor, MOST_FACTORS, REFRESH, Verdict};
