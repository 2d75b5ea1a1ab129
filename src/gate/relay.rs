//! A whole request to the engine, and its answer to the client.
//!
//! An answer up to 1 MiB is read whole before the client gets a byte. A larger one goes through in pieces, as long
//! as the client takes them at memory speed; from the first piece that it does not, the rest is read into memory,
//! within half of the budget, so that the worker is free. Only when that is used up may a slow client hold a
//! worker, and at most a quarter of them at a time; any more of those are cut off (an answer cut short is an error
//! to every client, so nothing is misread).

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::Shared;
use super::canonical::{ClientFraming, Common, reply_head};
use super::connection::{Connection, End};
use super::limits::{
    KEPT_BUFFER_BYTES, ONE_WRITE_BYTES, RESPONSE_PIECE_BYTES, RESPONSE_PIECE_PATIENCE,
    RESPONSE_WHOLE_BYTES_MAX,
};
use super::refusal::Refusal;
use super::reply::ReplyFraming;
use super::upstream::Borrowed;

impl Connection {
    /// Has the engine answer the request in hand. `true` if another request may follow.
    pub(super) fn relay(&mut self) -> Result<bool, End> {
        let pool = if self.plan.is_health { &self.shared.health_pool } else { &self.shared.pool };
        let mut borrowed = pool.borrow(self.plan.group)?;
        let framing = self.ask(&mut borrowed).map_err(|error| self.broken(&error))?;
        self.share.clear();
        match framing {
            ReplyFraming::Empty => self.pass_on_empty(borrowed),
            ReplyFraming::Length(length) if length <= RESPONSE_WHOLE_BYTES_MAX as u64 => {
                self.pass_on_whole(borrowed, length as usize)
            }
            framing => self.pass_on_pieces(borrowed, framing),
        }
    }

    fn ask(&mut self, borrowed: &mut Borrowed) -> io::Result<ReplyFraming> {
        let link = borrowed.link();
        link.write_all(&self.request)?;
        if self.body.len() > ONE_WRITE_BYTES {
            link.write_all(&self.body)?;
        }
        link.wait_awake();
        let framing = self.reply.read_head(link, self.plan.is_head)?;
        if self.body.capacity() > KEPT_BUFFER_BYTES {
            self.body = Vec::new();
        }
        Ok(framing)
    }

    /// The connection to the engine failed under this request. Whether it was carried out is not known.
    fn broken(&mut self, error: &io::Error) -> End {
        self.reply.reset();
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                log::error!(
                    "no answer from the HTTP engine within {:?}",
                    self.shared.settings.answer_deadline
                );
                Refusal::new(504, "The server did not answer in time").into()
            }
            _ => {
                log::error!("lost a connection to the HTTP engine: {error}");
                Refusal::new(502, "The server lost the request").into()
            }
        }
    }

    fn pass_on_empty(&mut self, borrowed: Borrowed) -> Result<bool, End> {
        borrowed.give_back();
        // For HEAD the length is that of the body a GET would have; a 204 has none to speak of.
        let length = self.reply.length.filter(|_| self.plan.is_head && self.reply.status != 204);
        self.put_head(length.map_or(ClientFraming::Empty, ClientFraming::Length));
        self.send_out()
    }

    fn pass_on_whole(&mut self, mut borrowed: Borrowed, length: usize) -> Result<bool, End> {
        self.share.grow_anyway(length);
        self.put_head(ClientFraming::Length(length as u64));
        let n_all = self.out.len() + length;
        let mut framing = ReplyFraming::Length(length as u64);
        let read = self.reply.read_body(borrowed.link(), &mut framing, &mut self.out, n_all);
        read.map_err(|error| self.broken(&error))?;
        borrowed.give_back();
        self.send_out()
    }

    fn pass_on_pieces(&mut self, mut borrowed: Borrowed, mut framing: ReplyFraming) -> Result<bool, End> {
        let mut piece = Vec::new();
        let read = self.reply.read_body(borrowed.link(), &mut framing, &mut piece, RESPONSE_PIECE_BYTES);
        let is_all = read.map_err(|error| self.broken(&error))?;
        let client_framing = match (is_all, self.reply.length, self.plan.is_http_1_1) {
            (true, ..) => ClientFraming::Length(piece.len() as u64),
            (false, Some(length), _) => ClientFraming::Length(length),
            (false, None, true) => ClientFraming::Chunked,
            (false, None, false) => ClientFraming::Close,
        };
        self.plan.is_keep_alive &= client_framing != ClientFraming::Close;
        self.put_head(client_framing);
        self.pump(borrowed, framing, piece, is_all, client_framing == ClientFraming::Chunked)
    }

    /// Moves pieces from the engine to the client, then what has been kept back.
    fn pump(
        &mut self,
        mut borrowed: Borrowed,
        mut framing: ReplyFraming,
        mut piece: Vec<u8>,
        mut is_all: bool,
        is_chunked: bool,
    ) -> Result<bool, End> {
        let mut held = None;
        let mut is_slow = false;
        loop {
            put_piece(&mut self.out, &piece, is_chunked, is_all);
            is_slow = is_slow || !self.send_at_once()?;
            if is_all {
                break;
            }
            if is_slow && !self.share.grow_within_half(RESPONSE_PIECE_BYTES) {
                self.hold_worker(&mut held)?;
                is_slow = false;
            }
            piece.clear();
            let read = self.reply.read_body(borrowed.link(), &mut framing, &mut piece, RESPONSE_PIECE_BYTES);
            is_all = read.map_err(|error| {
                self.broken(&error);
                // The client has had the head: only the missing rest can tell it.
                End::Close
            })?;
        }
        borrowed.give_back();
        drop(held);
        self.send_out()
    }

    /// Sends what the client takes within the patience for a piece, and keeps the rest. `true` if it took all.
    fn send_at_once(&mut self) -> Result<bool, End> {
        let until = Instant::now() + RESPONSE_PIECE_PATIENCE;
        let mut n_sent = 0;
        while n_sent < self.out.len() {
            match self.transport.write(&self.out[n_sent..], until) {
                Ok(n) => n_sent += n,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => break,
                Err(_) => return Err(End::Close),
            }
        }
        self.out.drain(..n_sent);
        Ok(self.out.is_empty())
    }

    /// Lets a slow client hold a worker until it has taken what is in memory, if not too many do so already.
    fn hold_worker(&mut self, held: &mut Option<Held>) -> Result<(), End> {
        if held.is_none() {
            *held = Some(Held::take(&self.shared).ok_or(End::Close)?);
        }
        let pace = self.pace();
        self.transport.write_all(&self.out, pace).map_err(|_| End::Close)?;
        self.out.clear();
        self.share.clear();
        Ok(())
    }

    fn put_head(&mut self, framing: ClientFraming) {
        let persistence = self.persistence(self.may_follow());
        let Connection { out, reply, transport, shared, .. } = self;
        out.clear();
        let common = Common { fields: &shared.settings.common_fields, is_tls: transport.is_tls() };
        reply_head(out, reply, &common, framing, persistence);
    }

    fn send_out(&mut self) -> Result<bool, End> {
        let pace = self.pace();
        self.transport.write_all(&self.out, pace).map_err(|_| End::Close)?;
        Ok(self.may_follow())
    }
}

/// A worker held by a slow client, counted against those that may be.
struct Held {
    shared: Arc<Shared>,
}

impl Held {
    fn take(shared: &Arc<Shared>) -> Option<Held> {
        let fits = |n: usize| (n < shared.n_held_max).then_some(n + 1);
        if shared.n_held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
            log::warn!(
                "cut off a slow reader: the memory for bodies is in use and other slow readers hold workers"
            );
            return None;
        }
        Some(Held { shared: shared.clone() })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let n_held: &AtomicUsize = &self.shared.n_held;
        n_held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Appends a piece of a body, in the chunked coding or as it is.
fn put_piece(out: &mut Vec<u8>, piece: &[u8], is_chunked: bool, is_last: bool) {
    if !is_chunked {
        return out.extend_from_slice(piece);
    }
    if !piece.is_empty() {
        // Vec's Write cannot fail.
        let _ = write!(out, "{:x}\r\n", piece.len());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    }
    if is_last {
        out.extend_from_slice(b"0\r\n\r\n");
    }
}
