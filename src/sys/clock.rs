//! A clock for reports.

#[cfg(has_coarse_clock)]
use std::mem::MaybeUninit;
use std::time::Duration;

/// What a clock says that is much cheaper to read than `Instant`, stands still for some milliseconds at a
/// time, and counts from anywhere. (`clock_gettime` with `CLOCK_MONOTONIC_COARSE`)
#[cfg(has_coarse_clock)]
pub(crate) fn coarse_clock() -> Option<Duration> {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: clock_gettime asks for room for the structure, which is the local above.
    let answer = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, time.as_mut_ptr()) };
    if answer != 0 {
        return None;
    }
    // SAFETY: clock_gettime has succeeded, and then it has written the whole structure.
    let time = unsafe { time.assume_init() };
    let seconds = u64::try_from(time.tv_sec).ok()?;
    let nanos = u32::try_from(time.tv_nsec).ok()?;
    Some(Duration::new(seconds, nanos))
}

/// There is none.
#[cfg(not(has_coarse_clock))]
pub(crate) fn coarse_clock() -> Option<Duration> {
    None
}
