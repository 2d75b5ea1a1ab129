//! Small reads.

use std::collections::HashSet;

use crate::figures::Figures;
use crate::floor::Work;
use crate::stack::Stack;
use crate::target::Target;

const N_CALLS: usize = 2000;

/// A stack, as nearly every command asks for it.
pub fn stack(target: &Target, figures: &mut Figures) {
    let stack = Stack::create(target);
    let path = stack.path.clone();
    self::path(target, figures, &path);
    assert_eq!(target.client().call(&target.get(&path)).json()["stackName"], stack.name);
}

/// A path that answers a few bytes.
pub fn path(target: &Target, figures: &mut Figures, path: &str) {
    let mut client = target.client();
    let request = target.get(path);
    client.call(&request);
    figures.begin(target);
    for _ in 0..N_CALLS {
        figures.time(|| client.call(&request));
    }
    figures.end(target, N_CALLS);
    figures.work = Work::calls(1);
}

/// Pages of 100 of 10,000 stacks; every stack must be on one of them.
pub fn list(target: &Target, figures: &mut Figures) {
    const N_STACKS: usize = 10_000;
    const N_THREADS: usize = 16;
    std::thread::scope(|scope| {
        for _ in 0..N_THREADS {
            scope.spawn(|| (0..N_STACKS / N_THREADS).for_each(|_| drop(Stack::create(target))));
        }
    });
    let mut client = target.client();
    let (mut names, mut token) = (HashSet::new(), String::new());
    figures.begin(target);
    let mut n_pages = 0;
    loop {
        let path = format!("/api/user/stacks?organization={}&continuationToken={token}", target.org);
        let request = target.get(&path);
        let page = figures.time(|| client.call(&request)).json();
        n_pages += 1;
        let stacks = page["stacks"].as_array().expect("stacks");
        names.extend(stacks.iter().map(|stack| stack["stackName"].as_str().expect("a name").to_string()));
        match page["continuationToken"].as_str() {
            Some(next) => token = next.to_string(),
            None => break,
        }
    }
    figures.end(target, n_pages);
    figures.work = Work::calls(1);
    assert!(names.len() >= N_STACKS, "{} stacks on all pages", names.len());
}
