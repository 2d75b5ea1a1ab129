//! The seeds of the fuzz targets, and some damage to each: what a fuzzer has found stays found.

use std::fs;
use std::path::Path;

use crate::support::rng::Rng;

#[path = "../fuzz/targets.rs"]
mod targets;

/// Damaged copies of each seed.
const N_DAMAGED: u64 = 60;

#[test]
fn every_target_bears_its_corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let seeds: Vec<_> = fs::read_dir(corpus.join(name)).expect(name).collect();
        assert!(seeds.len() > 1, "{name} has a corpus");
        for entry in seeds {
            let path = entry.expect("an entry").path();
            let bytes = fs::read(&path).expect("a seed");
            println!("{}", path.display());
            target(&bytes);
            for seed in 0..N_DAMAGED {
                target(&damaged(&bytes, &mut Rng::new(seed)));
            }
        }
    }
}

fn damaged(bytes: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=rng.below(3) {
        let at = rng.below(bytes.len() + 1);
        let to = (at + rng.below(30)).min(bytes.len());
        match rng.below(5) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => drop(bytes.splice(at..at, bytes[at..to].to_vec())),
            3 => bytes.insert(at, rng.below(256) as u8),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.below(8);
                }
            }
        }
    }
    bytes
}
