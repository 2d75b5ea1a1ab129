//! Who is connected: the caps, in all and per address, and which connection has been idle longest.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, Shutdown};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::listener::{Peer, Socket};
use super::upstream::lock;

const BUSY: u64 = 0;
const EVICTED: u64 = u64::MAX;

/// All connections that have a thread.
pub(super) struct Table {
    connections_max: usize,
    per_address_max: usize,
    started: Instant,
    seats: Mutex<Seats>,
}

#[derive(Default)]
struct Seats {
    next_id: u64,
    by_id: HashMap<u64, Arc<Seat>>,
    by_group: HashMap<Peer, usize>,
}

/// One connection's place in the table.
pub(super) struct Seat {
    pub id: u64,
    pub group: Peer,
    pub socket: Arc<Socket>,
    /// `BUSY`, `EVICTED`, or the nanosecond since when nothing has been asked, plus one.
    idle_since: AtomicU64,
}

impl Table {
    pub fn new(connections_max: usize, per_address_max: usize) -> Table {
        Table { connections_max, per_address_max, started: Instant::now(), seats: Mutex::default() }
    }

    /// A place for a new connection, if need be that of the one that has been idle longest.
    ///
    /// At the address's own cap (if it `is_capped`) only an idle connection of the same address makes room.
    pub fn seat(&self, socket: &Arc<Socket>, peer: Peer, is_capped: bool) -> Option<Arc<Seat>> {
        let group = group(peer);
        let mut seats = lock(&self.seats);
        let n_same = seats.by_group.get(&group).copied().unwrap_or(0);
        if is_capped && group != Peer::Local && n_same >= self.per_address_max {
            seats.evict_longest_idle(|seat| seat.group == group).then_some(())?;
        }
        if seats.by_id.len() >= self.connections_max {
            seats.evict_longest_idle(|_| true).then_some(())?;
        }
        Some(seats.insert(group, socket.clone()))
    }

    /// A place that is in no count, for a connection that is only turned away.
    pub fn seat_outside(&self, socket: Arc<Socket>, peer: Peer) -> Arc<Seat> {
        Arc::new(Seat { id: 0, group: group(peer), socket, idle_since: AtomicU64::new(BUSY) })
    }

    /// The connection is over. One that was evicted has left the table already.
    pub fn leave(&self, seat: &Seat) {
        lock(&self.seats).remove(seat.id);
    }

    pub fn len(&self) -> usize {
        lock(&self.seats).by_id.len()
    }

    pub fn n_idle(&self) -> usize {
        lock(&self.seats).by_id.values().filter(|seat| seat.is_idle()).count()
    }

    /// From now on the connection may be closed for another one.
    pub fn mark_idle(&self, seat: &Seat) {
        let nanos = self.started.elapsed().as_nanos() as u64 + 1;
        // One that was evicted meanwhile stays so.
        let _ = seat.idle_since.compare_exchange(BUSY, nanos, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Ends every idle connection; with `is_all`, every one.
    pub fn shut_down(&self, is_all: bool) {
        for seat in lock(&self.seats).by_id.values() {
            if seat.evict() || is_all {
                seat.socket.shutdown(Shutdown::Both);
            }
        }
    }
}

impl Seats {
    fn insert(&mut self, group: Peer, socket: Arc<Socket>) -> Arc<Seat> {
        self.next_id += 1;
        let seat = Arc::new(Seat { id: self.next_id, group, socket, idle_since: AtomicU64::new(BUSY) });
        self.by_id.insert(seat.id, seat.clone());
        *self.by_group.entry(group).or_default() += 1;
        seat
    }

    fn remove(&mut self, id: u64) {
        let Some(seat) = self.by_id.remove(&id) else { return };
        if let Some(n) = self.by_group.get_mut(&seat.group) {
            *n -= 1;
            if *n == 0 {
                self.by_group.remove(&seat.group);
            }
        }
    }

    /// Linear in the connections, but only when the house is full.
    fn evict_longest_idle(&mut self, is_candidate: impl Fn(&Seat) -> bool) -> bool {
        loop {
            let idle = self.by_id.values().filter(|seat| seat.is_idle() && is_candidate(seat));
            let Some(seat) = idle.min_by_key(|seat| seat.idle_since.load(Ordering::SeqCst)).cloned() else {
                return false;
            };
            // Between the look and the grip it may have got a request; then it is another's turn.
            if seat.evict() {
                seat.socket.shutdown(Shutdown::Both);
                self.remove(seat.id);
                return true;
            }
        }
    }
}

impl Seat {
    /// A request has begun. `false`: too late, the connection has been given up.
    #[must_use]
    pub fn mark_busy(&self) -> bool {
        self.idle_since.swap(BUSY, Ordering::SeqCst) != EVICTED
    }

    fn is_idle(&self) -> bool {
        !matches!(self.idle_since.load(Ordering::SeqCst), BUSY | EVICTED)
    }

    fn evict(&self) -> bool {
        let to_evicted = |since| (since != BUSY && since != EVICTED).then_some(EVICTED);
        self.idle_since.fetch_update(Ordering::SeqCst, Ordering::SeqCst, to_evicted).is_ok()
    }
}

/// Whom a cap counts together: an IPv6 user has a whole /64.
pub(super) fn group(peer: Peer) -> Peer {
    match peer {
        Peer::Address(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            Peer::Address(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
        }
        other => other,
    }
}
