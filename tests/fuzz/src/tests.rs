//! The targets in small: everything that stands in `seeds`, among it what the fuzzer once found, and pieces of it.

use std::path::{Path, PathBuf};

use super::{TARGETS, run};
use proptest::prelude::*;

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    let entries = std::fs::read_dir(&folder).unwrap();
    let read = |path: PathBuf| (path.clone(), std::fs::read(path).unwrap());
    let mut seeds: Vec<_> = entries.map(|entry| read(entry.unwrap().path())).collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{} is empty", folder.display());
    seeds
}

#[test]
fn every_seed_keeps_the_properties_of_its_target() {
    for (target, _) in TARGETS {
        for (path, seed) in seeds(target) {
            eprintln!("{}", path.display());
            run(target, &seed);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn seeds_that_are_damaged_keep_them_too(
        at in any::<prop::sample::Index>(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        length in any::<prop::sample::Index>(),
    ) {
        for (target, _) in TARGETS {
            let (_, mut seed) = at.get(&seeds(target)).clone();
            for (place, byte) in &damages {
                let place = place.index(seed.len());
                seed[place] = *byte;
            }
            seed.truncate(length.index(seed.len()) + 1);
            run(target, &seed);
        }
    }
}
