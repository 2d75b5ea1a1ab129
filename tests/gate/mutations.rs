//! Valid requests with random damage: whatever comes, the gate answers or closes, and nothing grows.

use pulumi_backend::gate::Settings;

use crate::support::client::Client;
use crate::support::damage::damaged;
use crate::support::process::GateProcess;
use crate::support::random::Random;

const N_REQUESTS: u64 = 10_000;
const N_THREADS: u64 = 4;

const REQUESTS: &[&str] = &[
    "GET /echo?a=b HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: pulumi-cli/1 (v3.256.0; linux)\r\nAccept: application/vnd.pulumi+9\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"name\":\"dev\"}",
    "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n",
    "PATCH /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "GET /secret HTTP/1.1\r\nHost: h\r\nAuthorization: token right\r\nConnection: keep-alive, x-y\r\nX-Y: z\r\n\r\n",
    "DELETE /no-body HTTP/1.0\r\nConnection: close\r\n\r\n",
    "GET /bytes/3000 HTTP/1.1\r\nHost: h\r\n\r\nGET /echo HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 16\r\n\r\n0123456789abcdefOPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
];

#[test]
fn ten_thousand_damaged_requests() {
    let test = "mutations::ten_thousand_damaged_requests";
    let Some(mut gate) = GateProcess::start(test, "", Settings::default()) else { return };
    let first_seed = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    // So that what is made once is made.
    send_all(&gate, 0, 100);
    let before = gate.usage();
    std::thread::scope(|scope| {
        for thread in 0..N_THREADS {
            let gate = &gate;
            scope.spawn(move || {
                send_all(gate, first_seed + thread * N_REQUESTS / N_THREADS, N_REQUESTS / N_THREADS)
            });
        }
    });
    gate.connect().get("/echo").expect(200);
    assert!(gate.usage().n_requests > 1000, "most of them are refused");
    gate.expect_back_at(before);
}

fn send_all(gate: &GateProcess, first_seed: u64, n: u64) {
    for seed in first_seed..first_seed + n {
        let request = damaged(REQUESTS, &mut Random::new(seed));
        let mut client = gate.connect();
        client.try_send(&request);
        client.end_sending();
        let statuses = statuses(&mut client);
        let shown = String::from_utf8_lossy(&request).into_owned();
        for status in statuses {
            let is_known = matches!(status, 100 | 200 | 400 | 401 | 413 | 414 | 417 | 431 | 501 | 505);
            assert!(is_known, "SEED={seed}: {status} to {shown:?}");
        }
    }
}

/// Of all answers, up to the end of the connection. Bodies are small and hold no status line.
fn statuses(client: &mut Client) -> Vec<u16> {
    let text = String::from_utf8_lossy(&client.read_to_end()).into_owned();
    let lines = text.match_indices("HTTP/1.1 ").filter(|(at, _)| *at == 0 || !text[..*at].ends_with(' '));
    lines.filter_map(|(at, _)| text.get(at + 9..at + 12)?.parse().ok()).collect()
}
