//! The cellar's facade of threads, locks and atomics: std's, or loom's under test.
//!
//! Everything above imports these names from here and from nowhere else, so that a model checker
//! can stand in for them: with `RUSTFLAGS="--cfg ekio_loom"` the *unit tests* of this crate see
//! loom's versions (integration tests and users never do).
//!
//! House rules for orderings, so that both loom and ThreadSanitizer can follow them:
//!
//! * data is published by acquire/release *accesses* of the atomic that guards it;
//! * a store-load handshake ("I raise my flag, then look at yours") has a `fence(SeqCst)` between
//!   its two halves on *both* sides;
//! * an ordering stronger than `Relaxed` names its partner in a comment.

/// std's lock, under loom too: for statics, which outlive a model. What it guards takes no part in
/// any protocol.
pub(crate) use std::sync::{Mutex as StaticMutex, MutexGuard as StaticGuard};

#[allow(unused_imports)]
#[cfg(not(all(test, ekio_loom)))]
mod chosen {
    pub(crate) use std::sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, TryLockError, Weak, atomic,
    };
    pub(crate) use std::{thread, thread_local as per_thread};

    pub(crate) mod cell {
        /// std's cell with loom's interface: the pointer lives as long as the closure runs, so that
        /// loom can see who is at the value and when.
        #[derive(Debug)]
        pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

        impl<T> UnsafeCell<T> {
            pub(crate) const fn new(value: T) -> UnsafeCell<T> {
                UnsafeCell(std::cell::UnsafeCell::new(value))
            }

            #[inline(always)]
            pub(crate) fn with<R>(&self, look: impl FnOnce(*const T) -> R) -> R {
                look(self.0.get())
            }

            #[inline(always)]
            pub(crate) fn with_mut<R>(&self, change: impl FnOnce(*mut T) -> R) -> R {
                change(self.0.get())
            }
        }
    }
}

#[allow(unused_imports)]
#[cfg(all(test, ekio_loom))]
mod chosen {
    pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard, atomic};
    pub(crate) use loom::{cell, thread};
    pub(crate) use std::sync::{OnceLock, TryLockError, Weak};

    /// loom's macro does not know the `const` of std's.
    macro_rules! per_thread {
        ($(#[$attribute:meta])* static $name:ident: $type:ty = const $value:block;) => {
            loom::thread_local! { $(#[$attribute])* static $name: $type = $value; }
        };
    }
    pub(crate) use per_thread;
}

pub(crate) use chosen::*;

/// Locks, and goes on with what a panicked holder left behind.
///
/// Every critical section of ekio leaves its data whole at each point where it could panic, and
/// nothing foreign (a waker, a destructor of the user's) ever runs inside one, so poisoning has
/// nothing to tell us.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// [`lock`] for statics.
pub(crate) fn lock_static<T>(mutex: &'static StaticMutex<T>) -> StaticGuard<'static, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
