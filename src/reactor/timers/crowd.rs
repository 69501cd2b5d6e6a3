//! When a thread gets up for timers that are many.
//!
//! A wait that the system ends costs the thread some microseconds: to fall asleep, to be woken, to find
//! its caches cold. One that gets up for each moment of a hundred within a millisecond spends four
//! times as much on that as on the tasks. So
//!
//! * *if the next [`CROWD`] timers are all due within [`PAUSE_MAX`], the thread sleeps until the last of
//!   them is*, and fires them together;
//! * *else it sleeps until the first.*
//!
//! ```text
//!   now                                                               now + 1 ms
//!    |-----|------------------|-----------------------------------|--------|      sparse: until the first
//!          ^
//!    |--||-|||-|-||||||||-|-||-|||||||||-||||||-|||||-|||||||||-|||-|||||-||      a crowd: until the 64th
//!                                                               ^
//! ```
//!
//! It follows that
//!
//! * none is later for it than a millisecond, whatever else happens meanwhile: if the wait is ended
//!   before, by an event say, those that are due by then fire, and the others had not been due;
//! * the denser the crowd, the shorter the pause: at a thousand in a millisecond it is the sixteenth part
//!   of one, and if all are due at the same moment there is none;
//! * a timer whose neighbours are few is served as if it were alone, also before a crowd, behind one, and
//!   in the gap between two;
//! * nothing is remembered. What has been in a crowd tells nothing about what comes.
//!
//! A timer that another thread brings meanwhile is one of the crowd, unless it is earlier than the first
//! of it: then it ends the wait, as ever.

/// Up to which timer a thread sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rise {
    /// The first.
    WithTheFirst,
    /// The last of a crowd, where there is one.
    WithItsCrowd,
}

/// How many timers are served by one wait: so many that it hardly counts among what their tasks cost.
pub(super) const CROWD: usize = 64;

/// How much later than its deadline one of a crowd may be woken, in nanoseconds.
pub(super) const PAUSE_MAX: u64 = 1_000_000;

/// How many timers are looked at. A slot is not in order, so that there may be later ones among those
/// of the crowd; if they are too many, it is not seen.
const LOOKS_MAX: usize = 4 * CROWD;

/// What is due from this moment on is in no crowd.
pub(super) const fn horizon(now: u64) -> u64 {
    now.saturating_add(PAUSE_MAX)
}

/// The last moment of the crowd that begins with the timer that is due `first`, or `first` if there is
/// none. `upcoming` are the deadlines before the [`horizon`], in order but for those of one slot, and
/// perhaps some behind it.
pub(super) fn end_of_wait(now: u64, first: u64, upcoming: impl Iterator<Item = u64>) -> u64 {
    let horizon = horizon(now);
    if first <= now || first >= horizon {
        return first;
    }
    let near = upcoming
        .take(LOOKS_MAX)
        .filter(|deadline| *deadline < horizon);
    let (mut met, mut last) = (0, first);
    for deadline in near.take(CROWD) {
        met += 1;
        last = last.max(deadline);
    }
    if met < CROWD { first } else { last }
}

#[cfg(all(test, not(ekio_loom)))]
mod tests;
