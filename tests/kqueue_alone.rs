//! What `Kqueue` does about signals and forks. Both concern the whole process, so this program has
//! one to itself, and one thread: it is not libtest's.

#[cfg(not(has_kqueue))]
fn main() {
    println!("skipped: this build has no kqueue");
}

#[cfg(has_kqueue)]
fn main() {
    // Before libkqueue has threads of its own, which inherit it.
    tests::block_signals();
    let tests: [(&str, fn()); 4] = [
        ("signals_are_counted", tests::signals_are_counted),
        ("signals_wait_while_quiet", tests::signals_wait_while_quiet),
        ("no_such_signal", tests::no_such_signal),
        ("a_child_closes_nothing", tests::a_child_closes_nothing),
    ];
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
}

#[cfg(has_kqueue)]
mod tests {
    use std::fs::File;
    use std::io::ErrorKind;
    use std::os::fd::AsRawFd as _;
    use std::time::Duration;

    use ekio::poller::kqueue::Kqueue;
    use ekio::poller::{Event, Events, Interest, Key, Poller as _, Readiness, Source, Trigger};

    const SIGNAL: i32 = libc::SIGUSR1;
    const READABLE: Interest = Interest::READABLE;
    const QUIET: Duration = Duration::from_millis(20);
    const HANG: Duration = Duration::from_secs(30);

    /// A signal that is blocked stays without effect, and pending: that suits every system. (A real
    /// kqueue sees it being sent; libkqueue fetches it with a signalfd.)
    pub(super) fn block_signals() {
        let mut signals = std::mem::MaybeUninit::uninit();
        // SAFETY: sigemptyset(3) fills the set, which is ours.
        unsafe { libc::sigemptyset(signals.as_mut_ptr()) };
        // SAFETY: it was filled in the line above.
        let mut signals = unsafe { signals.assume_init() };
        // SAFETY: sigaddset(3) asks for a set that was filled, and the signal's number is one.
        unsafe { libc::sigaddset(&raw mut signals, SIGNAL) };
        // SAFETY: pthread_sigmask(3) asks for a set, which lives during the call, and may be given
        // null in place of room for the old one.
        let answer = unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signals, std::ptr::null_mut())
        };
        assert_eq!(answer, 0);
    }

    fn send_signal() {
        let this_process = i32::try_from(std::process::id()).unwrap();
        // SAFETY: kill(2) has no preconditions; the signal is blocked, see `main`.
        assert_eq!(unsafe { libc::kill(this_process, SIGNAL) }, 0);
    }

    fn wait(poller: &Kqueue, timeout: Duration) -> Vec<Event> {
        let mut events = Events::with_capacity(8);
        poller.wait(&mut events, Some(timeout)).unwrap();
        events.iter().copied().collect()
    }

    /// Waits until the signal was told of under `key`, and says how often it had come.
    fn expect(poller: &Kqueue, key: u64) -> u64 {
        let events = wait(poller, HANG);
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(
            (events[0].key, events[0].readiness),
            (Key(key), Readiness::READABLE)
        );
        assert!(events[0].payload > 0, "{events:?}");
        events[0].payload
    }

    pub(super) fn signals_are_counted() {
        for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
            let poller = Kqueue::new().unwrap();
            let source = Source::Signal(SIGNAL);
            // SAFETY: there is nothing to close.
            let ticket = unsafe { poller.add(source, Key(1), READABLE, trigger) }.unwrap();
            assert_eq!(wait(&poller, QUIET), []);
            for _ in 0..3 {
                send_signal();
                assert_eq!(expect(&poller, 1), 1);
                // It has been told, and is no condition that holds.
                assert_eq!(wait(&poller, QUIET), []);
                if trigger == Trigger::OneShot {
                    poller
                        .modify(&ticket, source, Key(1), READABLE, trigger)
                        .unwrap();
                }
            }
            poller.delete(ticket, source).unwrap();
        }
    }

    pub(super) fn signals_wait_while_quiet() {
        for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
            let poller = Kqueue::new().unwrap();
            let source = Source::Signal(SIGNAL);
            // SAFETY: there is nothing to close.
            let ticket = unsafe { poller.add(source, Key(1), Interest::NONE, trigger) }.unwrap();
            for _ in 0..2 {
                send_signal();
                assert_eq!(wait(&poller, QUIET), [], "nobody has asked");
            }
            poller
                .modify(&ticket, source, Key(2), READABLE, trigger)
                .unwrap();
            assert_eq!(expect(&poller, 2), 2, "none was forgotten");
            assert_eq!(wait(&poller, QUIET), []);
            if trigger == Trigger::OneShot {
                send_signal();
                assert_eq!(wait(&poller, QUIET), [], "it was told once");
                poller
                    .modify(&ticket, source, Key(3), READABLE, trigger)
                    .unwrap();
                assert_eq!(expect(&poller, 3), 1);
            }
            poller.delete(ticket, source).unwrap();
        }
    }

    pub(super) fn no_such_signal() {
        let poller = Kqueue::new().unwrap();
        for number in [-1, 100_000] {
            let source = Source::Signal(number);
            // SAFETY: there is nothing to close.
            let answer = unsafe { poller.add(source, Key(1), READABLE, Trigger::Level) };
            assert_eq!(answer.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    }

    /// In a child of `fork` there is no queue, and its number is soon another file's: the poller
    /// says so, and closes nothing that is not its own.
    pub(super) fn a_child_closes_nothing() {
        let poller = Kqueue::new().unwrap();
        // SAFETY: fork(2) in a program of several threads asks that the child calls only what is
        // safe in a signal handler. libkqueue's other threads hold no lock that std's calls below
        // take, and the child ends by `_exit`.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let status = i32::from(!is_harmless_in_child(poller));
            // SAFETY: _exit(2) has no preconditions.
            unsafe { libc::_exit(status) };
        }
        let mut status = 0;
        // SAFETY: waitpid(2) asks for room for the status, which the local is.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0, "the child says how it went");
        // The parent is none the worse for it.
        poller.notify().unwrap();
        assert_eq!(wait(&poller, HANG), []);
    }

    fn is_harmless_in_child(poller: Kqueue) -> bool {
        let is_refused = poller.notify().is_err()
            && poller
                .wait(&mut Events::with_capacity(1), Some(Duration::ZERO))
                .is_err();
        // One of these has the number that was the queue's.
        let files: Vec<File> = (0..32)
            .filter_map(|_| File::open("/dev/null").ok())
            .collect();
        drop(poller);
        let are_open = files.iter().all(|file| {
            // SAFETY: fcntl(2) with F_GETFD has no preconditions.
            unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFD) >= 0 }
        });
        // They are not dropped: one that was closed behind std's back would end this here.
        std::mem::forget(files);
        is_refused && are_open
    }
}
