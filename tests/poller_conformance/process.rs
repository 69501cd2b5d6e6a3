//! Children that exit, and signals, where `CAPS` says so.

use std::process::{Child, Command, Stdio};

use ekio::poller::{Interest, Poller, Readiness, Source, Trigger};

use crate::support::rig::Rig;
use crate::support::{repeat, skipped};

const READABLE: Interest = Interest::READABLE;

/// A child that lives until its standard input ends.
pub fn child() -> Child {
    // The command interpreter takes its commands from there.
    let program = if cfg!(windows) { "cmd.exe" } else { "cat" };
    Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// A child that exits at once.
fn short_lived() -> Child {
    let mut command = if cfg!(windows) {
        let mut command = Command::new("cmd.exe");
        command.args(["/c", "exit"]);
        command
    } else {
        Command::new("true")
    };
    command.spawn().unwrap()
}

/// Lets it exit, and buries it.
pub fn end(child: &mut Child) {
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

fn is_watched<P: Poller>() -> bool {
    if !P::CAPS.processes {
        skipped("this poller does not watch processes");
    }
    P::CAPS.processes
}

pub fn exit<P: Poller>(trigger: Trigger) {
    if !is_watched::<P>() {
        return;
    }
    let mut rig = Rig::<P>::new();
    let mut child = child();
    let ticket = rig.add(Source::process(&child), 1, READABLE, trigger);
    rig.expect_silence();
    drop(child.stdin.take());
    rig.expect(1, Readiness::READABLE);
    match trigger {
        Trigger::Level => {
            rig.expect(1, Readiness::READABLE);
        }
        Trigger::Edge => {}
        Trigger::OneShot => rig.expect_silence(),
    }
    rig.delete(ticket, Source::process(&child));
    assert!(child.wait().unwrap().success());
    rig.forget();
    rig.expect_silence();
}

/// Row a09: children that are gone before, during and after the registration.
pub fn spawn_true_1000<P: Poller>(trigger: Trigger) {
    if !is_watched::<P>() {
        return;
    }
    let mut rig = Rig::<P>::new();
    for key in 0..u64::try_from(repeat(1_000)).unwrap() {
        let mut child = short_lived();
        // From "at once" to "long dead".
        std::thread::sleep(std::time::Duration::from_millis(key % 5));
        let ticket = rig.add(Source::process(&child), key, READABLE, trigger);
        rig.expect(key, Readiness::READABLE);
        rig.delete(ticket, Source::process(&child));
        assert!(child.wait().unwrap().success());
    }
}

/// Row a10: an exit that was reported and is not fetched is reported again for each time that the
/// owner asks, and no more often.
pub fn pidfd_spurious<P: Poller>(trigger: Trigger) {
    if !is_watched::<P>() {
        return;
    }
    let mut rig = Rig::<P>::new();
    let mut child = child();
    drop(child.stdin.take());
    let ticket = rig.add(Source::process(&child), 1, READABLE, trigger);
    rig.expect(1, Readiness::READABLE);
    for _ in 0..10 {
        rig.settle();
        rig.forget();
        rig.expect_silence();
        // As if `try_wait` had said "not yet".
        rig.modify(&ticket, Source::process(&child), 1, READABLE, trigger);
        rig.expect(1, Readiness::READABLE);
    }
    rig.delete(ticket, Source::process(&child));
    assert!(child.wait().unwrap().success());
}

/// Row a08: a descriptor whose number is that of a child process. Each event goes to its owner.
#[cfg(unix)]
pub fn pid_eq_fd<P: Poller>(trigger: Trigger) {
    use crate::support::net::{drain_data, send, tcp_pair};
    use crate::support::unix::{duplicate_at, raise_open_files};
    use std::os::fd::AsFd as _;
    if !is_watched::<P>() {
        return;
    }
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let mut child = child();
    if u64::from(child.id()) >= raise_open_files() {
        end(&mut child);
        return skipped("the number of the child is larger than any descriptor may be");
    }
    let Ok(twin) = duplicate_at(&near, i32::try_from(child.id()).unwrap()) else {
        end(&mut child);
        return skipped("the number of the child is in use as a descriptor");
    };
    let process = rig.add(Source::process(&child), 1, READABLE, trigger);
    let socket = rig.add(Source::Socket(twin.as_fd()), 2, READABLE, trigger);
    rig.expect_silence();
    send(&far, b"x");
    rig.expect(2, Readiness::READABLE);
    assert_eq!(rig.take_seen(1), Readiness::NONE);
    assert_eq!(drain_data(&near), b"x");
    rig.ask_again(
        &socket,
        Source::Socket(twin.as_fd()),
        (2, READABLE, trigger),
        READABLE,
    );
    rig.forget();
    drop(child.stdin.take());
    rig.expect(1, Readiness::READABLE);
    assert_eq!(rig.take_seen(2), Readiness::NONE);
    rig.delete(process, Source::process(&child));
    rig.delete(socket, Source::Socket(twin.as_fd()));
    assert!(child.wait().unwrap().success());
}

#[cfg(not(unix))]
pub fn pid_eq_fd<P: Poller>(_trigger: Trigger) {
    skipped("processes are not named by small numbers here");
}

/// A signal is readable when it has been delivered, and its event says how often.
#[cfg(unix)]
pub fn signal<P: Poller>(trigger: Trigger) {
    use crate::support::is_libkqueue;
    use crate::support::unix::{ignore_signal, send_signal};
    if !P::CAPS.signals {
        return skipped("this poller does not watch signals");
    }
    if is_libkqueue::<P>() {
        return skipped("libkqueue wants it blocked in every thread: see kqueue_alone");
    }
    // A signal is everybody's.
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock();
    let number = ignore_signal();
    let mut rig = Rig::<P>::new();
    let source = Source::Signal(number);
    let ticket = rig.add(source, 1, READABLE, trigger);
    rig.expect_silence();
    for _ in 0..3 {
        send_signal(number);
        let events = rig.wait(crate::support::HANG);
        assert_eq!(events.len(), 1);
        assert!(events[0].payload >= 1, "{events:?}");
        rig.ask_again(&ticket, source, (1, READABLE, trigger), READABLE);
    }
    rig.settle();
    rig.forget();
    rig.delete(ticket, source);
    send_signal(number);
    rig.expect_silence();
}

#[cfg(not(unix))]
pub fn signal<P: Poller>(_trigger: Trigger) {
    if P::CAPS.signals {
        return skipped("nothing here can send one");
    }
    skipped("this poller does not watch signals");
}
