//! Children: started, talked to, waited for, killed and buried.
//!
//! The program that is started is this one: its test [`child`] plays the role that the environment
//! names, on every system in the same way.

#[path = "support/mod.rs"]
mod support;

#[cfg(unix)]
#[path = "process/unix.rs"]
mod unix;

use std::future::poll_fn;
use std::io::{ErrorKind, Read as _, Write as _};
use std::pin::pin;
use std::thread;
use std::time::Duration;

use ekio::process::{Child, Command, Stdio};
use futures_lite::future::zip;
use support::futures::{cancel, everywhere, join_all, poll_once};
use support::repeat;
use support::watchdog::Watchdog;

const ROLE: &str = "EKIO_TEST_ROLE";

/// What libtest prints before a test, it prints to the standard output; so this is where ours begins.
const MARK: &str = "curtain\n";

/// Plays a role, if it was started for one.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    out.write_all(MARK.as_bytes()).unwrap();
    out.flush().unwrap();
    match role.split_once(' ').unwrap_or((&role, "")) {
        ("exit", code) => std::process::exit(code.parse().unwrap()),
        // Copies its input to its standard error, and then says so.
        ("copy", delay) => {
            thread::sleep(Duration::from_millis(delay.parse().unwrap()));
            // Whoever listened may have gone.
            let _ = std::io::copy(&mut std::io::stdin(), &mut err);
            let _ = out.write_all(b"copied");
        }
        // The same, but nothing before it has everything.
        ("swallow", delay) => {
            thread::sleep(Duration::from_millis(delay.parse().unwrap()));
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).unwrap();
            err.write_all(&bytes).unwrap();
        }
        ("both", size) => {
            let size = size.parse().unwrap();
            out.write_all(&pattern(size)).unwrap();
            err.write_all(&pattern(size)).unwrap();
            out.write_all(b"the end").unwrap();
        }
        ("tell", name) => {
            let value = std::env::var(name).unwrap_or_else(|_| "nothing".to_owned());
            let folder = std::env::current_dir().unwrap();
            write!(err, "{value} in {}", folder.display()).unwrap();
        }
        #[cfg(unix)]
        ("count", _) => {
            let counts = unix::count_threads();
            let text = counts.map_or_else(String::new, |[one, many]| format!("{one} {many}"));
            err.write_all(text.as_bytes()).unwrap();
        }
        ("wait", _) => {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
        }
        _ => unreachable!("{role}"),
    }
    let _ = out.flush();
    std::process::exit(0);
}

/// This program, in a role. Its three standard streams are pipes.
fn actor(role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]);
    command.env(ROLE, role).env("RUST_TEST_THREADS", "1");
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    command
}

/// The quickest program that there is.
fn short_lived() -> Command {
    if cfg!(windows) {
        let mut command = Command::new("cmd.exe");
        command.args(["/c", "exit"]);
        command
    } else {
        Command::new("true")
    }
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}

/// What came behind the mark.
fn after_mark(bytes: &[u8]) -> &[u8] {
    let mark = MARK.as_bytes();
    let at = bytes.windows(mark.len()).position(|window| window == mark);
    let at = at.unwrap_or_else(|| panic!("no mark in {:?}", String::from_utf8_lossy(bytes)));
    &bytes[at + mark.len()..]
}

/// Polls once, and leaves the standard input alone. It has not ended.
async fn begin_to_wait(child: &mut Child) {
    cancel(poll_fn(|cx| child.poll_wait(cx))).await;
}

#[test]
fn statuses() {
    everywhere(|| async {
        for code in [0, 3, 77] {
            let mut child = actor(&format!("exit {code}")).spawn().unwrap();
            assert!(child.id().is_some());
            let status = child.wait().await.unwrap();
            assert_eq!(status.code(), Some(code));
            assert_eq!(child.id(), None, "its number may be another's");
            assert_eq!(child.wait().await.unwrap(), status, "again and again");
            assert_eq!(child.try_wait().unwrap(), Some(status));
            child.start_kill().unwrap();
            child.kill().await.unwrap();
        }
        let status = actor("exit 5")
            .stdout(Stdio::null())
            .status()
            .await
            .unwrap();
        assert_eq!(status.code(), Some(5));
        let error = Command::new("no such program, surely").spawn().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let failed = Command::new("no such program, surely").output().await;
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn output_of_both_streams() {
    everywhere(|| async {
        for size in [0, 1, 300_000] {
            let output = actor(&format!("both {size}")).output().await.unwrap();
            assert!(output.status.success());
            assert_eq!(output.stderr, pattern(size));
            let stdout = after_mark(&output.stdout);
            assert!(stdout == [&pattern(size)[..], b"the end"].concat());
        }
    });
}

/// What was set is kept by `output`, and what was not has std's meaning there.
#[test]
fn output_as_configured() {
    let _watchdog = Watchdog::start();
    ekio::block_on(async {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture"]);
        command.env(ROLE, "copy 0").stderr(Stdio::null());
        assert!(!command.get_kill_on_drop());
        let output = command.output().await.unwrap();
        assert_eq!(after_mark(&output.stdout), b"copied");
        assert!(output.stderr.is_empty());
    });
}

#[test]
fn environment_and_folder() {
    let _watchdog = Watchdog::start();
    ekio::block_on(async {
        let folder = std::env::temp_dir().canonicalize().unwrap();
        let tell = |command: &mut Command| {
            let output = command.output();
            async move { String::from_utf8(output.await.unwrap().stderr).unwrap() }
        };
        let mut command = actor("tell EKIO_TEST_COLOUR");
        assert!(tell(&mut command).await.starts_with("nothing in "));
        command.env("EKIO_TEST_COLOUR", "green");
        assert!(tell(&mut command).await.starts_with("green in "));
        command.envs([("EKIO_TEST_COLOUR", "blue")]);
        command.current_dir(&folder);
        let told = tell(&mut command).await;
        assert!(told.starts_with("blue in "), "{told}");
        if cfg!(unix) {
            assert!(told.ends_with(folder.to_str().unwrap()), "{told}");
        }
        command.env_remove("EKIO_TEST_COLOUR");
        assert!(tell(&mut command).await.starts_with("nothing in "));

        let mut std = std::process::Command::new(std::env::current_exe().unwrap());
        std.args(["--exact", "child", "--nocapture"]);
        std.env(ROLE, "both 3");
        let mut command = Command::from(std);
        assert_eq!(command.as_std().get_args().count(), 3);
        command.as_std_mut().env("EKIO_TEST_COLOUR", "red");
        assert_eq!(command.output().await.unwrap().stderr, pattern(3));
        let mut std = command.into_std();
        assert!(std.env_clear().get_args().count() == 3);
    });
}

/// More than any pipe holds, in both directions at the same time.
#[test]
fn a_million_bytes_there_and_back() {
    everywhere(|| async {
        let mut child = actor("copy 0").spawn().unwrap();
        let mut to = child.stdin.take().unwrap();
        let mut from = child.stderr.take().unwrap();
        let sent = pattern(1_000_000);
        let write = async {
            to.write_all(&sent).await.unwrap();
            to.flush().await.unwrap();
            drop(to);
        };
        let read = async {
            let mut bytes = Vec::new();
            assert_eq!(from.read_to_end(&mut bytes).await.unwrap(), 1_000_000);
            bytes
        };
        let ((), received) = zip(write, read).await;
        assert!(received == sent);
        assert_eq!(
            from.read(&mut [0; 8]).await.unwrap(),
            0,
            "it stays at its end"
        );
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        assert_eq!(after_mark(&output.stdout), b"copied");
    });
}

/// What was written arrives, although its writer does not wait for it.
#[test]
fn what_was_written_survives_its_writer() {
    everywhere(|| async {
        let mut child = actor("swallow 30").spawn().unwrap();
        let mut to = child.stdin.take().unwrap();
        let sent = pattern(100_000);
        to.write_all(&sent).await.unwrap();
        drop(to);
        let output = child.wait_with_output().await.unwrap();
        assert!(output.stderr == sent, "{} bytes", output.stderr.len());
    });
}

#[test]
fn wait_closes_the_input_first() {
    everywhere(|| async {
        let mut child = actor("wait").spawn().unwrap();
        cancel(child.stderr.as_mut().unwrap().read(&mut [0; 8])).await;
        assert_eq!(child.try_wait().unwrap(), None);
        assert!(child.wait().await.unwrap().success());
        let output = actor("wait").spawn().unwrap().wait_with_output();
        assert!(output.await.unwrap().status.success());
    });
}

/// Futures that are dropped while they wait lose nothing.
#[test]
fn cancel_safety() {
    everywhere(|| async {
        let mut child = actor("copy 0").spawn().unwrap();
        let mut to = child.stdin.take().unwrap();
        let mut from = child.stderr.take().unwrap();
        for round in 0..20_u8 {
            begin_to_wait(&mut child).await;
            cancel(from.read(&mut [0; 8])).await;
            let mut buffer = [0; 2];
            let sent = [round, 1];
            let write = to.write_all(&sent);
            // The first one waits before there is anything to read.
            let (read, written) = zip(from.read_exact(&mut buffer), write).await;
            read.unwrap();
            written.unwrap();
            assert_eq!(buffer, [round, 1]);
            assert_eq!(child.try_wait().unwrap(), None);
        }
        // What came for a future that was dropped is the next one's.
        cancel(from.read(&mut [0; 8])).await;
        to.write_all(b"late").await.unwrap();
        to.flush().await.unwrap();
        let mut buffer = [0; 4];
        from.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"late");
        drop(to);
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn nobody_reads() {
    everywhere(|| async {
        let mut child = actor("exit 0").spawn().unwrap();
        let mut to = child.stdin.take().unwrap();
        child.wait().await.unwrap();
        let error = loop {
            match to.write(&[0; 1_000]).await {
                Ok(count) => assert_eq!(count, 1_000),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
    });
}

#[test]
fn kill() {
    everywhere(|| async {
        let mut child = actor("wait").spawn().unwrap();
        let _to = child.stdin.take();
        begin_to_wait(&mut child).await;
        child.kill().await.unwrap();
        assert!(!child.wait().await.unwrap().success());

        // Two kills, and a wait.
        let mut child = actor("wait").spawn().unwrap();
        child.start_kill().unwrap();
        child.start_kill().unwrap();
        assert!(!child.wait().await.unwrap().success());
    });
}

/// Reads to the end, which comes when the child has gone.
async fn expect_end(child: &mut Child) -> impl Future<Output = ()> + use<> {
    let mut stderr = child.stderr.take().unwrap();
    async move {
        let mut bytes = Vec::new();
        stderr.read_to_end(&mut bytes).await.unwrap();
    }
}

#[test]
fn kill_on_drop() {
    everywhere(|| async {
        let mut child = actor("wait").kill_on_drop(true).spawn().unwrap();
        let to = child.stdin.take();
        let end = expect_end(&mut child).await;
        drop(child);
        end.await;
        drop(to);
    });
}

#[test]
fn a_dropped_child_runs_on() {
    everywhere(|| async {
        let mut child = actor("copy 0").spawn().unwrap();
        let mut to = child.stdin.take().unwrap();
        let mut from = child.stderr.take().unwrap();
        // Without it, libtest would panic.
        let _stdout = child.stdout.take();
        begin_to_wait(&mut child).await;
        drop(child);
        for round in 0..10_u8 {
            to.write_all(&[round]).await.unwrap();
            let mut buffer = [0; 1];
            from.read_exact(&mut buffer).await.unwrap();
            assert_eq!(buffer, [round]);
        }
        drop(to);
        assert_eq!(from.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

/// Row a09: children that are gone before, during and after the wait has begun.
#[test]
fn a09_spawn_true_1000() {
    everywhere(|| async {
        for round in 0..repeat(1_000) {
            let mut child = short_lived().spawn().unwrap();
            thread::sleep(Duration::from_millis(round as u64 % 5));
            if round % 3 == 0 {
                let _ = poll_once(pin!(child.wait())).await;
            }
            assert!(child.wait().await.unwrap().success());
        }
    });
}

/// All at the same time, each with its own status.
#[test]
fn a_crowd() {
    let crowd = if cfg!(windows) { 10 } else { 50 };
    everywhere(|| async move {
        let children = (0..crowd).map(|code| async move { (code, status_of_exit(code).await) });
        for (code, status) in join_all(children).await {
            assert_eq!(status, Some(code));
        }
    });
}

/// Under load, Wine refuses a process now and then, when one of several that start at the same time
/// has ended before it was up.
async fn status_of_exit(code: i32) -> Option<i32> {
    const WINES_REFUSAL: i32 = 1359; // ERROR_INTERNAL_ERROR
    for _ in 0..20 {
        match actor(&format!("exit {code}")).output().await {
            Err(error) if cfg!(windows) && error.raw_os_error() == Some(WINES_REFUSAL) => {
                println!("Wine refused to start a process, which is asked again: {error}");
            }
            output => return output.unwrap().status.code(),
        }
    }
    panic!("Wine refused to start a process, again and again")
}

/// A child is waited for by whoever polls, on whatever thread, also after the reactor that it was
/// registered with is no longer driven.
#[test]
fn a_child_moves_between_executors() {
    let _watchdog = Watchdog::start();
    let mut child = actor("copy 0").spawn().unwrap();
    let mut to = child.stdin.take().unwrap();
    let mut from = child.stderr.take().unwrap();
    ekio::block_on(begin_to_wait(&mut child));
    ekio::block_on(cancel(from.read(&mut [0; 1])));
    let (mut child, mut from) = thread::spawn(move || {
        ekio::block_on(begin_to_wait(&mut child));
        ekio::block_on(cancel(from.read(&mut [0; 1])));
        (child, from)
    })
    .join()
    .unwrap();
    futures_lite::future::block_on(async {
        begin_to_wait(&mut child).await;
        to.write_all(b"x").await.unwrap();
        let mut buffer = [0; 1];
        from.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"x");
    });
    thread::spawn(move || {
        drop(to);
        assert!(ekio::block_on(child.wait()).unwrap().success());
        assert_eq!(ekio::block_on(from.read(&mut [0; 1])).unwrap(), 0);
    })
    .join()
    .unwrap();
}

/// Children of tasks that many workers run and steal from each other.
#[test]
fn on_many_workers() {
    let _watchdog = Watchdog::start();
    let crowd = if cfg!(windows) { 6 } else { 24 };
    let runtime = ekio::runtime::Runtime::builder()
        .workers(3)
        .build()
        .unwrap();
    let tasks: Vec<_> = (0..crowd)
        .map(|code| {
            runtime.spawn(async move {
                let mut child = actor("copy 0").spawn().unwrap();
                let mut to = child.stdin.take().unwrap();
                let writer = ekio::spawn(async move {
                    for _ in 0..50 {
                        to.write_all(&[code; 2_000]).await.unwrap();
                    }
                });
                let output = child.wait_with_output().await.unwrap();
                writer.await.unwrap();
                assert!(output.status.success());
                assert!(output.stderr == [code; 100_000]);
            })
        })
        .collect();
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Row b_drop_runtime: a runtime ends while its tasks wait for children. Those that were to be killed
/// are, and what is left is good in another runtime.
#[test]
fn b_drop_runtime() {
    let _watchdog = Watchdog::start();
    let runtime = ekio::runtime::Runtime::builder()
        .workers(2)
        .build()
        .unwrap();
    let (mut outlives, ends) = runtime.block_on(async {
        let mut ends = Vec::new();
        for number in 0..4 {
            let mut child = actor("wait").kill_on_drop(true).spawn().unwrap();
            ends.push(expect_end(&mut child).await);
            ekio::spawn(async move {
                if number % 2 == 0 {
                    let _to = child.stdin.take();
                    child.wait().await.unwrap();
                } else {
                    child
                        .stdout
                        .take()
                        .unwrap()
                        .read_to_end(&mut Vec::new())
                        .await
                        .unwrap();
                    std::future::pending::<()>().await;
                }
            });
        }
        let mut outlives = actor("copy 0").spawn().unwrap();
        begin_to_wait(&mut outlives).await;
        cancel(outlives.stderr.as_mut().unwrap().read(&mut [0; 1])).await;
        (outlives, ends)
    });
    drop(runtime);
    ekio::block_on(async {
        for end in ends {
            end.await;
        }
        outlives
            .stdin
            .as_mut()
            .unwrap()
            .write_all(b"still")
            .await
            .unwrap();
        let output = outlives.wait_with_output().await.unwrap();
        assert_eq!(output.stderr, b"still");
    });
}

#[cfg(feature = "futures-io")]
#[test]
fn as_futures_io() {
    use futures_lite::io::{AsyncReadExt, AsyncWriteExt};
    everywhere(|| async {
        let mut child = actor("copy 0").spawn().unwrap();
        let mut to = child.stdin.take().unwrap();
        AsyncWriteExt::write_all(&mut to, b"some text")
            .await
            .unwrap();
        AsyncWriteExt::flush(&mut to).await.unwrap();
        // This is what the child waits for.
        to.close().await.unwrap();
        let error = to.write(b"more").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotConnected);
        let mut text = String::new();
        let mut from = child.stderr.take().unwrap();
        from.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "some text");
        let mut bytes = Vec::new();
        let mut from = child.stdout.take().unwrap();
        AsyncReadExt::read_to_end(&mut from, &mut bytes)
            .await
            .unwrap();
        assert_eq!(after_mark(&bytes), b"copied");
        assert!(child.wait().await.unwrap().success());
    });
}

/// A child of std's is a source like any other, for those who write a future by hand.
#[test]
fn a_child_of_std_as_a_source() {
    use ekio::reactor::{Direction, Registration};
    if !cfg!(any(has_pidfd, poller = "kqueue", poller = "iocp")) {
        return support::skipped("this poller does not watch processes");
    }
    everywhere(|| async {
        let mut child = actor("wait").into_std().spawn().unwrap();
        let to = child.stdin.take().unwrap();
        let child = Registration::new(child).unwrap();
        // Nothing is known at first, so it is worth a try.
        let ready = child.ready(Direction::Read).await.unwrap();
        child.clear_ready(ready);
        cancel(child.ready(Direction::Read)).await;
        drop(to);
        child.ready(Direction::Read).await.unwrap();
        let status = child.into_source().unwrap().wait().unwrap();
        assert!(status.success());
    });
}

#[test]
fn they_print_themselves() {
    let _watchdog = Watchdog::start();
    let mut child = actor("wait").spawn().unwrap();
    let text = format!("{child:?}");
    for part in [
        "Child {",
        "ChildStdin(",
        "ChildStdout(",
        "ChildStderr(",
        "id: ",
    ] {
        assert!(text.contains(part), "{text}");
    }
    ekio::block_on(child.wait()).unwrap();
}
