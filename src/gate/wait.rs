//! Sleeping until one of two sockets has something: the one call std does not have.

use std::io;
use std::os::fd::RawFd;

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
