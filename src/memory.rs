//! What is given back is wiped first: secrets pass through many buffers, of which few are ours. And how the allocator
//! shares memory among threads.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

/// The system's allocator; what it gets back holds zeros. A block that grows is moved, and its old place wiped.
pub struct Wiping;

#[global_allocator]
static ALLOCATOR: Wiping = Wiping;

#[allow(unsafe_code)] // There is no other way to be the allocator; all real work is the system's.
// SAFETY: each call goes to `System` as it came; a block that is given back is the caller's no more, and as large as
// its layout says; a new size has been checked against the alignment by whoever asks for it.
unsafe impl GlobalAlloc for Wiping {
    // Copied into each of their callers these would be 0.1 MB of program.
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc(layout) }
    }

    #[inline(never)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        unsafe {
            block.write_bytes(0, layout.size());
            // The compiler knows that nobody reads what is given back, and would leave the wiping out.
            System.dealloc(black_box(block), layout);
        }
    }

    #[inline(never)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, n_bytes: usize) -> *mut u8 {
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(n_bytes, layout.align()));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(n_bytes));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

/// What calls that have returned left on this thread's stack.
const STACK_BYTES: usize = 32 << 10;

/// Overwrites what the calls before left on the stack of this thread.
#[inline(never)]
pub fn wipe_stack() {
    black_box(&mut [0_u8; STACK_BYTES]);
}

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
