//! Whether a thread that has nothing to do should look for a message a little longer before it sleeps.
//!
//! Where two threads send each other messages in turn, the answer is often there within a microsecond,
//! and a sleep costs two system calls and two switches, which are some microseconds on either side. So a
//! thread whose last sleep was ended by another thread keeps looking for [`SPIN`] before it sleeps again.
//! (Who was woken by an event or a timer does not: the next one comes in its own time.)
//!
//! If nothing came, the look was in vain, and cost as much as the sleep that it was to spare. The next one
//! is made after twice as many sleeps as this one was, up to [`PAUSE_MAX`]; so who is woken now and then,
//! or always late, looks at 1 of 65 times. One that was not in vain makes good for all of them.
//!
//! It is how a mutex spins before it parks its thread; see A. R. Karlin et al., "Empirical studies of
//! competitive spinning for a shared-memory multiprocessor" (SOSP 1991), for why a bound of about what
//! the sleep costs is never much worse than the better of the two.

use std::hint;
use std::time::{Duration, Instant};

use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// About what a sleep costs both sides.
const SPIN: Duration = Duration::from_micros(10);

/// The most sleeps that are made without a look.
const PAUSE_MAX: u32 = 64;

/// How often the place is looked at for each look at the clock.
const LOOKS_PER_TIME: u32 = 16;

/// What one thread remembers of its last sleeps. It is touched by that thread alone. (The atomics are for
/// what it lies in, which is shared.)
#[derive(Debug, Default)]
pub(super) struct Spin {
    /// The last sleep was ended by another thread.
    was_roused: AtomicBool,
    /// How many sleeps are still to be made without a look.
    pause: AtomicU32,
    /// How many there were after the last look in vain.
    last_pause: AtomicU32,
}

impl Spin {
    /// True if `look` has seen something, which it was asked for a while if that seems worth it.
    pub(super) fn finds(&self, look: impl Fn() -> bool) -> bool {
        if cfg!(all(test, ekio_loom)) || !self.was_roused.load(Ordering::Relaxed) {
            return false;
        }
        let pause = self.pause.load(Ordering::Relaxed);
        if pause > 0 {
            self.pause.store(pause - 1, Ordering::Relaxed);
            return false;
        }
        let has_found = spin(look);
        let pause = if has_found {
            0
        } else {
            let last_pause = self.last_pause.load(Ordering::Relaxed);
            (2 * last_pause).clamp(1, PAUSE_MAX)
        };
        self.pause.store(pause, Ordering::Relaxed);
        self.last_pause.store(pause, Ordering::Relaxed);
        has_found
    }

    /// Takes note of how a sleep has ended.
    pub(super) fn note_end(&self, was_roused: bool) {
        self.was_roused.store(was_roused, Ordering::Relaxed);
    }
}

#[cold]
fn spin(look: impl Fn() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        for _ in 0..LOOKS_PER_TIME {
            if look() {
                return true;
            }
            hint::spin_loop();
        }
        if begin.elapsed() >= SPIN {
            return false;
        }
    }
}

#[cfg(all(test, not(ekio_loom)))]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// How many sleeps are made from one look in vain to the next, for so many of them.
    fn pauses(spin: &Spin, count: usize) -> Vec<u32> {
        let look = || {
            let mut sleeps = 0;
            loop {
                let has_looked = Cell::new(false);
                let found = spin.finds(|| {
                    has_looked.set(true);
                    false
                });
                assert!(!found);
                if has_looked.get() {
                    return sleeps;
                }
                sleeps += 1;
            }
        };
        (0..count).map(|_| look()).collect()
    }

    #[test]
    fn who_was_not_roused_does_not_look() {
        let spin = Spin::default();
        assert!(!spin.finds(|| unreachable!("it has not slept yet")));
        spin.note_end(true);
        assert!(spin.finds(|| true));
        spin.note_end(false);
        assert!(!spin.finds(|| unreachable!("an event has ended its sleep")));
    }

    #[test]
    fn looks_in_vain_become_rare_and_a_find_makes_good_for_them() {
        let spin = Spin::default();
        spin.note_end(true);
        assert_eq!(pauses(&spin, 9), [0, 1, 2, 4, 8, 16, 32, 64, 64]);
        while !spin.finds(|| true) {}
        assert!(spin.finds(|| true));
        assert_eq!(pauses(&spin, 3), [0, 1, 2]);
    }

    #[test]
    fn what_comes_meanwhile_is_found() {
        let spin = Spin::default();
        spin.note_end(true);
        let looks = Cell::new(0);
        let found = spin.finds(|| {
            looks.set(looks.get() + 1);
            looks.get() == 3
        });
        assert!(found);
        assert_eq!(looks.get(), 3);
    }
}
