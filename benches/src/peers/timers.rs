//! What is the same in the timer loads of every runtime.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use crate::memory::Growth;
use crate::meter::{Figures, Meter};

/// How long timers are to run that never fire, as most do that guard an operation against taking for
/// ever: of a few kinds, and never twice the same deadline.
pub fn guard(number: u32) -> Duration {
    Duration::from_secs(u64::from(number % 7) * 10 + 5) + Duration::from_micros(number.into())
}

/// Inside of the runtime: `count` timers are made and polled once, and dropped when all of them wait;
/// and again, each dropped before the next one is made.
pub fn dropped<F: Future>(count: u32, sleep: impl Fn(Duration) -> F) -> Figures {
    // Both the pages of memory and the runtime's own tables are there after a first time, as they are
    // in a program that runs for long; but it is the first time that tells how much memory they take.
    let mut all = Vec::with_capacity(count as usize);
    let growth = Growth::start();
    start(&mut all, count, &sleep);
    let bytes = growth.bytes() as f64 / f64::from(count);
    drop(growth);
    all.clear();

    let mut together = Meter::default();
    together.start();
    start(&mut all, count, &sleep);
    all.clear();
    together.stop();

    let mut alone = Meter::default();
    alone.start();
    for number in 0..count {
        poll_once(std::pin::pin!(sleep(guard(number))));
    }
    alone.stop();
    dropped_figures(count, &together, &alone, bytes)
}

pub fn dropped_figures(count: u32, together: &Meter, alone: &Meter, bytes: f64) -> Figures {
    let cpu = |meter: &Meter| meter.per_operation(count)[0].1;
    vec![
        ("cpu", cpu(together)),
        ("alone", cpu(alone)),
        ("bytes", bytes),
    ]
}

/// Boxed, as a guard is in the task that it is a part of.
fn start<F: Future>(all: &mut Vec<Pin<Box<F>>>, count: u32, sleep: impl Fn(Duration) -> F) {
    for number in 0..count {
        let mut sleep = Box::pin(sleep(guard(number)));
        poll_once(sleep.as_mut());
        all.push(sleep);
    }
}

fn poll_once(future: Pin<&mut impl Future>) {
    let polled = future.poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
}

/// When tasks are to wake, and how late they do.
pub struct Firing {
    meter: Meter,
    begin: Instant,
    count: u32,
    lateness: Arc<Lateness>,
}

#[derive(Default)]
pub struct Lateness {
    /// Nanoseconds.
    sum: AtomicU64,
    worst: AtomicU64,
}

impl Firing {
    /// The second begins now.
    pub fn start(count: u32) -> Firing {
        let mut meter = Meter::default();
        meter.start();
        Firing {
            meter,
            begin: Instant::now(),
            count,
            lateness: Arc::default(),
        }
    }

    /// A moment for each task, no two the same, and in no order.
    pub fn deadlines(&self) -> impl Iterator<Item = (Instant, Arc<Lateness>)> + use<> {
        /// Odd and not a multiple of 5, so that it meets each number below a power of ten once.
        const STRIDE: u64 = 73_939;
        let (begin, count) = (self.begin, u64::from(self.count));
        let step = Duration::from_secs(1) / self.count;
        let lateness = self.lateness.clone();
        (0..count).map(move |number| {
            let place = u32::try_from(number * STRIDE % count).unwrap_or(0);
            (begin + step * (place + 1), lateness.clone())
        })
    }

    /// All tasks have ended.
    pub fn stop(mut self) -> Figures {
        self.meter.stop();
        let nanoseconds = |sum: &AtomicU64| sum.load(Ordering::Relaxed) as f64;
        vec![
            ("cpu", self.meter.per_operation(1)[0].1),
            (
                "late",
                nanoseconds(&self.lateness.sum) / f64::from(self.count),
            ),
            ("latest", nanoseconds(&self.lateness.worst)),
        ]
    }
}

impl Lateness {
    /// Now it is awake.
    pub fn note(&self, deadline: Instant) {
        let late = Instant::now()
            .saturating_duration_since(deadline)
            .as_nanos();
        let late = u64::try_from(late).unwrap_or(u64::MAX);
        self.sum.fetch_add(late, Ordering::Relaxed);
        self.worst.fetch_max(late, Ordering::Relaxed);
    }
}

/// A task of those.
pub async fn sleeper<F: Future>(
    (deadline, lateness): (Instant, Arc<Lateness>),
    sleep_until: impl FnOnce(Instant) -> F,
) {
    sleep_until(deadline).await;
    lateness.note(deadline);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_moments_are_the_same() {
        let firing = Firing::start(1_000);
        let mut moments: Vec<_> = firing.deadlines().map(|(moment, _)| moment).collect();
        moments.sort_unstable();
        moments.dedup();
        assert_eq!(moments.len(), 1_000);
        assert_eq!(moments[999] - firing.begin, Duration::from_secs(1));
    }
}
