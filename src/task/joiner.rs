//! Where a `JoinHandle` leaves its waker.
//!
//! Whose it is at what time, the state's rules say. One thing more is told here: the completer of a
//! task gives the executor's reference back in the same step that makes the slot its own, and takes
//! the waker out after that. Until it has, the handle's reference keeps the task's memory alive, so a
//! handle that lent its slot does not give its reference back before the slot is empty. That the
//! completer tells by a plain store: an atomic step for it would cost a sixth of a short task's life.

use std::mem::ManuallyDrop;
use std::ptr;
use std::task::{RawWakerVTable, Waker};
use std::thread::sleep;
use std::time::Duration;

use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::sync::cell::UnsafeCell;
use crate::sync::thread;

/// The two words of a waker, if there is one.
#[derive(Debug)]
pub(super) struct JoinerSlot {
    data: UnsafeCell<*const ()>,
    /// Null while the slot is empty.
    vtable: AtomicPtr<RawWakerVTable>,
}

/// How often a handle looks, giving way between, before it sleeps too. The completer has a few
/// instructions to go, so all this is for one that was interrupted there.
const LOOKS: u32 = 32;

impl JoinerSlot {
    pub(super) fn new() -> JoinerSlot {
        JoinerSlot {
            data: UnsafeCell::new(ptr::null()),
            vtable: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Puts a waker in, and returns what was there.
    ///
    /// # Safety
    ///
    /// * The slot belongs to the caller, by the state's rules.
    pub(super) unsafe fn replace(&self, waker: Waker) -> Option<Waker> {
        // SAFETY: by the contract.
        let old = unsafe { self.take() };
        let waker = ManuallyDrop::new(waker);
        // SAFETY: nobody else is at the slot, by the contract.
        self.data.with_mut(|data| unsafe { *data = waker.data() });
        let vtable = ptr::from_ref(waker.vtable()).cast_mut();
        // Relaxed: the state hands the slot over.
        self.vtable.store(vtable, Ordering::Relaxed);
        old
    }

    /// Takes the waker out. If the caller is the completer, the task may be gone when this returns.
    ///
    /// # Safety
    ///
    /// * The slot belongs to the caller, by the state's rules.
    pub(super) unsafe fn take(&self) -> Option<Waker> {
        // Relaxed: the state has handed the slot over.
        let vtable = self.vtable.load(Ordering::Relaxed);
        // SAFETY: `replace` made the pointer from a reference that is good for ever.
        let vtable = unsafe { vtable.as_ref() }?;
        // SAFETY: nobody else writes, by the contract.
        let data = self.data.with(|data| unsafe { *data });
        // Release: pairs with `wait_until_empty`.
        self.vtable.store(ptr::null_mut(), Ordering::Release);
        // SAFETY: the two words are those of a waker that `replace` forgot, and are no longer there.
        Some(unsafe { Waker::new(data, vtable) })
    }

    /// True if this is the waker that lies here. (Then it is alive, and the same two words are the same
    /// waker.)
    ///
    /// # Safety
    ///
    /// * The caller is the `JoinHandle`.
    pub(super) unsafe fn holds(&self, waker: &Waker) -> bool {
        // Relaxed: it is the handle itself that wrote it; at most the completer empties the slot
        // meanwhile, and then the waker is woken.
        let vtable = self.vtable.load(Ordering::Relaxed);
        // SAFETY: the handle alone ever writes it.
        let data = self.data.with(|data| unsafe { *data });
        ptr::eq(vtable, waker.vtable()) && data == waker.data()
    }

    /// Waits for the completer to have taken the waker out.
    pub(super) fn wait_until_empty(&self) {
        let mut looks = 0;
        // Acquire: pairs with `take`.
        while !self.vtable.load(Ordering::Acquire).is_null() {
            looks += 1;
            thread::yield_now();
            if looks > LOOKS {
                nap();
            }
        }
    }

    /// loom checks here that nobody is at the slot any more.
    pub(super) fn assert_unused(&mut self) {
        self.data.with_mut(|_| ());
        debug_assert!(self.vtable.load(Ordering::Relaxed).is_null());
    }
}

/// Giving way does not help a completer of a lower real-time priority.
#[cold]
fn nap() {
    // (Not loom's, which has no sleep; nor does a model come here.)
    sleep(Duration::from_micros(50));
}
