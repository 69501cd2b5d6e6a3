//! What Unix has besides: zombies, numbers, and descriptors that programs inherit.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::thread;
use std::time::Duration;

use ekio::process::{Command, Stdio};

use crate::support::futures::{cancel, everywhere};
use crate::support::skipped;
use crate::support::unix::pipe;
use crate::support::watchdog::Watchdog;
use crate::{actor, begin_to_wait, short_lived};

/// True while the number is in the system's table: of a child that runs, or a zombie.
fn is_in_table(id: u32) -> bool {
    let id = i32::try_from(id).unwrap();
    // SAFETY: kill(2) asks for nothing, and 0 sends nothing.
    let answer = unsafe { libc::kill(id, 0) };
    answer == 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
}

/// Nobody waits for them, nobody starts another program, and yet they are buried: their reactor tells.
#[test]
fn no_zombies() {
    if !cfg!(any(has_pidfd, poller = "kqueue")) {
        return skipped("this poller does not watch processes: see the next test");
    }
    everywhere(|| async {
        let mut ids = Vec::new();
        for number in 0..6 {
            let mut child = actor("wait").kill_on_drop(number % 2 == 0).spawn().unwrap();
            ids.push(child.id().unwrap());
            if number % 3 == 0 {
                begin_to_wait(&mut child).await;
            }
        }
        for id in ids {
            while is_in_table(id) {
                ekio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
}

/// Dropped where nobody drives a reactor of their own, or that is gone, they are buried when other
/// programs are started.
#[test]
fn no_zombies_without_a_reactor() {
    let _watchdog = Watchdog::start();
    let mut ids = Vec::new();
    let mut begin = |is_killed| {
        let mut command = actor("wait");
        let child = command.kill_on_drop(is_killed).spawn().unwrap();
        ids.push(child.id().unwrap());
        child
    };
    for is_killed in [false, true] {
        let child = begin(is_killed);
        ekio::block_on(async move { drop(child) });
        let child = begin(is_killed);
        thread::spawn(move || ekio::block_on(async move { drop(child) }))
            .join()
            .unwrap();
        drop(begin(is_killed));
        let mut child = begin(is_killed);
        ekio::block_on(begin_to_wait(&mut child));
        drop(child);
    }
    while ids.iter().any(|id| is_in_table(*id)) {
        ekio::block_on(short_lived().status()).unwrap();
    }
}

/// A pipe that nobody could use is closed before the first poll: the program sees its end.
#[test]
fn status_closes_pipes_at_once() {
    let _watchdog = Watchdog::start();
    let (mut reader, writer) = pipe();
    let mut command = Command::new("cat");
    let status = command.stdin(Stdio::piped()).stdout(writer).status();
    drop(command);
    while reader.read(&mut [0]).is_err() {
        thread::yield_now();
    }
    assert!(ekio::block_on(status).unwrap().success());
}

/// A crowd of children costs no threads, and no handler of `SIGCHLD`. Counted in a process where
/// nothing else is going on.
#[test]
fn no_threads_and_no_handler() {
    let _watchdog = Watchdog::start();
    let output = ekio::block_on(actor("count threads").output()).unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    match text.split_once(' ') {
        Some((one, many)) => assert_eq!(one, many, "threads beside one child, and beside 20"),
        None => skipped("this system has no list of a process's threads"),
    }
}

/// The part of it that runs in that process; it tells how many threads there were.
pub fn count_threads() -> Option<[usize; 2]> {
    let count = || Some(std::fs::read_dir("/proc/self/task").ok()?.count());
    let counts = ekio::block_on(async {
        let mut children = Vec::new();
        let mut counts = [None; 2];
        for (target, seen) in [1, 20].into_iter().zip(&mut counts) {
            while children.len() < target {
                let mut child = actor("wait").spawn().unwrap();
                begin_to_wait(&mut child).await;
                children.push(child);
            }
            *seen = count();
        }
        for mut child in children {
            assert!(child.wait().await.unwrap().success());
        }
        counts
    });
    // SAFETY: all zeros is a value of this C structure.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: sigaction(2) asks for room for the action, which the local is.
    let answer = unsafe { libc::sigaction(libc::SIGCHLD, std::ptr::null(), &raw mut action) };
    assert_eq!((answer, action.sa_sigaction), (0, libc::SIG_DFL));
    Some([counts[0]?, counts[1]?])
}

/// One child's output is another one's input, without a detour through us.
#[test]
fn a_pipeline() {
    everywhere(|| async {
        let mut first = Command::new("sh")
            .args(["-c", "read line; echo $line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut between = first.stdout.take().unwrap();
        // It is registered, and leaves the reactor again.
        cancel(between.read(&mut [0; 8])).await;
        let between = between.into_owned_fd().unwrap();
        let mut to = first.stdin.take().unwrap();
        to.write_all(b"hello\n").await.unwrap();
        let second = Command::new("tr")
            .args(["a-z", "A-Z"])
            .stdin(between)
            .output();
        assert_eq!(second.await.unwrap().stdout, b"HELLO\n");
        assert!(first.wait().await.unwrap().success());
    });
}

/// A future of `output` that is dropped kills its child, if it was told to.
#[test]
fn output_is_killed_on_drop() {
    use std::io::Read as _;
    everywhere(|| async {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        rustix::io::fcntl_setfd(&reader, rustix::io::FdFlags::CLOEXEC).unwrap();
        let mut reader = std::fs::File::from(reader);
        let mut command = Command::new("sleep");
        command.arg("1000").kill_on_drop(true).stderr(writer);
        cancel(command.output()).await;
        // It has the writing end.
        drop(command);
        let ended = ekio::spawn_blocking(move || reader.read(&mut [0; 8]).unwrap());
        assert_eq!(ended.await.unwrap(), 0);
    });
}

#[test]
fn ended_by_a_signal() {
    use std::os::unix::process::ExitStatusExt as _;
    let _watchdog = Watchdog::start();
    ekio::block_on(async {
        let mut child = actor("wait").spawn().unwrap();
        child.start_kill().unwrap();
        assert_eq!(child.wait().await.unwrap().signal(), Some(libc::SIGKILL));
    });
}

/// Waits until a child has exited, behind the back of who has started it.
fn steal_status(id: u32) {
    let id = i32::try_from(id).unwrap();
    // SAFETY: waitpid(2) asks for nothing if the status is not wanted.
    let stolen = unsafe { libc::waitpid(id, std::ptr::null_mut(), 0) };
    assert_eq!(stolen, id);
}

/// Its number may be another program's by then.
#[test]
fn a_stolen_status_is_no_leave_to_kill() {
    let _watchdog = Watchdog::start();
    ekio::block_on(async {
        let mut child = short_lived().kill_on_drop(true).spawn().unwrap();
        steal_status(child.id().unwrap());
        let error = child.start_kill().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECHILD));
    });
}

/// A status that somebody else has taken is an error, and no hang.
#[test]
fn a_stolen_status() {
    if cfg!(has_libkqueue) {
        return skipped("libkqueue wants a child to be there when it tells of its end");
    }
    everywhere(|| async {
        let mut child = actor("wait").spawn().unwrap();
        let id = child.id().unwrap();
        begin_to_wait(&mut child).await;
        drop(child.stdin.take());
        ekio::spawn_blocking(move || steal_status(id))
            .await
            .unwrap();
        let error = child.wait().await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ECHILD), "{error}");
    });
}

/// Row b_inherit: a program that we start has no descriptor of ours, whatever we have.
#[test]
fn b_inherit() {
    if !std::path::Path::new("/proc/self/fd").exists() {
        return skipped("this system has no list of a process's descriptors");
    }
    let _watchdog = Watchdog::start();
    let list = || async {
        let mut command = Command::new("ls");
        command.args(["-l", "/proc/self/fd/"]);
        let output = command.output().await.unwrap();
        // "... 5 -> anon_inode:[eventpoll]"
        let text = String::from_utf8(output.stdout).unwrap();
        let links = text.lines().filter_map(|line| line.split_once(" -> "));
        let links = links.map(|(left, right)| {
            let number = left.rsplit(' ').next().unwrap_or_default();
            (number.parse::<u32>().unwrap(), right.to_owned())
        });
        // The folder that it lists is its own.
        let foreign = links.filter(|(number, link)| *number > 2 && !link.contains("/proc/"));
        foreign.collect::<BTreeSet<_>>()
    };
    // What this program was started with is not ours.
    let before = futures_lite::future::block_on(list());
    ekio::block_on(async {
        use ekio::signal::unix::{SignalKind, signal};
        let mut signal = signal(SignalKind::from_raw(libc::SIGURG)).unwrap();
        cancel(signal.recv()).await;
        let listener = ekio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        cancel(listener.accept()).await;
        let mut child = actor("wait").spawn().unwrap();
        begin_to_wait(&mut child).await;
        let mut other = actor("wait").spawn().unwrap();
        cancel(other.stdout.as_mut().unwrap().read_to_end(&mut Vec::new())).await;
        drop(actor("wait").spawn().unwrap());
        let during = list().await;
        let ours: Vec<_> = during.difference(&before).collect();
        assert!(ours.is_empty(), "inherited: {ours:?}");
        assert!(other.wait().await.unwrap().success());
        assert!(child.wait().await.unwrap().success());
    });
}
