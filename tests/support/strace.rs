//! What an example asks of the system, as `strace` sees it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::HANG;
use super::example::{self, Running};

/// An example that serves until it is dropped, and what is written about it.
pub struct Traced {
    pub process: Running,
    pub log: Log,
}

/// Starts an example whose first line begins with "listening on". The error says why it cannot be
/// traced.
pub fn start(example: &str) -> Result<Traced, &'static str> {
    if !cfg!(poller = "epoll") {
        return Err("the calls are counted with epoll only");
    }
    let version = Command::new("strace").arg("-V").output();
    if !version.is_ok_and(|said| said.status.success()) {
        return Err("strace is not installed");
    }
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{example}.strace"));
    // With -D the server is our child, and strace a grandchild that ends by itself.
    let mut command = Command::new("strace");
    command
        .args(["-D", "-f", "-s", "256", "-o"])
        .arg(&log)
        .arg(example::path(example));
    let process = Running::start(&mut command);
    if !process.first_line.starts_with("listening on ") {
        return Err("strace may not trace here");
    }
    let log = Log(log);
    Ok(Traced { process, log })
}

pub struct Log(PathBuf);

impl Log {
    /// The system calls from the first line that the server printed until it was killed.
    pub fn calls(&self) -> Vec<String> {
        let deadline = Instant::now() + HANG;
        let text = loop {
            let text = std::fs::read_to_string(&self.0).unwrap();
            if text.contains("+++ killed by") {
                break text;
            }
            assert!(Instant::now() < deadline, "strace does not end");
            thread::sleep(Duration::from_millis(10));
        };
        let calls = text
            .lines()
            .skip_while(|line| !line.contains("\"listening on"));
        let calls = calls
            .skip(1)
            .filter(|line| !line.contains("+++") && !line.contains("---"));
        let calls = calls.filter_map(|line| Some(line.split_once(' ')?.1.trim_start().to_owned()));
        calls.collect()
    }
}

pub fn is_wait(call: &str) -> bool {
    call.starts_with("epoll_wait") || call.starts_with("epoll_pwait")
}
