//! Other programs, started, talked to and waited for.
//!
//! [`Command`] is [`std::process::Command`], and its [`Child`] is asynchronous: waiting for its end,
//! and the pipes to and from it.
//!
//! ```
//! use ekio::process::Command;
//!
//! # fn main() -> std::io::Result<()> {
//! # ekio::block_on(async {
//! # #[cfg(unix)] {
//! let output = Command::new("echo").arg("hello").output().await?;
//! assert!(output.status.success());
//! assert_eq!(output.stdout, b"hello\n");
//! # }
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! # Platform behaviour
//!
//! | | told of a child's end by | its pipes |
//! |---|---|---|
//! | Linux | a pidfd (5.3 and later) | the reactor, like a socket |
//! | BSDs, Apple's systems | `EVFILT_PROC` | the same |
//! | Windows | a wait of the system's thread pool, which puts a packet into the completion port | overlapped operations of the shared reactor, whose thread `ekio-reactor` starts with the first pipe |
//! | where none of these is to be had (older kernels, some sandboxes, Android; `EKIO_POLLER=poll` outside of Linux) | nobody: it is asked, at first after a millisecond, then less and less often, down to every 50 ms | the reactor |
//!
//! Nobody's handler of `SIGCHLD` is touched, no child but ours is ever waited for, and there is no
//! thread for a child. Whatever tells of an end is taken as a hint, and the child is asked.
//!
//! # Children that are dropped
//!
//! Dropping a [`Child`] lets its program run on, unless [`Command::kill_on_drop`] says otherwise. On
//! Unix it is asked for its status when it has exited, lest it stay in the system's table as a
//! *zombie*. Today the reactor of the thread that drops it sees to that; once that reactor is no longer
//! driven, every start and every known end of a program does.

#[cfg(feature = "futures-io")]
mod as_futures_io;
mod child;
mod command;
mod orphans;
mod pipe;
mod stdio;
mod watch;

pub use child::Child;
pub use command::Command;
pub use std::process::{ExitStatus, Output, Stdio};
pub use stdio::{ChildStderr, ChildStdin, ChildStdout};
