//! Many HTTP requests at once, on one thread, by a leaf future of our own.
//!
//! ```text
//! cargo run --example http_get                               five delays, asked of a server inside
//! cargo run --release --example http_get -- --count 1000     a thousand at once
//! cargo run --example http_get -- http://localhost:8000/     whatever you like
//! ```
//!
//! # What this teaches
//!
//! The five answers take as long as the slowest of them, not as long as all of them together, and
//! there is no second thread: while one request waits, the thread sees to the others.
//!
//! How an answer comes about, floor by floor:
//!
//! 1. `fetch` below is an `async fn`; each URL is a task of it (`ekio::spawn_local`).
//! 2. It awaits an [`HttpGetFuture`](http_get_future::HttpGetFuture), a *leaf future*: no
//!    `async fn` but a state machine with a hand-written `poll`. It is the file to read.
//! 3. The leaf future owns a `Registration`, its grip on the reactor. When the socket would block,
//!    it leaves the task's waker there.
//! 4. `ekio::block_on`, when no task can go on, sleeps in the event queue, once, for all of them.
//! 5. An event comes; the reactor finds the registration by its key, and wakes the waker that it
//!    finds there; the task is polled, and the state machine goes on from where it was.
//!
//! The other files: `answer` makes sense of bytes without any input or output, `url` and `args` of
//! what the user wrote, `delay_server` is the server inside, `open_files` makes room for sockets.

mod answer;
mod args;
mod delay_server;
mod http_get_future;
mod open_files;
mod url;

use std::env;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::{self, ExitCode};
use std::time::{Duration, Instant};

use ekio::net;
use ekio::time;

use answer::Answer;
use args::{Command, HELP, Plan, Target};
use http_get_future::HttpGetFuture;
use url::{Host, Url};

/// Open files besides the sockets of the requests: the standard streams, the event queue, the
/// listener, what looking up names needs.
const OTHER_FILES: u64 = 64;

fn main() -> ExitCode {
    let plan = match Command::parse(env::args_os().skip(1)) {
        Ok(Command::Help) => {
            say(HELP.trim_end());
            return ExitCode::SUCCESS;
        }
        Ok(Command::Get(plan)) => plan,
        Err(misuse) => {
            complain(misuse);
            complain("`http_get --help` tells how to use it");
            return ExitCode::from(2);
        }
    };
    match open_files::make_room_for(files_needed(&plan)) {
        Ok(()) => {}
        Err(why) => {
            complain(why);
            return ExitCode::FAILURE;
        }
    }
    match ekio::block_on(run(plan)) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_errors) => ExitCode::FAILURE,
        Err(error) => {
            complain(format_args!("cannot start the server inside: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// The server inside holds the other end of each connection.
fn files_needed(plan: &Plan) -> u64 {
    let sockets = match &plan.target {
        Target::Five => 2 * 5,
        Target::Many { count, .. } => 2 * count,
        Target::Urls(urls) => urls.len(),
    };
    sockets as u64 + OTHER_FILES
}

/// One request of a run.
struct Job {
    /// What the user knows it by.
    name: String,
    url: String,
    /// The delay that it asks the server inside for.
    delay: Option<Duration>,
}

/// Fetches everything at once, prints each answer when it comes and the sum of them at the end, and
/// answers how many errors there were.
async fn run(plan: Plan) -> io::Result<usize> {
    let jobs = jobs(plan.target).await?;
    let start = Instant::now();
    let tasks: Vec<_> = jobs
        .into_iter()
        .map(|job| ekio::spawn_local(report(job, plan.timeout, start)))
        .collect();
    let (mut answers, mut errors, mut delays) = (0_usize, 0_usize, Duration::ZERO);
    for task in tasks {
        match task.await {
            Ok(Some(delay)) => {
                answers += 1;
                delays += delay;
            }
            Ok(None) => errors += 1,
            Err(panic) => {
                complain(panic);
                errors += 1;
            }
        }
    }
    say(format_args!(
        "{answers} answers in {:.3} s (the delays add up to {:.3} s), {errors} errors",
        start.elapsed().as_secs_f64(),
        delays.as_secs_f64()
    ));
    Ok(errors)
}

/// Makes requests of what the user wants, and starts the server inside if it is needed.
async fn jobs(target: Target) -> io::Result<Vec<Job>> {
    let wanted: Vec<(u64, String)> = match target {
        Target::Urls(urls) => {
            let job = |url: String| Job {
                name: url.clone(),
                url,
                delay: None,
            };
            return Ok(urls.into_iter().map(job).collect());
        }
        Target::Five => [1000, 800, 600, 400, 200]
            .into_iter()
            .zip(["one", "two", "three", "four", "five"].map(str::to_owned))
            .collect(),
        Target::Many { count, delay } => (1..=count)
            .map(|number| (delay, format!("answer-{number}")))
            .collect(),
    };
    let address = delay_server::start().await?;
    say(format_args!("the delay server listens on {address}"));
    let job = |(millis, text)| {
        let name = format!("/{millis}/{text}");
        Job {
            url: format!("http://{address}{name}"),
            name,
            delay: Some(Duration::from_millis(millis)),
        }
    };
    Ok(wanted.into_iter().map(job).collect())
}

/// Fetches, and prints what came of it. Answers with the delay, if there was an answer.
async fn report(job: Job, timeout: Option<Duration>, start: Instant) -> Option<Duration> {
    let fetched = match timeout {
        None => fetch(&job.url).await,
        Some(limit) => match time::timeout(limit, fetch(&job.url)).await {
            Ok(fetched) => fetched,
            Err(_elapsed) => Err(format!(
                "there was no answer within {} ms",
                limit.as_millis()
            )),
        },
    };
    let elapsed = start.elapsed();
    match fetched {
        Ok(answer) => {
            say(format_args!(
                "{:>9.3} s  {}  {}",
                elapsed.as_secs_f64(),
                job.name,
                summary(&answer)
            ));
            Some(job.delay.unwrap_or(elapsed))
        }
        Err(why) => {
            complain(format_args!("{}: {why}", job.name));
            None
        }
    }
}

async fn fetch(url: &str) -> Result<Answer, String> {
    let url: Url = url
        .parse()
        .map_err(|error: url::BadUrl| error.to_string())?;
    let addresses = look_up(&url).await?;
    let get = HttpGetFuture::new(addresses, url.request());
    get.await.map_err(|error| error.to_string())
}

/// Names are resolved on a thread of their own, for the system's resolver blocks.
async fn look_up(url: &Url) -> Result<Vec<SocketAddr>, String> {
    match &url.host {
        Host::Address(address) => Ok(vec![SocketAddr::new(*address, url.port)]),
        Host::Name(name) => match net::lookup_host((name.as_str(), url.port)).await {
            Ok(addresses) => Ok(addresses.collect()),
            Err(error) => Err(format!("cannot find the host {name}: {error}")),
        },
    }
}

/// Status, size, and the beginning of the text, in one line.
fn summary(answer: &Answer) -> String {
    const CHARS_MAX: usize = 200;
    let Answer {
        status,
        reason,
        body,
    } = answer;
    // Enough of it for so many characters, and no more: there may be many large answers.
    let beginning = &body[..body.len().min(10 * CHARS_MAX)];
    let text = String::from_utf8_lossy(beginning);
    let words: Vec<_> = text.split_whitespace().collect();
    let text = words.join(" ");
    let mut summary = format!("{status} {reason}, {} bytes: ", body.len());
    for char in text.chars().take(CHARS_MAX) {
        if char.is_control() {
            summary.extend(char.escape_default()); // Nobody gets at the user's terminal.
        } else {
            summary.push(char);
        }
    }
    if beginning.len() < body.len() || text.chars().nth(CHARS_MAX).is_some() {
        summary.push_str(" ...");
    }
    summary
}

/// Prints a line.
fn say(line: impl fmt::Display) {
    if let Err(error) = writeln!(io::stdout(), "{line}") {
        // `http_get | head -1` is no reason for a complaint: who listened has heard enough.
        if error.kind() != io::ErrorKind::BrokenPipe {
            complain(format_args!("cannot write: {error}"));
        }
        process::exit(1);
    }
}

/// Prints a line for people. If that is impossible, there is nobody to tell.
fn complain(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "http_get: {line}");
}
