//! A program that was started.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::process::{ExitStatus, Output};
use std::task::{Context, Poll, ready};

use super::orphans;
use super::pipe::Receiver;
use super::stdio::{ChildStderr, ChildStdin, ChildStdout};
use super::watch::Watch;

/// How much is read from a pipe at a time.
const CHUNK: usize = 16 * 1024;

/// A program that runs, or has exited. Made by [`Command::spawn`](super::Command::spawn).
///
/// Dropping it lets the program run on, or kills it if
/// [`kill_on_drop`](super::Command::kill_on_drop) was set; in either case it becomes no zombie, see
/// [the module](super#children-that-are-dropped).
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// # #[cfg(unix)] {
/// use ekio::process::Command;
/// use std::time::Duration;
///
/// let mut child = Command::new("sleep").arg("1000").spawn()?;
/// let patience = Duration::from_millis(10);
/// if ekio::time::timeout(patience, child.wait()).await.is_err() {
///     child.kill().await?;
/// }
/// assert!(!child.wait().await?.success());
/// # }
/// # Ok(())
/// # })
/// # }
/// ```
pub struct Child {
    /// The writing end of the child's standard input, if that is piped. `take` it to write while
    /// something else happens to the child, and drop it for the child to see the end.
    pub stdin: Option<ChildStdin>,
    /// The reading end of the child's standard output, if that is piped.
    pub stdout: Option<ChildStdout>,
    /// The reading end of the child's standard error, if that is piped.
    pub stderr: Option<ChildStderr>,
    /// `None` when dropped.
    watch: Option<Watch<std::process::Child>>,
    id: u32,
    is_killed_on_drop: bool,
}

impl Child {
    pub(super) fn new(mut std: std::process::Child, is_killed_on_drop: bool) -> io::Result<Child> {
        let (stdin, stdout, stderr) = (std.stdin.take(), std.stdout.take(), std.stderr.take());
        let mut child = Child {
            stdin: None,
            stdout: None,
            stderr: None,
            id: std.id(),
            watch: Some(Watch::new(std)),
            // If its pipes cannot be used, nobody will ever know of it.
            is_killed_on_drop: true,
        };
        child.stdin = stdin.map(ChildStdin::new).transpose()?;
        child.stdout = stdout.map(ChildStdout::new).transpose()?;
        child.stderr = stderr.map(ChildStderr::new).transpose()?;
        child.is_killed_on_drop = is_killed_on_drop;
        Ok(child)
    }

    fn watch(&mut self) -> &mut Watch<std::process::Child> {
        self.watch
            .as_mut()
            .expect("the child is taken by `drop` only")
    }

    /// The number of the process; `None` once its end is known, for then it may be another's.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        let watch = self.watch.as_ref()?;
        watch.status().is_none().then_some(self.id)
    }

    /// The process's handle; `None` once its end is known.
    #[cfg(windows)]
    #[must_use]
    pub fn raw_handle(&self) -> Option<std::os::windows::io::RawHandle> {
        use std::os::windows::io::AsRawHandle as _;
        self.id()?;
        let watch = self.watch.as_ref()?;
        watch.get_ref().map(|child| child.as_raw_handle())
    }

    /// Waits until the program has exited (`waitpid`, told by a pidfd, `EVFILT_PROC` or the process's
    /// handle). Its standard input, if it is still here, is closed first, so that a program that
    /// waits for more does not wait for us.
    ///
    /// Once the status is known it is answered again and again.
    ///
    /// # Platform behaviour
    ///
    /// See [the module](super#platform-behaviour) for who tells, and for how late it may be where
    /// nobody does.
    ///
    /// # Errors
    ///
    /// What the system says when the status cannot be had: somebody else has taken it (a `waitpid`
    /// for any child), or the program has told the system to ignore `SIGCHLD`, which throws it away.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing but the standard input; call it again.
    ///
    /// # Examples
    ///
    /// See [the type](Child).
    #[doc(alias = "waitpid")]
    #[doc(alias = "pidfd_open")]
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        poll_fn(|cx| self.poll_wait(cx)).await
    }

    /// [`wait`](Child::wait) for those who write a future by hand. The standard input is left alone;
    /// the waker of the latest caller is kept.
    ///
    /// # Errors
    ///
    /// Those of `wait`.
    pub fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        let was_known = self.id().is_none();
        let status = ready!(self.watch().poll_wait(cx));
        if !was_known {
            orphans::look_through();
        }
        Poll::Ready(status)
    }

    /// The status, if the program has exited (`waitpid` with `WNOHANG`). Whoever waits by
    /// [`poll_wait`](Child::poll_wait) is woken.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Child::wait).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.watch().try_wait()
    }

    /// Kills the program (`SIGKILL`, `TerminateProcess`), and does not wait for its end. One that has
    /// exited already is no error.
    ///
    /// # Errors
    ///
    /// `PermissionDenied` if it is not ours to kill (it has become another user's); and those of
    /// [`wait`](Child::wait): if somebody else has taken its status, its number may be that of another
    /// program by now.
    #[doc(alias = "SIGKILL")]
    #[doc(alias = "TerminateProcess")]
    pub fn start_kill(&mut self) -> io::Result<()> {
        // An end that is not known yet would be an error on Windows.
        if self.try_wait()?.is_some() {
            return Ok(());
        }
        match self.watch().get_mut() {
            Some(child) => child.kill(),
            None => Ok(()),
        }
    }

    /// Kills the program, and waits for its end.
    ///
    /// # Errors
    ///
    /// Those of [`start_kill`](Child::start_kill) and [`wait`](Child::wait).
    ///
    /// # Cancel safety
    ///
    /// It is killed at the first poll. Dropping the future after that loses nothing but the wait.
    ///
    /// # Examples
    ///
    /// See [the type](Child).
    pub async fn kill(&mut self) -> io::Result<()> {
        self.start_kill()?;
        self.wait().await?;
        Ok(())
    }

    /// Waits until the program has exited, and until its standard output and error have ended, which
    /// are read meanwhile. Its standard input, if it is still here, is closed first.
    ///
    /// Pipes end when the last program that has them closes them; a grandchild may have them longer
    /// than the child.
    ///
    /// # Errors
    ///
    /// Those of [`wait`](Child::wait), and of reading from the pipes.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the child, and loses what was read.
    ///
    /// # Examples
    ///
    /// See [`Command`](super::Command).
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let mut stdout = Drain::new(self.stdout.take().map(|stdout| stdout.pipe));
        let mut stderr = Drain::new(self.stderr.take().map(|stderr| stderr.pipe));
        let status = poll_fn(|cx| {
            let stdout = stdout.poll(cx)?;
            let stderr = stderr.poll(cx)?;
            let status = ready!(self.poll_wait(cx))?;
            ready!(stdout);
            ready!(stderr);
            Poll::Ready(io::Result::Ok(status))
        })
        .await?;
        Ok(Output {
            status,
            stdout: stdout.bytes,
            stderr: stderr.bytes,
        })
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.id().is_some() && self.is_killed_on_drop {
            // It has just exited, or is not ours to kill, and nobody can be told.
            let _ = self.start_kill();
        }
        if self.id().is_some() {
            if let Some(child) = self.watch.take().and_then(Watch::into_child) {
                orphans::adopt(child);
            }
        }
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child")
            .field("stdin", &self.stdin)
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .field("id", &self.id)
            .field("status", &self.watch.as_ref().and_then(Watch::status))
            .finish_non_exhaustive()
    }
}

/// A pipe that is read to its end.
struct Drain {
    /// Until the end.
    pipe: Option<Receiver>,
    chunk: Vec<u8>,
    bytes: Vec<u8>,
}

impl Drain {
    fn new(pipe: Option<Receiver>) -> Drain {
        Drain {
            chunk: vec![0; if pipe.is_some() { CHUNK } else { 0 }],
            pipe,
            bytes: Vec::new(),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(pipe) = &mut self.pipe {
            let count = ready!(pipe.poll_read(cx, &mut self.chunk))?;
            if count == 0 {
                self.pipe = None;
            }
            self.bytes.extend_from_slice(&self.chunk[..count]);
        }
        Poll::Ready(Ok(()))
    }
}
