//! An allocator that counts, where it is asked to: what it costs shall not be in the figures of others.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

static IS_COUNTING: AtomicBool = AtomicBool::new(false);
static ADDED: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: isize) {
    if IS_COUNTING.load(Ordering::Relaxed) {
        ADDED.fetch_add(bytes, Ordering::Relaxed);
    }
}

struct Counting;

// SAFETY: GlobalAlloc's contract is kept by System, which gets the same arguments; counting neither
// allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// By how many bytes the memory in use, of all threads, grows while this value lives.
pub struct Growth(());

impl Growth {
    /// One at a time.
    pub fn start() -> Growth {
        ADDED.store(0, Ordering::Relaxed);
        IS_COUNTING.store(true, Ordering::Relaxed);
        Growth(())
    }

    pub fn bytes(&self) -> isize {
        ADDED.load(Ordering::Relaxed)
    }
}

impl Drop for Growth {
    fn drop(&mut self) {
        IS_COUNTING.store(false, Ordering::Relaxed);
    }
}
