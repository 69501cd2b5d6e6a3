//! What to start, and how.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};

use super::child::Child;
use super::orphans;

/// A program to be started: [`std::process::Command`], whose children are asynchronous.
///
/// What is not mirrored here (a user's or group's number, flags of Windows, code that runs in the
/// child) is set by way of [`as_std_mut`](Command::as_std_mut), or on std's type before it is turned
/// into this one.
///
/// # Examples
///
/// ```
/// use ekio::process::{Command, Stdio};
///
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// # #[cfg(unix)] {
/// let mut child = Command::new("tr").args(["a-z", "A-Z"])
///     .stdin(Stdio::piped())
///     .stdout(Stdio::piped())
///     .spawn()?;
/// let mut to_child = child.stdin.take().expect("it is piped");
/// to_child.write_all(b"louder").await?;
/// drop(to_child);
/// let output = child.wait_with_output().await?;
/// assert_eq!(output.stdout, b"LOUDER");
/// # }
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Debug)]
pub struct Command {
    std: std::process::Command,
    is_killed_on_drop: bool,
    /// Which of stdin, stdout and stderr were set by our methods.
    is_set: [bool; 3],
}

impl Command {
    /// A program by its name, which is looked for in `PATH`, or by its path. See
    /// [`std::process::Command::new`] for the details, and the rest of that type for those of the
    /// methods below.
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        Command::from(std::process::Command::new(program))
    }

    /// std's type, for what can be asked of it.
    #[must_use]
    pub fn as_std(&self) -> &std::process::Command {
        &self.std
    }

    /// std's type, for what is not mirrored here.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(unix)] {
    /// use ekio::process::Command;
    /// use std::os::unix::process::CommandExt;
    ///
    /// let mut command = Command::new("sleep");
    /// command.arg("1").as_std_mut().process_group(0);
    /// # }
    /// ```
    pub fn as_std_mut(&mut self) -> &mut std::process::Command {
        &mut self.std
    }

    /// std's type. [`kill_on_drop`](Command::kill_on_drop) is lost.
    #[must_use]
    pub fn into_std(self) -> std::process::Command {
        self.std
    }

    /// One more argument.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Command {
        self.std.arg(arg);
        self
    }

    /// More arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Command {
        self.std.args(args);
        self
    }

    /// Sets a variable of the environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Command {
        self.std.env(key, value);
        self
    }

    /// Sets variables of the environment.
    pub fn envs<K, V>(&mut self, vars: impl IntoIterator<Item = (K, V)>) -> &mut Command
    where
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.std.envs(vars);
        self
    }

    /// Takes a variable out of the environment.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Command {
        self.std.env_remove(key);
        self
    }

    /// Takes all variables out of the environment.
    pub fn env_clear(&mut self) -> &mut Command {
        self.std.env_clear();
        self
    }

    /// The folder in which the program starts.
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Command {
        self.std.current_dir(dir);
        self
    }

    /// The child's standard input. By default it is this program's for [`spawn`](Command::spawn) and
    /// [`status`](Command::status), and nothing for [`output`](Command::output).
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Command {
        self.std.stdin(stdin);
        self.is_set[0] = true;
        self
    }

    /// The child's standard output. By default it is this program's for [`spawn`](Command::spawn) and
    /// [`status`](Command::status), and a pipe for [`output`](Command::output).
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Command {
        self.std.stdout(stdout);
        self.is_set[1] = true;
        self
    }

    /// The child's standard error, as [`stdout`](Command::stdout).
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Command {
        self.std.stderr(stderr);
        self.is_set[2] = true;
        self
    }

    /// Whether a [`Child`] that is dropped while it runs is killed. By default it is not.
    ///
    /// A future of [`status`](Command::status) or [`output`](Command::output) that is dropped drops
    /// its child.
    pub fn kill_on_drop(&mut self, kill_on_drop: bool) -> &mut Command {
        self.is_killed_on_drop = kill_on_drop;
        self
    }

    /// What [`kill_on_drop`](Command::kill_on_drop) has set.
    #[must_use]
    pub fn get_kill_on_drop(&self) -> bool {
        self.is_killed_on_drop
    }

    /// Starts the program (`fork` and `exec`, `posix_spawn`, `CreateProcess`).
    ///
    /// The call is std's, and blocks for as long as the system takes to start a program, which is
    /// short. None of this library's descriptors and handles is inherited (`b_inherit`), with one
    /// exception: on Windows a connection that another thread is just accepting may be, because the
    /// system makes it inheritable at first; its peer then hears of its end when the program has ended.
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `NotFound` | there is no such program |
    /// | `PermissionDenied` | it may not be started |
    /// | others | what the system said; `Unsupported` on Windows, if a standard handle was piped by another way than [`Stdio::piped`] and is not overlapped |
    ///
    /// # Examples
    ///
    /// See [the type](Command).
    #[doc(alias = "fork")]
    #[doc(alias = "posix_spawn")]
    #[doc(alias = "CreateProcess")]
    pub fn spawn(&mut self) -> io::Result<Child> {
        orphans::look_through();
        Child::new(self.std.spawn()?, self.is_killed_on_drop)
    }

    /// Starts the program, and waits until it has exited.
    ///
    /// It starts at once, not at the first poll. A standard handle that is piped is closed at once:
    /// nobody could use it.
    ///
    /// # Errors
    ///
    /// Those of [`spawn`](Command::spawn) and of [`Child::wait`], by the future.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the child, see [`kill_on_drop`](Command::kill_on_drop).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # ekio::block_on(async {
    /// # #[cfg(unix)] {
    /// use ekio::process::Command;
    ///
    /// let status = Command::new("sh").args(["-c", "exit 3"]).status().await?;
    /// assert_eq!(status.code(), Some(3));
    /// # }
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + Send + Sync + use<> {
        let child = self.spawn().map(|mut child| {
            drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
            child
        });
        async { child?.wait().await }
    }

    /// Starts the program, waits until it has exited, and answers what it has printed.
    ///
    /// It starts at once, not at the first poll. What [`stdout`](Command::stdout) and
    /// [`stderr`](Command::stderr) have not set is a pipe, what [`stdin`](Command::stdin) has not set is
    /// empty; and this stays so for what is started later. (Of a command that was made from std's,
    /// nothing counts as set.)
    ///
    /// # Errors
    ///
    /// Those of [`spawn`](Command::spawn) and of [`Child::wait_with_output`], by the future.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the child, see [`kill_on_drop`](Command::kill_on_drop); what it has
    /// printed is lost.
    ///
    /// # Examples
    ///
    /// See [the module](super).
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + Send + Sync + use<> {
        let [has_stdin, has_stdout, has_stderr] = self.is_set;
        if !has_stdin {
            self.std.stdin(Stdio::null());
        }
        if !has_stdout {
            self.std.stdout(Stdio::piped());
        }
        if !has_stderr {
            self.std.stderr(Stdio::piped());
        }
        let child = self.spawn();
        async { child?.wait_with_output().await }
    }
}

impl From<std::process::Command> for Command {
    fn from(std: std::process::Command) -> Command {
        Command {
            std,
            is_killed_on_drop: false,
            is_set: [false; 3],
        }
    }
}
