//! The warm connections to the server's own HTTP engine, and the queue for them.
//!
//! They are opened one after the other, each proven by a request, because the engine can lose connections that
//! arrive together; then they are kept. The first serves while the others are still being opened. A request has one to
//! itself until its answer has been read. One that rests is replaced by a new one, because the engine keeps the last
//! bytes that went over it.

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::awake::wait_readable_awake;
use super::limits::{ANSWER_AWAKE, LINK_REST, WAITING_PATIENCE};
use super::listener::Peer;
use super::refusal::Refusal;
use crate::error::Error;

/// Opens connections to the engine, never two at a time.
pub(super) struct Opener {
    path: PathBuf,
    probe: Vec<u8>,
    answer_deadline: Duration,
    opening: Mutex<()>,
}

impl Opener {
    pub fn new(path: &Path, probe_path: &str, answer_deadline: Duration) -> Arc<Opener> {
        let probe =
            format!("GET {probe_path} HTTP/1.1\r\nHost: gate\r\nX-Gate-Peer: unix\r\nX-Gate-Tls: 0\r\n\r\n");
        Arc::new(Opener {
            path: path.to_owned(),
            probe: probe.into_bytes(),
            answer_deadline,
            opening: Mutex::new(()),
        })
    }

    fn open(&self) -> io::Result<Link> {
        let _one_at_a_time = lock(&self.opening);
        let stream = UnixStream::connect(&self.path)?;
        stream.set_read_timeout(Some(self.answer_deadline))?;
        stream.set_write_timeout(Some(self.answer_deadline))?;
        let mut link = Link { stream, used: None };
        link.prove(&self.probe)?;
        Ok(link)
    }
}

/// One connection to the engine.
pub(super) struct Link {
    stream: UnixStream,
    /// When the last request on it ended.
    used: Option<Instant>,
}

impl Link {
    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Waits for the first bytes of an answer, for a little while.
    pub fn wait_awake(&self) {
        wait_readable_awake(self.stream.as_raw_fd(), ANSWER_AWAKE);
    }

    /// Reads once; the end of the stream is an error here.
    pub fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => return other,
            }
        }
    }

    /// Sends a probe and reads its whole answer, whatever it says.
    fn prove(&mut self, probe: &[u8]) -> io::Result<()> {
        self.write_all(probe)?;
        let mut reply = super::reply::Reply::new();
        let framing = reply.read_head(self, false)?;
        reply.read_to_end(self, framing)
    }
}

/// The free connections and the requests that wait for one.
pub(super) struct Pool {
    opener: Arc<Opener>,
    waiting_max: usize,
    waiting_per_address_max: usize,
    waiting_deadline: Duration,
    queue: Mutex<Queue>,
    /// Tells the resting thread that there is something to look after, if it did not know.
    stirred: Condvar,
}

#[derive(Default)]
struct Queue {
    free: Vec<Link>,
    waiting: Vec<Waiter>,
    /// Who has how many of the connections now; as short as there are connections.
    in_use: Vec<(Peer, usize)>,
    next_ticket: u64,
    /// The resting thread looks at them from time to time; while nothing has been asked it does not.
    is_watched: bool,
    is_closed: bool,
}

struct Waiter {
    ticket: u64,
    group: Peer,
    since: Instant,
    /// It has been told that there is a free one, and has not looked yet.
    is_called: bool,
    /// Gets a connection, or the word to look for one.
    hand: Sender<Option<Link>>,
}

impl Pool {
    /// Opens the first connection.
    pub fn open(
        opener: Arc<Opener>,
        waiting_max: usize,
        waiting_per_address_max: usize,
        waiting_deadline: Duration,
    ) -> Result<Arc<Pool>, Error> {
        let failed = |error| Error::internal("open a connection to the HTTP engine", error);
        let first = opener.open().map_err(failed)?;
        let queue = Mutex::new(Queue { free: vec![first], ..Queue::default() });
        let stirred = Condvar::new();
        Ok(Arc::new(Pool { opener, waiting_max, waiting_per_address_max, waiting_deadline, queue, stirred }))
    }

    /// Opens `n_links` more, one after the other, from a thread of its own: the first request does not wait for that.
    pub fn open_more(self: &Arc<Pool>, n_links: usize) -> Result<(), Error> {
        if n_links == 0 {
            return Ok(());
        }
        let pool = self.clone();
        let builder = std::thread::Builder::new().name("gate-open".into()).stack_size(128 * 1024);
        let opening = builder.spawn(move || (0..n_links).for_each(|_| pool.reopen()));
        opening.map(drop).map_err(|error| Error::internal("open connections to the HTTP engine", error))
    }

    /// A connection for one request, at once or after a wait in the queue.
    ///
    /// Errors: 503 when the queue is full, for all or for this address, or when the wait takes too long.
    pub fn borrow(self: &Arc<Pool>, group: Peer) -> Result<Borrowed, Refusal> {
        let link = match self.take_or_queue(group)? {
            Taken::Link(link) => link,
            Taken::Place(ticket, receiver) => self.wait(ticket, &receiver)?,
        };
        Ok(Borrowed { pool: self.clone(), group, link: Some(link) })
    }

    fn take_or_queue(&self, group: Peer) -> Result<Taken, Refusal> {
        let mut queue = lock(&self.queue);
        if let Some(link) = queue.free.pop() {
            queue.count_up(group);
            return Ok(Taken::Link(link));
        }
        let n_same = queue.waiting.iter().filter(|waiter| waiter.group == group).count();
        if queue.waiting.len() >= self.waiting_max
            || n_same >= self.waiting_per_address_max
            || queue.is_closed
        {
            return Err(Refusal::busy("Too many requests are waiting"));
        }
        let (hand, receiver) = unbounded();
        let ticket = queue.next_ticket;
        queue.next_ticket += 1;
        queue.waiting.push(Waiter { ticket, group, since: Instant::now(), is_called: false, hand });
        Ok(Taken::Place(ticket, receiver))
    }

    fn wait(&self, ticket: u64, receiver: &Receiver<Option<Link>>) -> Result<Link, Refusal> {
        let until = Instant::now() + self.waiting_deadline;
        loop {
            let word = receiver.recv_deadline(until);
            if let Ok(Some(link)) = word {
                return Ok(link);
            }
            let mut queue = lock(&self.queue);
            // A link may have been handed over since; under the lock none can be.
            if let Ok(Some(link)) = receiver.try_recv() {
                return Ok(link);
            }
            let at = queue
                .waiting
                .iter()
                .position(|waiter| waiter.ticket == ticket)
                .expect("in the queue until served");
            if let Some(link) = queue.free.pop() {
                let waiter = queue.waiting.remove(at);
                queue.count_up(waiter.group);
                return Ok(link);
            }
            if word.is_err() || queue.is_closed {
                queue.waiting.remove(at);
                return Err(Refusal::busy("No worker became free in time"));
            }
            queue.waiting[at].is_called = false;
        }
    }

    /// Offers a connection to whoever has waited longest among those whose address has the fewest.
    ///
    /// It is only offered, and a request that is just coming may be quicker: handing it over would leave it unused
    /// until a sleeping thread has woken, and halve what a busy server does. But not past `WAITING_PATIENCE`.
    fn put(&self, link: Link) {
        let mut queue = lock(&self.queue);
        let next = (0..queue.waiting.len())
            .filter(|at| !queue.waiting[*at].is_called)
            .min_by_key(|at| queue.n_in_use(queue.waiting[*at].group));
        match next {
            _ if queue.is_closed => {}
            None => queue.free.push(link),
            Some(at) if queue.waiting[at].since.elapsed() < WAITING_PATIENCE => {
                queue.waiting[at].is_called = true;
                queue.free.push(link);
                // The receiver lives until it has left the queue, which needs the lock.
                queue.waiting[at].hand.send(None).expect("a waiter in the queue is there");
            }
            Some(at) => {
                let waiter = queue.waiting.remove(at);
                queue.count_up(waiter.group);
                waiter.hand.send(Some(link)).expect("a waiter in the queue is there");
            }
        }
    }

    fn put_back(&self, mut link: Link, group: Peer) {
        link.used = Some(Instant::now());
        let is_news = {
            let mut queue = lock(&self.queue);
            queue.count_down(group);
            !std::mem::replace(&mut queue.is_watched, true)
        };
        self.put(link);
        if is_news {
            self.stirred.notify_one();
        }
    }

    /// The thread that replaces connections after `LINK_REST` without a request. It ends with `close`.
    pub fn start_resting(self: &Arc<Pool>) -> io::Result<JoinHandle<()>> {
        let pool = self.clone();
        let builder = std::thread::Builder::new().name("gate-rest".into()).stack_size(128 * 1024);
        builder.spawn(move || {
            while let Some(rested) = pool.next_rested() {
                for link in rested {
                    drop(link);
                    pool.reopen();
                }
            }
        })
    }

    /// What has rested long enough, after a wait; `None` at the end.
    fn next_rested(&self) -> Option<Vec<Link>> {
        let queue = lock(&self.queue);
        let is_still = |queue: &mut Queue| !queue.is_watched && !queue.is_closed;
        let queue = self.stirred.wait_while(queue, is_still).unwrap_or_else(PoisonError::into_inner);
        let waited = self.stirred.wait_timeout_while(queue, LINK_REST, |queue| !queue.is_closed);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let has_rested = |link: &mut Link| link.used.is_some_and(|used| used.elapsed() >= LINK_REST);
        let rested = queue.free.extract_if(.., has_rested).collect();
        queue.is_watched = !queue.in_use.is_empty() || queue.free.iter().any(|link| link.used.is_some());
        (!queue.is_closed).then_some(rested)
    }

    /// Replaces a connection that broke, from a thread of its own: the client must not wait for that.
    fn mend(self: &Arc<Pool>, group: Peer) {
        lock(&self.queue).count_down(group);
        let pool = self.clone();
        let builder = std::thread::Builder::new().name("gate-mend".into()).stack_size(128 * 1024);
        if builder.spawn(move || pool.reopen()).is_err() {
            log::error!("no thread to reopen a connection to the HTTP engine; doing it here");
            self.reopen();
        }
    }

    fn reopen(&self) {
        let mut pause = Duration::from_millis(20);
        while !lock(&self.queue).is_closed {
            match self.opener.open() {
                Ok(link) => return self.put(link),
                Err(_) if lock(&self.queue).is_closed => return,
                Err(error) => log::error!("the HTTP engine does not answer, trying again: {error}"),
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    pub fn n_free(&self) -> usize {
        lock(&self.queue).free.len()
    }

    pub fn n_waiting(&self) -> usize {
        lock(&self.queue).waiting.len()
    }

    /// Closes the connections that are free now, and the others when they come back; sends away who waits.
    pub fn close(&self) {
        let mut queue = lock(&self.queue);
        queue.is_closed = true;
        queue.free.clear();
        self.stirred.notify_all();
        for waiter in &queue.waiting {
            waiter.hand.send(None).expect("a waiter in the queue is there");
        }
    }
}

impl Queue {
    fn n_in_use(&self, group: Peer) -> usize {
        self.in_use.iter().find(|(peer, _)| *peer == group).map_or(0, |(_, n)| *n)
    }

    fn count_up(&mut self, group: Peer) {
        match self.in_use.iter_mut().find(|(peer, _)| *peer == group) {
            Some((_, n)) => *n += 1,
            None => self.in_use.push((group, 1)),
        }
    }

    fn count_down(&mut self, group: Peer) {
        if let Some((_, n)) = self.in_use.iter_mut().find(|(peer, _)| *peer == group) {
            *n -= 1;
        }
        self.in_use.retain(|(_, n)| *n > 0);
    }
}

enum Taken {
    Link(Link),
    Place(u64, Receiver<Option<Link>>),
}

/// A connection that belongs to one request. Dropped without `give_back`, it counts as broken.
pub(super) struct Borrowed {
    pool: Arc<Pool>,
    group: Peer,
    link: Option<Link>,
}

impl Borrowed {
    pub fn link(&mut self) -> &mut Link {
        self.link.as_mut().expect("only give_back and drop take it")
    }

    /// The answer has been read to its end: the connection is as good as new.
    pub fn give_back(mut self) {
        if let Some(link) = self.link.take() {
            self.pool.put_back(link, self.group);
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if self.link.take().is_some() {
            self.pool.mend(self.group);
        }
    }
}

/// A thread that panicked under one of these locks has left the data whole: each change is a single step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
