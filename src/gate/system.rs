//! The few calls to the system that std does not have.

use std::io;
use std::os::fd::RawFd;
#[cfg(target_os = "linux")]
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
#[cfg(target_os = "linux")]
use std::time::Duration;

/// Waits until `first` or `second` can be read (or has failed, which a read will tell).
///
/// Returns which of them can. Both descriptors must be open for as long as the call lasts.
pub(super) fn wait_readable(first: RawFd, second: RawFd) -> io::Result<(bool, bool)> {
    let entry = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut entries = [entry(first), entry(second)];
    // SAFETY: `entries` is a valid array of the length given, and lives until the call returns.
    #[allow(unsafe_code)]
    let n_ready = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, -1) };
    if n_ready < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((entries[0].revents != 0, entries[1].revents != 0))
}

/// Whether `fd` can be read now, or has failed.
pub(super) fn is_readable(fd: RawFd) -> bool {
    let mut entry = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid entry, which lives until the call returns.
    #[allow(unsafe_code)]
    let n_ready = unsafe { libc::poll(&mut entry, 1, 0) };
    n_ready != 0
}

/// Whether a socket is one that accepts connections.
pub(super) fn is_listening(socket: RawFd) -> bool {
    let mut value: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    let (to_value, to_length) = (std::ptr::from_mut(&mut value).cast(), &mut length);
    // SAFETY: both pointers are to live variables, and `length` is the size of `value`.
    #[allow(unsafe_code)]
    let failed =
        unsafe { libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_ACCEPTCONN, to_value, to_length) };
    failed == 0 && value != 0
}

/// Makes room for connections that have not been accepted yet; std asks for 128.
pub(super) fn set_backlog(socket: RawFd, n_connections: i32) {
    // SAFETY: no pointers. On a socket that listens already this changes the number alone; failing changes nothing.
    #[allow(unsafe_code)]
    unsafe {
        libc::listen(socket, n_connections)
    };
}

/// What a `Poller` has seen on one descriptor.
#[cfg(target_os = "linux")]
pub(super) struct Event {
    pub key: u64,
    /// Both directions have ended: there is nothing to read.
    pub is_over: bool,
}

/// epoll: watches many descriptors for something to read.
#[cfg(target_os = "linux")]
pub(super) struct Poller(OwnedFd);

#[cfg(target_os = "linux")]
#[allow(unsafe_code)] // std has no epoll; each call says why it is sound.
impl Poller {
    pub fn new() -> io::Result<Poller> {
        // SAFETY: no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new, and nobody else's.
        Ok(Poller(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Watches `fd`; its events carry `key`.
    pub fn add(&self, fd: RawFd, key: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | libc::EPOLLRDHUP) as u32, u64: key };
        // SAFETY: `event` is live for the call; the kernel checks the descriptors.
        let failed = unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &mut event) };
        if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    pub fn delete(&self, fd: RawFd) {
        // SAFETY: this operation takes no event. That the descriptor is not watched is its only failure.
        unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) };
    }

    /// Waits until something happens, at most `timeout`. At most 64 events at a time.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<Event>> {
        let millis = timeout.map_or(-1, |timeout| timeout.as_millis() as libc::c_int);
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
        let n_max = events.len() as libc::c_int;
        // SAFETY: `events` has room for `n_max` of them and lives until the call returns.
        let n = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), n_max, millis) };
        match usize::try_from(n) {
            Ok(n) => {
                let is_over = |events: u32| events & (libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0;
                Ok(events[..n]
                    .iter()
                    .map(|event| Event { key: event.u64, is_over: is_over(event.events) })
                    .collect())
            }
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(Vec::new()),
                error => Err(error),
            },
        }
    }
}
