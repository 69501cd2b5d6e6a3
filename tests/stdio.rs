//! The program's input and output: each test starts this program once more, in a part of the play
//! (`EKIO_PART`), and holds the other ends of its pipes.

#[path = "support/mod.rs"]
mod support;

use std::future::Future;
use std::io::Write as _;
use std::pin::pin;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::task::{Context, Waker};

use ekio::io::{stderr, stdin, stdout};
use ekio::runtime::TaskState;
use support::HANG;
use support::example::read_aside;

/// Polls once, and drops it.
fn give_up<F: Future>(future: F) {
    let polled = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
}

/// A part that is being played.
struct Part {
    child: Child,
    stdin: Option<ChildStdin>,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Part {
    fn start(name: &str) -> Part {
        let mut child = Part::command(name).spawn().unwrap();
        Part {
            stdin: child.stdin.take(),
            out: read_aside(child.stdout.take().unwrap()),
            err: read_aside(child.stderr.take().unwrap()),
            child,
        }
    }

    fn command(name: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "play_a_part", "--ignored", "--nocapture"]);
        command.env("EKIO_PART", name);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
    }

    /// Waits for its end, with whatever is open staying open. Answers what it wrote, between the
    /// marks, and its errors.
    fn finish(mut self) -> (String, String) {
        let (Ok(out), Ok(err)) = (self.out.recv_timeout(HANG), self.err.recv_timeout(HANG)) else {
            self.child.kill().unwrap();
            panic!("it does not end");
        };
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {out}\n{err}");
        // The test harness prints too.
        let begin = out.find("<<").expect("it has begun") + 2;
        let end = out.find(">>").expect("it has come to its end");
        (out[begin..end].replace("\r\n", "\n"), err)
    }
}

#[test]
#[ignore = "started by the other tests"]
fn play_a_part() {
    print!("<<");
    match std::env::var("EKIO_PART").unwrap().as_str() {
        "gives up and ends" => ekio::block_on(async {
            give_up(stdin().read(&mut [0]));
            give_up(stdin().read_line(&mut String::new()));
        }),
        "ends a runtime" => ends_a_runtime(),
        "gives up and reads" => gives_up_and_reads(),
        "reads by std too" => reads_by_std_too(),
        "copies" => copies(),
        "writes" => writes(),
        "is not heard" => {
            println!(">>");
            let much = vec![b'x'; 1 << 20];
            ekio::block_on(async {
                let mut stdout = stdout();
                for _ in 0..8 {
                    let write = async { stdout.write(&much).await.map(drop) };
                    futures_lite::future::or(write, async { Ok(()) })
                        .await
                        .unwrap();
                }
            });
            // The harness would print.
            std::process::exit(0);
        }
        other => panic!("there is no part {other}"),
    }
    println!(">>");
}

/// tokio #2466.
#[test]
fn an_open_input_keeps_no_program_from_ending() {
    let part = Part::start("gives up and ends");
    part.finish();
}

/// A call of the pool's blocks in the system, and its runtime ends without it.
#[test]
fn b_drop_runtime_while_the_input_is_read() {
    let part = Part::start("ends a runtime");
    part.finish();
}

fn ends_a_runtime() {
    let runtime = ekio::Runtime::builder().workers(2).build().unwrap();
    let reader = runtime.spawn(async { stdin().read(&mut [0]).await });
    while runtime.dump().tasks[0].state != TaskState::Waiting {
        std::thread::yield_now();
    }
    drop(runtime);
    assert!(ekio::block_on(reader).unwrap_err().is_cancelled());
}

fn gives_up_and_reads() {
    ekio::block_on(async { give_up(stdin().read(&mut [0; 64])) });
    let mut ours = stdin();
    ekio::block_on(async { give_up(ours.read_line(&mut String::new())) });
    // Now somebody writes.
    ekio::block_on(stderr().write_all(b"ready\n")).unwrap();
    futures_lite::future::block_on(async {
        let mut line = String::new();
        assert_eq!(stdin().read_line(&mut line).await.unwrap(), 4);
        let mut byte = [0];
        assert_eq!(ours.read(&mut byte).await.unwrap(), 1);
        print!("{line}{}", byte[0]);
        let mut rest = Vec::new();
        stdin().read_to_end(&mut rest).await.unwrap();
        print!("{}", String::from_utf8(rest).unwrap());
        assert_eq!(ours.read_line(&mut line).await.unwrap(), 0);
    });
}

#[test]
fn what_comes_after_a_read_was_given_up_is_not_lost() {
    use std::io::{BufRead as _, BufReader};
    let mut child = Part::command("gives up and reads").spawn().unwrap();
    let _watchdog = support::watchdog::Watchdog::start();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut ready = String::new();
    errors.read_line(&mut ready).unwrap();
    assert_eq!(ready.trim(), "ready");
    let mut part = Part {
        stdin: child.stdin.take(),
        out: read_aside(child.stdout.take().unwrap()),
        err: read_aside(errors),
        child,
    };
    part.write("one\ntwo\nlast");
    part.stdin = None;
    assert_eq!(part.finish().0, "one\n116wo\nlast");
}

fn reads_by_std_too() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    ekio::block_on(async {
        stdin().read_line(&mut line).await.unwrap();
        stdin().read_line(&mut line).await.unwrap();
    });
    print!("{line}");
}

#[test]
fn what_std_has_in_its_buffer_is_not_lost() {
    let mut part = Part::start("reads by std too");
    part.write("one\ntwo\nthree\n");
    assert_eq!(part.finish().0, "one\ntwo\nthree\n");
}

/// By the traits, if they are there.
#[cfg(feature = "futures-io")]
fn copies() {
    use futures_lite::io::{AsyncWriteExt, copy};
    ekio::block_on(async {
        let mut stdout = stdout();
        copy(stdin(), &mut stdout).await.unwrap();
        AsyncWriteExt::close(&mut stdout).await.unwrap();
    });
}

#[cfg(not(feature = "futures-io"))]
fn copies() {
    ekio::block_on(async {
        let (mut stdin, mut stdout) = (stdin(), stdout());
        let mut buffer = [0; 10_000];
        loop {
            match stdin.read(&mut buffer).await.unwrap() {
                0 => break,
                count => stdout.write_all(&buffer[..count]).await.unwrap(),
            }
        }
    });
}

#[test]
fn what_goes_in_comes_out() {
    let mut part = Part::start("copies");
    let lines: Vec<_> = (0..100_000).map(|number| format!("{number}\n")).collect();
    let text = lines.concat();
    part.write(&text);
    part.stdin = None;
    let (out, _) = part.finish();
    assert!(out == text, "{} bytes of {}", out.len(), text.len());
}

fn writes() {
    ekio::block_on(async {
        print!("std holds this back, ");
        let mut out = stdout();
        out.write_all(b"and this comes behind, ").await.unwrap();
        print!("and this ");
        out.write_all(b"too").await.unwrap();
        out.write_all(&[]).await.unwrap();
        out.flush().await.unwrap();
        stderr().write_all(b"an error").await.unwrap();
    });
}

#[test]
fn output_is_in_order_with_that_of_std() {
    let (out, err) = Part::start("writes").finish();
    assert_eq!(
        out,
        "std holds this back, and this comes behind, and this too"
    );
    assert!(err.contains("an error"), "{err}");
}

#[test]
fn an_output_that_nobody_reads_keeps_no_program_from_ending() {
    let _watchdog = support::watchdog::Watchdog::start();
    let mut child = Part::command("is not heard").spawn().unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
}
