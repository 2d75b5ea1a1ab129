//! SIGINT and SIGTERM, waited for by the main thread.

/// Blocks SIGINT and SIGTERM for this thread and all it starts; call it before any other thread is started.
pub struct StopSignals {
    #[cfg(unix)]
    set: libc::sigset_t,
}

#[cfg(unix)]
#[allow(unsafe_code)] // std has no way to wait for a signal; these calls touch nothing but the set given.
impl StopSignals {
    /// From now on the signals wait until `wait` takes them.
    pub fn block() -> StopSignals {
        // SAFETY: `set` is a plain value that sigemptyset initializes before anything reads it.
        let set = unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGINT);
            libc::sigaddset(&mut set, libc::SIGTERM);
            libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
            set
        };
        StopSignals { set }
    }

    /// Returns when one of them has come.
    pub fn wait(&self) {
        let mut signal = 0;
        // SAFETY: both pointers are to values that live through the call.
        while unsafe { libc::sigwait(&self.set, &mut signal) } != 0 {}
    }
}

#[cfg(not(unix))]
impl StopSignals {
    /// There is nothing to block.
    pub fn block() -> StopSignals {
        StopSignals {}
    }

    /// Waits for ever; the system ends the process.
    pub fn wait(&self) {
        loop {
            std::thread::park();
        }
    }
}
