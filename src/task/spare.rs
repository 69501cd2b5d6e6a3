//! The memory of tasks that have ended, for those that begin.
//!
//! Tasks come and go in great numbers and few sizes, and a general allocator needs more instructions for
//! a block than everything else that is done for a small task. So a thread on which an executor runs keeps
//! up to [`BYTES_MAX`] of what it frees, in a list for each size, and takes from there. All of it goes
//! back when the executor leaves the thread ([`Keeping`]).
//!
//! A block belongs to no thread: it is kept where the last reference to its task was dropped. The general
//! allocator is used as ever for what is large, for what there is no block for, on threads without an
//! executor, and always where a tool looks for memory that is used after it was freed, which it could not
//! see otherwise: under Miri, under loom, and with `--cfg ekio_no_task_reuse` (for sanitizers).

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use crate::sync::per_thread;

/// The most that one thread keeps: two thousand small tasks.
const BYTES_MAX: usize = 256 * 1024;

/// The sizes of blocks are so far apart; as most allocators have it, which add a word of their own.
const STEP: usize = 16;
const WORD: usize = 8;

/// The size of the largest task of which the memory is kept, and how many lists that makes.
const SIZE_MAX: usize = 504;
const LISTS: usize = (SIZE_MAX + WORD) / STEP;

const IS_IN_USE: bool = cfg!(all(has_task_reuse, not(all(test, ekio_loom))));

per_thread! {
    static SPARE: Spare = const { Spare::new() };
}

/// Memory for a task.
#[inline]
pub(super) fn allocate(layout: Layout) -> NonNull<u8> {
    if IS_IN_USE {
        SPARE.with(|spare| spare.allocate(layout))
    } else {
        allocate_anew(layout)
    }
}

/// Takes it back.
///
/// # Safety
///
/// * [`allocate`] has answered this block for the same layout, on whatever thread, and nobody uses it any
///   more.
#[inline]
pub(super) unsafe fn free(block: NonNull<u8>, layout: Layout) {
    if IS_IN_USE {
        // SAFETY: the contract is passed on: all threads have the same blocks for a layout.
        SPARE.with(|spare| unsafe { spare.free(block, layout) });
    } else {
        // SAFETY: `allocate` answers what `allocate_anew` does, in this case.
        unsafe { dealloc(block.as_ptr(), layout) };
    }
}

/// The time for which a thread keeps memory. There may be more than one of these on a thread; the last
/// one that is dropped ends it.
#[derive(Debug)]
pub(crate) struct Keeping {
    /// It belongs to its thread.
    thread: PhantomData<*const ()>,
}

impl Keeping {
    pub(crate) fn begin() -> Keeping {
        if IS_IN_USE {
            SPARE.with(Spare::begin);
        }
        Keeping {
            thread: PhantomData,
        }
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        if IS_IN_USE {
            SPARE.with(Spare::end);
        }
    }
}

/// What one thread keeps.
#[derive(Debug)]
struct Spare {
    /// The first block of each list. The first word of a block points to the next one.
    first: [Cell<*mut u8>; LISTS],
    /// How many bytes there is still room for.
    room: Cell<usize>,
    /// How many `Keeping`s there are.
    depth: Cell<usize>,
}

impl Spare {
    const fn new() -> Spare {
        Spare {
            first: [const { Cell::new(ptr::null_mut()) }; LISTS],
            room: Cell::new(0),
            depth: Cell::new(0),
        }
    }

    #[inline]
    fn allocate(&self, layout: Layout) -> NonNull<u8> {
        let Some(list) = list_of(layout) else {
            return allocate_anew(layout);
        };
        let Some(block) = self.pop(list) else {
            return allocate_anew(layout_of(list));
        };
        self.room.set(self.room.get() + layout_of(list).size());
        block
    }

    fn pop(&self, list: usize) -> Option<NonNull<u8>> {
        let first = &self.first[list];
        let block = NonNull::new(first.get())?;
        // SAFETY: what is in a list is a block that nobody uses, with the pointer in its first word.
        first.set(unsafe { block.cast::<*mut u8>().read() });
        Some(block)
    }

    /// # Safety
    ///
    /// * `allocate` has answered this block for the same layout, of this `Spare` or another one, and nobody
    ///   uses it any more.
    #[inline]
    unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        let list = list_of(layout);
        let layout = list.map_or(layout, layout_of);
        match list {
            Some(list) if self.room.get() >= layout.size() => {
                self.room.set(self.room.get() - layout.size());
                let first = &self.first[list];
                // SAFETY: the block is ours now, and has room and alignment for a pointer.
                unsafe { block.cast::<*mut u8>().write(first.get()) };
                first.set(block.as_ptr());
            }
            // SAFETY: `allocate_anew` has answered it for that layout, whoever had it meanwhile.
            _ => unsafe { dealloc(block.as_ptr(), layout) },
        }
    }

    fn begin(&self) {
        self.depth.set(self.depth.get() + 1);
        if self.depth.get() == 1 {
            self.room.set(BYTES_MAX);
        }
    }

    fn end(&self) {
        // (A system may have made this anew on a thread that ends.)
        self.depth.set(self.depth.get().saturating_sub(1));
        if self.depth.get() > 0 {
            return;
        }
        self.room.set(0);
        for list in 0..LISTS {
            while let Some(block) = self.pop(list) {
                // SAFETY: as in `free`.
                unsafe { dealloc(block.as_ptr(), layout_of(list)) };
            }
        }
    }
}

#[cold]
fn allocate_anew(layout: Layout) -> NonNull<u8> {
    // SAFETY: alloc asks for a layout that is not of size zero: it is that of a task, or one of ours.
    let block = unsafe { alloc(layout) };
    NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout))
}

/// The number of the list for blocks of that layout, if there is one.
const fn list_of(layout: Layout) -> Option<usize> {
    if layout.align() <= WORD && layout.size() <= SIZE_MAX {
        Some((layout.size() + WORD - 1) / STEP)
    } else {
        None
    }
}

/// The layout of the blocks in a list.
const fn layout_of(list: usize) -> Layout {
    match Layout::from_size_align((list + 1) * STEP - WORD, WORD) {
        Ok(layout) => layout,
        Err(_) => panic!("a small size, and a power of two"),
    }
}

#[cfg(all(test, not(ekio_loom)))]
mod tests {
    use super::*;

    const TASK: Layout = layout_of(8);

    fn lists(spare: &Spare) -> usize {
        let firsts = spare.first.iter();
        firsts.filter(|first| !first.get().is_null()).count()
    }

    #[test]
    fn each_size_has_the_list_of_the_next_larger_block() {
        for size in 1..=504 {
            let layout = Layout::from_size_align(size, 1).unwrap();
            let block = layout_of(list_of(layout).unwrap());
            assert!((size..size + STEP).contains(&block.size()), "{size}");
        }
        assert_eq!(list_of(Layout::from_size_align(505, 1).unwrap()), None);
        assert_eq!(list_of(Layout::from_size_align(64, 16).unwrap()), None);
    }

    #[test]
    fn a_block_comes_back_to_who_asks_for_one_of_its_size() {
        let spare = Spare::new();
        spare.begin();
        let [first, second] = [(); 2].map(|()| spare.allocate(TASK));
        for block in [first, second] {
            // SAFETY: the blocks are of this layout, and unused.
            unsafe { spare.free(block, TASK) };
        }
        let other = spare.allocate(layout_of(9));
        assert!(![first, second].contains(&other));
        assert_eq!(spare.allocate(TASK), second);
        assert_eq!(spare.allocate(TASK), first);
        assert_eq!((lists(&spare), spare.room.get()), (0, BYTES_MAX));
        for (block, layout) in [(first, TASK), (second, TASK), (other, layout_of(9))] {
            // SAFETY: as above.
            unsafe { spare.free(block, layout) };
        }
        spare.end();
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for_and_nothing_after_the_end() {
        let spare = Spare::new();
        for room in [0, 3 * TASK.size()] {
            spare.begin();
            spare.begin();
            spare.room.set(room);
            let blocks = [(); 5].map(|()| spare.allocate(TASK));
            for block in blocks {
                // SAFETY: the blocks are of this layout, and unused.
                unsafe { spare.free(block, TASK) };
            }
            assert_eq!(spare.room.get(), 0);
            assert_eq!(lists(&spare), usize::from(room > 0));
            spare.end();
            assert_eq!(lists(&spare), usize::from(room > 0));
            spare.end();
            assert_eq!((lists(&spare), spare.room.get()), (0, 0));
        }
        let large = Layout::from_size_align(4096, 64).unwrap();
        let block = spare.allocate(large);
        // SAFETY: the block is of this layout, and unused.
        unsafe { spare.free(block, large) };
        assert_eq!(lists(&spare), 0);
    }
}
