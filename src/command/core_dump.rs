//! Memory that holds keys and secrets is not written to disk when the process crashes.

/// Allows no core dump of this process from now on.
#[cfg(unix)]
#[allow(unsafe_code)] // std has no way to a process's limits; the call reads the value given and nothing else.
pub fn forbid() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a value that lives through the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) } != 0 {
        log::warn!("core dumps could not be switched off: {}", std::io::Error::last_os_error());
    }
}

#[cfg(not(unix))]
/// There is nothing to switch off.
pub fn forbid() {}
