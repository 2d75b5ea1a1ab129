//! Exports in memory: each made once, and no more of them than there is room for.

use std::sync::atomic::{AtomicUsize, Ordering};

use pulumi_backend::cache::{ExportCache, Gzip};
use pulumi_backend::error::Error;

#[test]
fn an_export_that_many_ask_for_at_once_is_made_once() {
    let cache = ExportCache::new(1000);
    let n_made = AtomicUsize::new(0);
    let all_ask = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                all_ask.wait();
                let make = || {
                    n_made.fetch_add(1, Ordering::SeqCst);
                    Ok(Gzip::new(vec![7]))
                };
                assert_eq!(*cache.get_or_make(1, make).expect("an export"), [7]);
            });
        }
    });
    assert_eq!(n_made.into_inner(), 1);
}

#[test]
fn after_a_failure_another_makes_it() {
    let cache = ExportCache::new(1000);
    assert!(cache.get_or_make(1, || Err(Error::Busy)).is_err());
    assert_eq!(*cache.get_or_make(1, || Ok(Gzip::new(vec![7]))).expect("an export"), [7]);
}

#[test]
fn the_longest_unused_make_room() {
    let cache = ExportCache::new(10_000);
    let file = |n| move || Ok(Gzip::new(vec![n; 4000]));
    let none = || Err(Error::Busy);
    for n in [1, 2] {
        cache.get_or_make(n.into(), file(n)).expect("made");
    }
    assert_eq!(*cache.get_or_make(1, none).expect("kept"), [1; 4000]);
    cache.get_or_make(3, file(3)).expect("made");
    assert!(cache.get_or_make(2, none).is_err(), "the longest unused is gone");
    assert_eq!(*cache.get_or_make(1, none).expect("kept"), [1; 4000]);
    let large = || Ok(Gzip::new(vec![9; 6000]));
    cache.get_or_make(4, large).expect("made");
    assert!(cache.get_or_make(4, none).is_err(), "larger than half of the room");
}
