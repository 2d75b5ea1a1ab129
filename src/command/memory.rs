//! How the allocator of the C library shares memory among threads.

/// One pool of memory for each processor instead of eight: a worker that took in a large state leaves its memory to
/// the next one, whichever that is, instead of each keeping its own.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)] // std has no way to the allocator's settings; the call takes two numbers.
pub fn share_pools() {
    let n_processors = std::thread::available_parallelism().map_or(2, usize::from);
    let n_pools = n_processors.clamp(2, 64) as i32;
    // SAFETY: no thread but this one runs yet, and an unknown setting is refused by a return value.
    if unsafe { libc::mallopt(libc::M_ARENA_MAX, n_pools) } == 0 {
        log::debug!("the allocator does not know the setting for its pools");
    }
}

/// Other allocators have no such setting, or need none.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn share_pools() {}
