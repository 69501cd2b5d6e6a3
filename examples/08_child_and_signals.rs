//! The ladder, rung 8: other programs, and what the system tells this one.
//!
//! # What this teaches
//!
//! A socket is not the only thing that keeps a program waiting. Here the peers are programs, started
//! by this one, and the news are of four kinds, on one thread and in one queue:
//!
//! | what is waited for | what tells | here |
//! |---|---|---|
//! | a child's answer | its pipe is readable | `stdout.read` |
//! | room for a question | its pipe is writable | `stdin.write_all` |
//! | a child's end | a pidfd, `EVFILT_PROC`, or a wait for its handle | `child.wait` |
//! | Ctrl-C | a handler writes to a pipe (on Windows it wakes the task) | `ctrl_c` |
//!
//! Two of them want care, which the library takes, and which is worth knowing of:
//!
//! * *What the queue says of a child is a hint.* The status is had from `waitpid` alone, and only
//!   once: whoever asks for "any child" steals it from others. So each child is asked by its number,
//!   when the queue has told of it; and one that nobody waits for is asked too, or it would stay in
//!   the system's table as a zombie.
//! * *A handler of a signal runs between any two instructions*, so it may do next to nothing: no lock,
//!   no allocation. Ours writes one byte; everything else happens when a task reads it.
//!
//! Run it with `cargo run --example 08_child_and_signals`, and press Ctrl-C if you like: it is counted.
//! The programs that it starts are itself, with an argument.

use std::io::{self, BufRead as _, Write as _};
use std::time::Duration;

use ekio::process::{Child, Command, Stdio};
use ekio::time::timeout;

/// How many children are asked, and what each of them.
const CHILDREN: usize = 3;
const QUESTIONS_EACH: usize = 4;

/// A program that teaches should not hang if something is wrong: everybody gives up after this.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a child that never answers is given.
const IMPATIENCE: Duration = Duration::from_millis(100);

fn main() -> io::Result<()> {
    if let Some(number) = std::env::args().nth(1) {
        return be_child(&number);
    }
    let seen = ekio::block_on(async { timeout(PATIENCE, be_parent()).await? })?;
    println!("{seen}");
    Ok(())
}

async fn be_parent() -> io::Result<String> {
    // The call, not the await, is when listening begins.
    let interruption = ekio::spawn_local(ekio::signal::ctrl_c());

    let asked: Vec<_> = (1..=CHILDREN)
        .map(|number| ekio::spawn_local(ask(number)))
        .collect();
    let killed = ekio::spawn_local(lose_patience());

    let mut answers = 0;
    for task in asked {
        answers += task.await.expect("a task has panicked, see above")?;
    }
    killed.await.expect("a task has panicked, see above")?;

    press_ctrl_c().await?;
    let interruptions = if interruption.is_finished() || cfg!(unix) {
        interruption
            .await
            .expect("a task has panicked, see above")?;
        println!("Ctrl-C, and the program goes on");
        1
    } else {
        0
    };
    Ok(format!(
        "{CHILDREN} children have answered {answers} questions, 1 was killed, Ctrl-C came {interruptions} times"
    ))
}

/// Starts a child, and asks it things until it has exited. Answers how many it has answered.
async fn ask(number: usize) -> io::Result<usize> {
    let mut child = start(&number.to_string())?;
    let mut questions = child.stdin.take().expect("it is piped");
    let mut answers = child.stdout.take().expect("it is piped");
    let mut count = 0;
    for question in 1..=QUESTIONS_EACH {
        questions
            .write_all(format!("{question}\n").as_bytes())
            .await?;
        let mut answer = Vec::new();
        while answer.last() != Some(&b'\n') {
            let mut buffer = [0; 64];
            let got = answers.read(&mut buffer).await?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            answer.extend_from_slice(&buffer[..got]);
        }
        print!("{}", String::from_utf8_lossy(&answer));
        count += 1;
    }
    // The end of its input is what a child waits for.
    drop(questions);
    let status = child.wait().await?;
    assert_eq!(status.code(), i32::try_from(number).ok());
    println!("child {number} has ended: {status}");
    Ok(count)
}

/// Starts a child that never answers, for it is never asked, and kills it.
async fn lose_patience() -> io::Result<()> {
    let mut child = start("idle")?;
    let questions = child.stdin.take();
    // A wait that is given up loses nothing.
    if timeout(IMPATIENCE, child.wait()).await.is_err() {
        child.kill().await?;
    }
    let status = child.wait().await?;
    assert!(!status.success());
    println!("the idle child has ended: {status}");
    drop(questions);
    Ok(())
}

/// This program again, with an argument; its input and output are pipes to here. If a task gives up,
/// its child goes with it.
fn start(argument: &str) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .arg(argument)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
}

/// On Unix another program can do it for the user.
async fn press_ctrl_c() -> io::Result<()> {
    if cfg!(unix) {
        let this_process = std::process::id().to_string();
        let status = Command::new("kill")
            .args(["-INT", &this_process])
            .status()
            .await?;
        assert!(status.success());
    }
    Ok(())
}

/// The children are as simple as can be: calls that block. Each ends with its number as status.
fn be_child(number: &str) -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let answer = format!("child {number} says {}\n", line?.repeat(3));
        io::stdout().write_all(answer.as_bytes())?;
        io::stdout().flush()?;
    }
    std::process::exit(number.parse().unwrap_or(0));
}
