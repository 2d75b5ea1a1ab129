//! One client's connection, from its first byte to its close, on a thread of its own.
//!
//! Requests are taken one at a time: the next one is not looked at before the last one's answer is out. The
//! engine sees a request only when all of it is here, and gets its connection back before the client has read
//! the answer, so a slow client holds this thread and nothing else.

use std::io;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::awake::wait_readable_awake;
use super::budget::Share;
use super::buffer::Buffer;
use super::canonical::{ClientFraming, Common, Persistence, begin_request, finish_request, own_head};
use super::chunked::{Chunked, too_large};
use super::head::{Framing, Head, Parsed, Scan};
use super::limits::{
    KEPT_BUFFER_BYTES, ONE_WRITE_BYTES, READ_BUFFER_BYTES, REQUEST_AWAKE, RESPONSE_PIECE_BYTES,
};
use super::listener::Peer;
use super::rate::Rate;
use super::refusal::Refusal;
use super::reply::Reply;
use super::table::{Seat, group};
use super::transport::{Pace, Progress, Transport};
use super::{Admission, Answer, Shared};
use crate::memory;

pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) transport: Transport,
    seat: Arc<Seat>,
    peer: Peer,
    input: Buffer,
    parsed: Parsed,
    /// The engine's request: head, and the body too if that is small.
    pub(super) request: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) reply: Reply,
    /// What goes to the client next.
    pub(super) out: Vec<u8>,
    pub(super) share: Share,
    pub(super) plan: Plan,
    /// Set from the end of a request to the beginning of the next.
    idle_until: Option<Instant>,
    /// It has waited in the parking, or cannot.
    is_parked: bool,
}

/// What came of waiting for a request.
enum Waited {
    Request,
    /// Nothing yet, and it may be parked.
    Nothing,
    /// The client has ended the connection, the gate has, or the idle time is over.
    End,
}

/// What is known about the request in hand.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub is_head: bool,
    pub is_http_1_1: bool,
    pub is_keep_alive: bool,
    /// Nothing of the request is still to be read: the connection can go on whatever the answer.
    pub is_whole: bool,
    pub is_health: bool,
    /// Whom the queue counts the request for.
    pub group: Peer,
    framing: Framing,
    expects_continue: bool,
    body_bytes_max: usize,
}

/// Why an exchange ends before the engine's answer is out.
pub(super) enum End {
    /// There is nobody to talk to, or nothing to say.
    Close,
    Refuse(Refusal),
    Answer(Answer),
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> End {
        End::Refuse(refusal)
    }
}

impl Connection {
    pub fn new(shared: Arc<Shared>, seat: Arc<Seat>, peer: Peer) -> Connection {
        Connection {
            transport: Transport::new(seat.socket.clone()),
            share: Share::none(&shared.budget),
            shared,
            plan: Plan::unknown(seat.group),
            seat,
            peer,
            input: Buffer::new(),
            parsed: Parsed::default(),
            request: Vec::new(),
            body: Vec::new(),
            reply: Reply::new(),
            out: Vec::new(),
            idle_until: None,
            is_parked: false,
        }
    }

    /// Serves requests until the client, a deadline or a refusal ends it, or it is idle enough to be parked.
    pub fn serve(mut self) {
        if self.secure() {
            self.serve_on();
        }
    }

    /// Goes on after `secure`, or after a connection was parked.
    pub fn serve_on(mut self) {
        loop {
            match self.wait_for_request() {
                Waited::Request if self.exchange() => {}
                Waited::Request | Waited::End => return self.say_end(),
                Waited::Nothing => match self.park() {
                    Ok(()) => return,
                    // The whole of the idle time on this thread, then.
                    Err(connection) => self = *connection,
                },
            }
            self.share.clear();
            self.give_memory_back(KEPT_BUFFER_BYTES);
        }
    }

    /// Gives the connection away, with no more memory than it needs to wait.
    fn park(mut self) -> Result<(), Box<Connection>> {
        self.give_memory_back(0);
        self.transport.wipe();
        memory::wipe_stack();
        self.is_parked = true;
        let parking = self.shared.parking.clone();
        parking.park(Box::new(self))
    }

    /// Agrees on TLS, where that is spoken. Until it is done the connection may be closed for another one.
    fn secure(&mut self) -> bool {
        let Some(tls) = self.shared.settings.tls.clone() else { return true };
        self.shared.table.mark_idle(&self.seat);
        let until = Instant::now() + self.shared.settings.head_deadline;
        let secured = self.transport.secure(&tls, until);
        if matches!(secured, Ok(false)) {
            self.end(Refusal::new(400, "This is an HTTPS port: use https:// in the address").into());
        }
        // A handshake that failed has nobody to tell, beyond the alert.
        self.seat.mark_busy() && secured.unwrap_or(false)
    }

    /// Tells a client for whom there is no room, instead of serving it.
    pub fn turn_away(mut self) {
        if !self.secure() {
            return;
        }
        let until = Instant::now() + super::limits::LINGER_DEADLINE;
        let Connection { input, transport, .. } = &mut self;
        // A request is read first, if one comes: an answer that comes before the question is thrown away by some.
        if matches!(input.fill(READ_BUFFER_BYTES, |bytes| transport.read(bytes, until)), Ok(n) if n > 0) {
            self.end(End::Refuse(Refusal::busy("Too many connections")));
        }
    }

    /// Waits for the first byte of a request, as long as the idle deadline allows or until it may be parked.
    fn wait_for_request(&mut self) -> Waited {
        self.plan = Plan::unknown(self.seat.group);
        if !self.input.is_empty() {
            return Waited::Request;
        }
        let now = Instant::now();
        if self.idle_until.is_none() {
            self.idle_until = Some(now + self.shared.settings.idle_deadline);
            self.shared.table.mark_idle(&self.seat);
            wait_readable_awake(self.raw_fd(), REQUEST_AWAKE);
        }
        if self.shared.is_stopping.load(Ordering::SeqCst) {
            return Waited::End;
        }
        let until = if self.is_parked {
            self.idle_until()
        } else {
            self.idle_until().min(now + self.shared.settings.park_after)
        };
        match self.read(until) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut && until < self.idle_until() => {
                Waited::Nothing
            }
            Ok(n_read) if self.seat.mark_busy() && n_read > 0 => {
                self.idle_until = None;
                self.is_parked = false;
                Waited::Request
            }
            _ => Waited::End,
        }
    }

    /// One request and its answer. `true` if another may follow.
    fn exchange(&mut self) -> bool {
        match self.receive().and_then(|()| self.relay()) {
            Ok(may_follow) => may_follow,
            Err(end) => self.end(end),
        }
    }

    /// Reads a request: the head, what the server says about it, the body.
    fn receive(&mut self) -> Result<(), End> {
        let n_head = self.read_head()?;
        let admission = self.read_plan(n_head);
        self.input.consume(n_head);
        match admission? {
            Admission::Refuse(answer) => return Err(End::Answer(answer)),
            Admission::Accept { body_bytes_max } => self.plan.body_bytes_max = body_bytes_max,
        }
        if self.shared.budget.is_overdrawn() && !self.plan.is_health {
            return Err(no_memory().into());
        }
        self.read_body()?;
        self.plan.is_whole = true;
        finish_request(&mut self.request, self.plan.framing, self.body.len());
        if self.body.len() <= ONE_WRITE_BYTES {
            self.request.extend_from_slice(&self.body);
        }
        Ok(())
    }

    fn read_head(&mut self) -> Result<usize, End> {
        let bytes_max = self.shared.settings.head_bytes_max;
        let until = Instant::now() + self.shared.settings.head_deadline;
        let mut scan = Scan::default();
        loop {
            let unread = self.input.unread();
            match scan.look(&unread[..unread.len().min(bytes_max)])? {
                Some(n_head) => return Ok(n_head),
                None if unread.len() >= bytes_max => {
                    let why = format!("The request's head is larger than {bytes_max} bytes");
                    return Err(Refusal::new(431, why).into());
                }
                None => {}
            }
            match self.read(until) {
                Ok(0) => return Err(End::Close),
                Ok(_) => {}
                Err(error) => return Err(timed_out(&error, "The request's head did not arrive in time")),
            }
        }
    }

    /// Understands the head, begins the engine's request, and asks the server whether to go on.
    fn read_plan(&mut self, n_head: usize) -> Result<Admission, End> {
        let Connection { shared, input, parsed, request, plan, .. } = self;
        let text = std::str::from_utf8(&input.unread()[..n_head]).map_err(|_| End::Close)?;
        parsed.parse(text, &shared.settings)?;
        let proxies = &shared.settings.trusted_proxies;
        let head = Head {
            method: &text[parsed.method.clone()],
            target: &text[parsed.target.clone()],
            peer: proxies.origin(self.peer, text, parsed),
            is_tls: self.transport.is_tls() || proxies.is_tls(self.peer, text, parsed),
            text,
            fields: &parsed.fields,
        };
        *plan = Plan {
            is_head: head.method == "HEAD",
            is_http_1_1: parsed.is_http_1_1,
            is_keep_alive: parsed.is_keep_alive,
            is_whole: matches!(parsed.framing, Framing::Empty | Framing::Length(0)),
            is_health: shared.settings.health_paths.iter().any(|path| path == head.path()),
            group: group(head.peer),
            framing: parsed.framing,
            expects_continue: parsed.expects_continue,
            body_bytes_max: 0,
        };
        let is_over_rate = |rate: &Rate| !rate.allows(plan.group, Instant::now());
        if !plan.is_health && shared.rate.as_ref().is_some_and(is_over_rate) {
            return Err(Refusal::busy("Too many requests from this address").into());
        }
        begin_request(request, &head, parsed);
        let admission = catch_unwind(AssertUnwindSafe(|| (shared.admit)(&head)));
        admission.map_err(|_| Refusal::new(500, "Internal server error").into())
    }

    fn read_body(&mut self) -> Result<(), End> {
        self.body.clear();
        match self.plan.framing {
            Framing::Empty | Framing::Length(0) => Ok(()),
            Framing::Length(length) => {
                let fits = usize::try_from(length).ok().filter(|length| *length <= self.plan.body_bytes_max);
                let length = fits.ok_or_else(|| too_large(self.plan.body_bytes_max))?;
                self.read_length(length)
            }
            Framing::Chunked => self.read_chunked(),
        }
    }

    fn read_length(&mut self, length: usize) -> Result<(), End> {
        let bytes_max = self.shared.settings.bodies_bytes_max;
        if length > bytes_max {
            return Err(too_large(bytes_max).into());
        }
        if !self.share.grow(length) {
            return Err(no_memory().into());
        }
        // The machine may have less than the settings say.
        self.body.try_reserve_exact(length).map_err(|_| no_memory())?;
        self.say_continue()?;
        let n_ready = self.input.unread().len().min(length);
        self.body.extend_from_slice(&self.input.unread()[..n_ready]);
        self.input.consume(n_ready);
        let mut progress = Progress::new(self.pace());
        while self.body.len() < length {
            progress.has_moved(self.read_into_body(length, progress.until())?);
        }
        Ok(())
    }

    /// Reads once, straight to where the bytes belong.
    fn read_into_body(&mut self, length: usize, until: Instant) -> Result<usize, End> {
        let at = self.body.len();
        self.body.resize(length.min(at + RESPONSE_PIECE_BYTES), 0);
        let read = self.transport.read(&mut self.body[at..], until);
        self.body.truncate(at + *read.as_ref().unwrap_or(&0));
        check_body_read(read)
    }

    fn read_chunked(&mut self) -> Result<(), End> {
        self.say_continue()?;
        let mut chunked = Chunked::new();
        let mut n_taken = 0;
        let mut progress = Progress::new(self.pace());
        loop {
            let unread = self.input.unread();
            if self.body.len() + unread.len() > n_taken {
                // In steps, because the length is not known; doubled, as the memory behind it is.
                let n_step = (n_taken).max(KEPT_BUFFER_BYTES);
                self.share.grow(n_step).then_some(()).ok_or_else(no_memory)?;
                n_taken += n_step;
            }
            let n_used = chunked.feed(unread, &mut self.body, self.plan.body_bytes_max)?;
            self.input.consume(n_used);
            if chunked.is_at_end() {
                return Ok(());
            }
            let read = self.read_window(KEPT_BUFFER_BYTES, progress.until());
            progress.has_moved(check_body_read(read)?);
        }
    }

    /// A client that asked is told to send its body, unless it has begun to.
    fn say_continue(&mut self) -> Result<(), End> {
        if !self.plan.expects_continue || !self.input.is_empty() {
            return Ok(());
        }
        let pace = self.pace();
        self.transport.write_all(b"HTTP/1.1 100 Continue\r\n\r\n", pace).map_err(|_| End::Close)
    }

    /// Says why there is no answer from the engine. `true` if the connection can go on.
    fn end(&mut self, end: End) -> bool {
        let answer = match end {
            End::Close => return false,
            End::Answer(answer) => answer,
            End::Refuse(refusal) => self.shared.answer_to(&refusal),
        };
        let may_follow = self.plan.is_whole && self.may_follow();
        let persistence = self.persistence(may_follow);
        let Connection { out, transport, plan, shared, .. } = self;
        out.clear();
        let framing = ClientFraming::Length(answer.body.len() as u64);
        let common = Common { fields: &shared.settings.common_fields, is_tls: transport.is_tls() };
        own_head(out, answer.status, &answer.headers, &common, framing, persistence);
        if !plan.is_head {
            out.extend_from_slice(&answer.body);
        }
        let is_written = transport.write_all(out, self.shared.pace()).is_ok();
        if is_written && !may_follow {
            self.transport.linger();
        }
        is_written && may_follow
    }

    /// Whether the client and the gate both want another request on this connection.
    pub(super) fn may_follow(&self) -> bool {
        self.plan.is_keep_alive && !self.shared.is_stopping.load(Ordering::Relaxed)
    }

    pub(super) fn persistence(&self, may_follow: bool) -> Persistence {
        match (may_follow, self.plan.is_http_1_1) {
            (false, _) => Persistence::Close,
            (true, true) => Persistence::Implied,
            (true, false) => Persistence::Said,
        }
    }

    pub(super) fn pace(&self) -> Pace {
        self.shared.pace()
    }

    fn read(&mut self, until: Instant) -> io::Result<usize> {
        let n_unread = self.input.unread().len();
        let is_long = n_unread >= READ_BUFFER_BYTES;
        let window =
            if is_long { self.shared.settings.head_bytes_max.max(n_unread + 1) } else { READ_BUFFER_BYTES };
        self.read_window(window, until)
    }

    fn read_window(&mut self, n_bytes_max: usize, until: Instant) -> io::Result<usize> {
        let Connection { input, transport, .. } = self;
        input.fill(n_bytes_max, |bytes| transport.read(bytes, until))
    }

    fn give_memory_back(&mut self, kept_bytes_max: usize) {
        self.input.shrink(kept_bytes_max);
        self.reply.shrink(kept_bytes_max);
        for bytes in [&mut self.request, &mut self.body, &mut self.out] {
            if bytes.capacity() > kept_bytes_max {
                *bytes = Vec::new();
            }
        }
        if kept_bytes_max == 0 {
            self.parsed = Parsed::default();
        }
    }

    /// When nothing having been asked is too long.
    pub fn idle_until(&self) -> Instant {
        self.idle_until.unwrap_or_else(Instant::now)
    }

    pub fn key(&self) -> u64 {
        self.seat.id
    }

    pub fn raw_fd(&self) -> RawFd {
        self.seat.socket.raw_fd()
    }

    /// Tells the client that the end is meant.
    pub fn say_end(mut self) {
        self.transport.say_end();
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.table.leave(&self.seat);
    }
}

impl Plan {
    /// Before a head has been read, a refusal ends the connection.
    fn unknown(group: Peer) -> Plan {
        Plan {
            is_head: false,
            is_http_1_1: true,
            is_keep_alive: false,
            is_whole: false,
            is_health: false,
            group,
            framing: Framing::Empty,
            expects_continue: false,
            body_bytes_max: 0,
        }
    }
}

fn no_memory() -> Refusal {
    Refusal::busy("The memory for request bodies is in use")
}

fn check_body_read(read: io::Result<usize>) -> Result<usize, End> {
    match read {
        Ok(0) => Err(Refusal::malformed("the body ends before its end").into()),
        Ok(n_read) => Ok(n_read),
        Err(error) => Err(timed_out(&error, "The request's body did not arrive in time")),
    }
}

fn timed_out(error: &io::Error, sentence: &str) -> End {
    match error.kind() {
        io::ErrorKind::TimedOut => Refusal::new(408, sentence).into(),
        _ => End::Close,
    }
}
