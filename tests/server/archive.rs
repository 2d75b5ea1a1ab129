//! The file of a backup: whatever happens to it is noticed.

use crate::support::seed::{Rng, seeds};
use pulumi_backend::ops::backup::archive::{Archive, Manifest, pack};
use pulumi_backend::ops::backup::keep;
use pulumi_backend::ops::backup::name;
use pulumi_backend::pace::{Meter, Pace};
use pulumi_backend::store::backup::Facts;
use std::collections::BTreeMap;
use std::io::Cursor;

const N_FLIPS: usize = 10_000;
const N_TRUNCATIONS: usize = 1_000;

/// A database of this size, half of it like sealed bytes.
fn content(n_bytes: usize, rng: &mut Rng) -> Vec<u8> {
    (0..n_bytes).map(|i| if i % 2048 < 1024 { rng.next() as u8 } else { b'a' }).collect()
}

fn packed(content: &[u8]) -> Vec<u8> {
    let facts = Facts {
        schema_version: 1,
        counts: BTreeMap::from([("stacks".to_string(), 7)]),
        key_fingerprint: "0123456789abcdef".into(),
        audit_head: Some((3, vec![1, 2, 3])),
    };
    let mut file = Vec::new();
    let mut content = content;
    pack(&mut content, Manifest::new(facts, 1_800_000_000), &mut file, &mut Pace::full(Meter::default()))
        .expect("pack");
    file
}

fn unpacked(file: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let mut archive = Archive::read(Cursor::new(file)).ok()?;
    archive.unpack(&mut content, &mut Pace::full(Meter::default())).ok()?;
    Some(content)
}

#[test]
fn what_goes_in_comes_out() {
    let mut rng = Rng::new(1);
    for n_bytes in [0, 1, 4096, 1 << 20, (1 << 20) + 1, 3_000_000] {
        let content = content(n_bytes, &mut rng);
        assert!(unpacked(&packed(&content)) == Some(content), "{n_bytes} bytes");
    }
}

#[test]
fn every_flipped_byte_is_noticed() {
    let seed = seeds(1)[0];
    eprintln!("SEED={seed}");
    let mut rng = Rng::new(seed);
    let (small, large) = (content(8192, &mut rng), content(2_200_000, &mut rng));
    for (content, n_flips) in [(small, N_FLIPS), (large, 100)] {
        let mut file = packed(&content);
        assert!(unpacked(&file) == Some(content));
        for _ in 0..n_flips {
            let at = rng.below(file.len());
            let flip = rng.between(1, 255) as u8;
            file[at] ^= flip;
            assert!(unpacked(&file).is_none(), "byte {at} of {} changed by {flip:#x}", file.len());
            file[at] ^= flip;
        }
    }
}

#[test]
fn every_cut_and_every_addition_is_noticed() {
    let seed = seeds(1)[0];
    eprintln!("SEED={seed}");
    let mut rng = Rng::new(seed);
    let file = packed(&content(8192, &mut rng));
    for _ in 0..N_TRUNCATIONS {
        let n_bytes = rng.below(file.len());
        assert!(unpacked(&file[..n_bytes]).is_none(), "cut to {n_bytes} of {}", file.len());
    }
    for _ in 0..N_TRUNCATIONS {
        let at = rng.below(file.len() + 1);
        let longer = [&file[..at], &[rng.next() as u8], &file[at..]].concat();
        assert!(unpacked(&longer).is_none(), "a byte more at {at} of {}", file.len());
    }
}

#[test]
fn names_sort_by_time() {
    let early = name::make(1_795_283_400).expect("random bytes");
    let late = name::make(1_795_283_401).expect("random bytes");
    assert!(early < late && early.len() == late.len(), "{early} {late}");
    assert_eq!(name::time_of(&early), Some("20261121T175000Z"));
    assert_eq!(name::time_of("pulumi-backend-20261121T175000Z-1f2e3d4c.backup.part"), None);
    assert_eq!(name::time_of("mine.backup"), None);
    assert_eq!(name::parse_time("2026-11-21").expect("a day"), "20261121T235959Z");
    assert_eq!(name::parse_time("2026-11-21T17:50").expect("a minute"), "20261121T175059Z");
    assert_eq!(name::parse_time("2026-11-21T17:50:00Z").expect("a second"), "20261121T175000Z");
    assert!(name::parse_time("tomorrow").is_err() && name::parse_time("17:50").is_err());
}

#[test]
fn the_newest_good_backup_always_stays() {
    let name = |day: u32| format!("pulumi-backend-202611{day:02}T000000Z-00000000.backup");
    let names: Vec<String> = [9, 8, 7, 6, 5].map(name).into();
    let days = |n_keep, oldest: Option<u32>, good: &[u32]| -> Vec<u32> {
        let good: Vec<String> = good.iter().copied().map(name).collect();
        let good = good.iter().map(String::as_str).collect();
        let oldest = oldest.map(|day| format!("202611{day:02}T000000"));
        let old = keep::old(&names, &good, n_keep, oldest.as_deref());
        old.iter().map(|name| name[21..23].parse().expect("a day")).collect()
    };
    assert_eq!(days(Some(2), None, &[9, 8, 7, 6, 5]), [7, 6, 5]);
    assert_eq!(days(None, Some(7), &[9, 8, 7, 6, 5]), [6, 5]);
    assert_eq!(days(Some(1), None, &[6, 5]), [8, 7, 5], "6 is the newest good one");
    assert_eq!(days(Some(0), Some(30), &[9]), [8, 7, 6, 5]);
    assert!(days(Some(1), Some(30), &[]).is_empty(), "without a good one nothing goes");
}
