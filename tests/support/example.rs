//! The examples, run as programs.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::HANG;

/// Where Cargo has put an example: beside the folder of the test that runs. `cargo test` builds all
/// examples, `cargo test --test ..` builds none, and then this does.
pub fn path(name: &str) -> PathBuf {
    // One at a time, or all the tests of a program would start to build.
    static BUILD: Mutex<()> = Mutex::new(());
    let _build = BUILD.lock().unwrap_or_else(PoisonError::into_inner);

    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let path = profile
        .join("examples")
        .join(name)
        .with_extension(std::env::consts::EXE_EXTENSION);
    if !path.is_file() {
        build(name, profile);
    }
    assert!(
        path.is_file(),
        "{} is not there: `cargo build --examples` for this target and profile makes it",
        path.display()
    );
    path
}

/// Asks Cargo to build an example, if the test runs where it was built.
fn build(name: &str, profile: &Path) {
    let folder = profile.parent().unwrap();
    let profile = match profile.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let Some(cargo) = std::env::var_os("CARGO").filter(|_| !cfg!(windows)) else {
        return;
    };
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--example", name, "--profile", profile]);
    // Some want it.
    if cfg!(feature = "hyper") {
        command.args(["--features", "hyper"]);
    }
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    // A target folder has this file; the folder of a target's own files in it has not.
    if folder.join("CACHEDIR.TAG").is_file() {
        command.arg("--target-dir").arg(folder);
    } else {
        command.arg("--target-dir").arg(folder.parent().unwrap());
        command.arg("--target").arg(folder.file_name().unwrap());
    }
    let status = command.status();
    assert!(status.is_ok_and(|status| status.success()), "{command:?}");
}

/// What a program that has ended leaves behind.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Finished {
    pub fn last_line(&self) -> &str {
        self.out.lines().next_back().unwrap_or_default()
    }
}

/// Runs an example to its end.
pub fn run<S: AsRef<OsStr>>(name: &str, arguments: &[S]) -> Finished {
    finish(Command::new(path(name)).args(arguments))
}

/// Runs a program to its end.
///
/// # Panics
///
/// If it hangs.
pub fn finish(command: &mut Command) -> Finished {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = read_aside(child.stdout.take().unwrap());
    let err = read_aside(child.stderr.take().unwrap());
    let mut texts = Vec::new();
    for text in [out, err] {
        let Ok(text) = text.recv_timeout(HANG) else {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{command:?} hangs, after {texts:?}");
        };
        texts.push(text);
    }
    let err = texts.pop().unwrap();
    let out = texts.pop().unwrap();
    let code = child.wait().unwrap().code();
    Finished { code, out, err }
}

/// Reads to the end on a thread of its own, so that neither of two pipes runs full.
pub fn read_aside(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What could be read counts; and if the test has given up, nobody wants it.
        let _ = pipe.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

/// A program that runs until it is dropped.
pub struct Running {
    child: Child,
    pub first_line: String,
    /// Kept, so that the program can go on printing.
    _out: BufReader<ChildStdout>,
}

impl Running {
    /// Starts a program, and waits for its first line.
    pub fn start(command: &mut Command) -> Running {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            let _ = out.read_line(&mut line);
            let _ = sender.send((line, out));
        });
        let Ok((line, out)) = receiver.recv_timeout(HANG) else {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{command:?} says nothing");
        };
        Running {
            child,
            first_line: line.trim_end().to_owned(),
            _out: out,
        }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
