//! Many connections at once.

use std::time::Instant;

use crate::client::Client;
use crate::figures::Figures;
use crate::floor::Work;
use crate::stack::Stack;
use crate::target::Target;

/// 500 clients connect and ask before the first of them reads; times are from the first connect on.
pub fn many(target: &Target, figures: &mut Figures) {
    const N: usize = 500;
    let stack = Stack::create(target);
    let request = target.get(&stack.path);
    figures.begin(target);
    let started = Instant::now();
    let mut clients: Vec<Client> = Vec::with_capacity(N);
    for _ in 0..N {
        let mut client = target.client();
        client.send(&request);
        clients.push(client);
    }
    for client in &mut clients {
        let answer = client.receive();
        figures.times.push(started.elapsed());
        assert_eq!(answer.status, 200, "one of {N} clients was refused: {}", answer.text());
    }
    figures.end(target, N);
    figures.work = Work::calls(1);
    let last = started.elapsed();
    figures.notes.push(format!("last answer after {:.0} ms", last.as_secs_f64() * 1000.0));
}
