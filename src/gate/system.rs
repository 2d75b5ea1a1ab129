//! The few calls to the system that std does not have.

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
