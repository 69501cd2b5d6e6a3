//! Time-outs, and what cuts a wait short (nothing does).

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ekio::poller::Poller;

use crate::support::rig::Rig;
use crate::support::{QUIET, repeat};

/// Row a19: a wait that brings nothing is never over before its time.
pub fn never_early<P: Poller>() {
    let mut rig = Rig::<P>::new();
    let times = [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_micros(1),
        Duration::from_micros(100),
        Duration::from_micros(999),
        Duration::from_millis(1),
        Duration::from_nanos(1_000_001),
        Duration::from_micros(1_500),
        Duration::from_millis(20),
    ];
    for _ in 0..repeat(200) {
        for timeout in times {
            let start = Instant::now();
            assert_eq!(rig.wait(timeout), []);
            let elapsed = start.elapsed();
            assert!(elapsed >= timeout, "{elapsed:?} instead of {timeout:?}");
        }
    }
}

/// Row a19: the longest times are long, and not a moment.
pub fn the_longest_times<P: Poller + 'static>() {
    let mut rig = Rig::<P>::new();
    let times = [
        None,
        Some(Duration::MAX),
        Some(Duration::from_secs(u64::MAX)),
        Some(Duration::from_secs(i64::MAX.unsigned_abs())),
        Some(Duration::from_millis(u64::MAX)),
        // 24.8 and 49.7 days: an i32 and a u32 of milliseconds, and one more.
        Some(Duration::from_millis(i32::MAX as u64)),
        Some(Duration::from_millis(i32::MAX as u64 + 1)),
        Some(Duration::from_millis(u32::MAX as u64)),
        Some(Duration::from_millis(u32::MAX as u64 + 1)),
        Some(Duration::from_secs(u32::MAX as u64 + 1)),
    ];
    for timeout in times {
        rig.poller.notify().unwrap();
        assert_eq!(rig.wait(timeout), []);
        // Long enough to be overtaken by a thread that is started only now.
        let poller = Arc::clone(&rig.poller);
        let start = Instant::now();
        let notifier = thread::spawn(move || {
            thread::sleep(QUIET);
            poller.notify().unwrap();
        });
        assert_eq!(rig.wait(timeout), []);
        assert!(start.elapsed() >= QUIET, "{timeout:?} was over at once");
        notifier.join().unwrap();
    }
}

/// Row a20: a report, and no assertion: machines differ.
pub fn precision<P: Poller>() {
    let mut rig = Rig::<P>::new();
    let timeout = Duration::from_micros(100);
    let mut late: Vec<Duration> = (0..repeat(10_000))
        .map(|_| {
            let start = Instant::now();
            assert_eq!(rig.wait(timeout), []);
            start.elapsed() - timeout
        })
        .collect();
    late.sort_unstable();
    println!(
        "{}: a wait of {timeout:?} ends {:?} late (median of {}; resolution {:?})",
        std::any::type_name::<P>(),
        late[late.len() / 2],
        late.len(),
        P::CAPS.timeout_resolution,
    );
}

/// Signals that come a thousand times a second neither end a wait nor fail it.
#[cfg(unix)]
pub fn eintr<P: Poller>() {
    use crate::support::unix::Pest;
    use crate::support::watchdog::Watchdog;
    let _watchdog = Watchdog::start();
    let mut rig = Rig::<P>::new();
    let pest = Pest::on_this_thread();
    let timeout = Duration::from_millis(u64::try_from(20 * repeat(1_000)).unwrap())
        .min(Duration::from_secs(2));
    let before = Pest::caught();
    // More than once if both threads get so little of the processor that hardly any signals come.
    while Pest::caught() <= before + 10 {
        let start = Instant::now();
        assert_eq!(rig.wait(timeout), []);
        assert!(start.elapsed() >= timeout);
    }
    drop(pest);
    let start = Instant::now();
    for _ in 0..100 {
        rig.settle();
    }
    rig.expect_silence();
    assert!(start.elapsed() >= QUIET);
}

/// A signal ends even calls that do not sleep, if it is pending. The owner does not hear of it.
#[cfg(unix)]
pub fn eintr_while_adding<P: Poller>() {
    use crate::support::net::tcp_pair;
    use crate::support::unix::Pest;
    use ekio::poller::{Interest, Source, Trigger};
    let rig = Rig::<P>::new();
    let (near, _far) = tcp_pair();
    let source = Source::socket(&near);
    let pest = Pest::on_this_thread();
    let start = Instant::now();
    let duration = Duration::from_millis(u64::try_from(repeat(30_000)).unwrap());
    while start.elapsed() < duration {
        let ticket = rig.add(source, 1, Interest::BOTH, Trigger::Level);
        rig.modify(&ticket, source, 2, Interest::READABLE, Trigger::Edge);
        rig.rearm(&ticket, Interest::READABLE);
        rig.delete(ticket, source);
    }
    drop(pest);
}

#[cfg(not(unix))]
pub fn eintr_while_adding<P: Poller>() {
    crate::support::skipped("this system has no signals");
}

#[cfg(not(unix))]
pub fn eintr<P: Poller>() {
    crate::support::skipped("this system has no signals");
}
