//! The start of the server, and its memory when nothing happens.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::deployment::{Deployment, Rng};
use crate::figures::{Figures, bytes};
use crate::floor::Work;
use crate::stack::Stack;
use crate::target::Target;

/// From the start of the process to its first answer, with about `data_mb` in the database.
pub fn run(target: &Target, figures: &mut Figures, data_mb: usize) {
    if !target.is_ours() {
        figures.notes.push("only our own server is started here".into());
        return;
    }
    let mut stack = Stack::create(target);
    let mut state = Deployment::new(&stack.name, 2, 1000);
    while (target.disk_bytes().unwrap_or(0) as usize) < data_mb * 1_000_000 {
        stack.reconnect();
        state = import_noise(&mut stack, 50);
    }
    let request = target.get(&stack.path);
    for _ in 0..10 {
        let first_answer = std::thread::scope(|scope| {
            let begun = target.while_stopped(Instant::now);
            // `while_stopped` returns once the server says that it listens; the clock ran since before its start.
            let answering = scope.spawn(|| first_answer(&target.address, &request));
            answering.join().expect("the first client");
            begun.elapsed()
        });
        figures.times.push(first_answer);
    }
    figures.work = Work::calls(1);
    figures.notes.extend(target.disk_bytes().map(|n| format!("{} of data", bytes(n))));
    if data_mb > 0 {
        stack.reconnect();
        stack.check(&state);
    }
}

fn first_answer(address: &str, request: &[u8]) {
    while TcpStream::connect(address).is_err() {
        std::thread::sleep(Duration::from_micros(100));
    }
    Client::connect(address).call(request);
}

/// Imports a state of `n_mb` that cannot be compressed by much.
fn import_noise(stack: &mut Stack, n_mb: usize) -> Deployment {
    let mut rng = Rng(stack.path.len() as u64
        ^ u64::from(std::process::id())
        ^ Instant::now().elapsed().subsec_nanos() as u64);
    let mut state = Deployment::new(&stack.name, 2 + n_mb * 10, 1000);
    for text in &mut state.resources[2..] {
        let noise: String = (0..6250).map(|_| format!("{:016x}", rng.next())).collect();
        text.insert_str(1, &format!(r#""noise":"{noise}","#));
    }
    stack.import(&state);
    state
}

/// A server that was asked once.
pub fn idle(target: &Target, figures: &mut Figures) {
    let mut client = target.client();
    figures.begin(target);
    client.call(&target.get("/api/user"));
    figures.end(target, 0);
}
