//! Random damage to requests, mostly where it is likely to mean something.

use super::random::Random;

/// What is likely to mean something.
const PIECES: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    "\0",
    "\u{e9}",
    ":",
    ",",
    "0",
    "99999999999999999999",
    "-1",
    "Content-Length: 7\r\n",
    "Content-Length: 999999999999\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip\r\n",
    "Host: x\r\n",
    "Connection: close\r\n",
    "Expect: 100-continue\r\n",
    "0\r\n\r\n",
    "GET / HTTP/1.1\r\n",
    "HTTP/2.0",
    "../..",
    "%00",
];

/// One of `requests`, damaged in up to three places.
pub fn damaged(requests: &[impl AsRef<[u8]>], random: &mut Random) -> Vec<u8> {
    let mut bytes = requests[random.below(requests.len())].as_ref().to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        let to = (at + random.below(20)).min(bytes.len());
        match random.below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..to)),
            2 => drop(bytes.splice(at..at, bytes[at..to].to_vec())),
            3 => drop(bytes.splice(at..at, random.pick(PIECES).bytes())),
            4 => drop(bytes.splice(at..to, random.pick(PIECES).bytes())),
            5 => bytes.insert(at, random.next() as u8),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    bytes
}
