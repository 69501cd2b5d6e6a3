//! Copies of this process: forks, and programs that it starts.

use ekio::poller::Poller;
#[cfg(unix)]
use ekio::poller::{Interest, Readiness, Source, Trigger};

#[cfg(unix)]
use crate::support::net::{drain_data, send, tcp_pair};
#[cfg(unix)]
use crate::support::rig::Rig;
use crate::support::skipped;

/// Row b_fork: the child's use answers an error, and does the parent no harm.
#[cfg(unix)]
pub fn fork<P: Poller>() {
    use crate::support::unix::in_a_fork;
    use ekio::poller::{Event, Events, Key};
    use std::time::Duration;
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let ticket = rig.add(source, 1, Interest::READABLE, Trigger::Edge);
    let mut events = Events::with_capacity(4);
    let status = in_a_fork(|| {
        let poller = &*rig.poller;
        // SAFETY: a breach would mix up events; this is refused anyhow.
        let added = unsafe { poller.add(source, Key(2), Interest::BOTH, Trigger::Level) };
        let answers = [
            added.is_err(),
            poller
                .modify(&ticket, source, Key(3), Interest::NONE, Trigger::Level)
                .is_err(),
            poller.wait(&mut events, Some(Duration::ZERO)).is_err(),
            poller.notify().is_err(),
            poller
                .post(Event::new(Key(4), Readiness::READABLE))
                .is_err(),
        ];
        // The number of the first call that was not refused.
        answers
            .iter()
            .position(|is_refused| !is_refused)
            .map_or(0, |at| at as i32 + 1)
    });
    assert_eq!(
        status, 0,
        "0 is: all were refused; else the number of the one that was not"
    );
    rig.expect_silence();
    for _ in 0..3 {
        send(&far, b"x");
        rig.expect(1, Readiness::READABLE);
        assert_eq!(drain_data(&near), b"x");
        rig.rearm(&ticket, Interest::READABLE);
    }
    rig.poller.notify().unwrap();
    assert_eq!(rig.wait(None), []);
    rig.delete(ticket, source);
}

#[cfg(not(unix))]
pub fn fork<P: Poller>() {
    skipped("this system has no fork");
}

/// Row b_inherit: no descriptor of a poller is inherited by a program that we start.
#[cfg(unix)]
pub fn inherit<P: Poller>() {
    use std::collections::BTreeSet;
    use std::process::{Command, Stdio};
    let list = || {
        let output = Command::new("ls")
            .args(["-l", "/proc/self/fd/"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        // "... 5 -> anon_inode:[eventpoll]"
        let links = text.lines().filter_map(|line| line.split_once(" -> "));
        let links = links.map(|(left, right)| {
            let number = left.rsplit(' ').next().unwrap_or_default();
            (number.to_owned(), right.to_owned())
        });
        // The pipes that `output` makes for it, and the folder that it lists, are always new.
        links
            .filter(|(number, right)| {
                number.parse::<u32>().unwrap() > 2 && !right.contains("/proc/")
            })
            .collect::<BTreeSet<_>>()
    };
    if !std::path::Path::new("/proc/self/fd").exists() {
        return skipped("this system has no list of a process's descriptors");
    }
    let before = list();
    let rig = Rig::<P>::new();
    let (near, _far) = tcp_pair();
    let ticket = rig.add(Source::socket(&near), 1, Interest::READABLE, Trigger::Level);
    let mut child = crate::process::child();
    let process = P::CAPS.processes.then(|| {
        rig.add(
            Source::process(&child),
            2,
            Interest::READABLE,
            Trigger::Level,
        )
    });
    let during = list();
    let ours: Vec<_> = during.difference(&before).collect();
    assert!(ours.is_empty(), "inherited: {ours:?}");
    assert!(
        before.iter().all(|(_, link)| !link.contains("anon_inode")),
        "{before:?}"
    );
    if let Some(ticket) = process {
        rig.delete(ticket, Source::process(&child));
    }
    crate::process::end(&mut child);
    rig.delete(ticket, Source::socket(&near));
}

#[cfg(not(unix))]
pub fn inherit<P: Poller>() {
    skipped("a poller's handles are not to be had from outside");
}
