//! The program's own input and output.
//!
//! A terminal or a file in their place cannot be watched, and a pipe that is made non-blocking is so
//! for the parent process too. So a thread of the blocking pool reads and writes, by way of `std`: its
//! locks and buffers are ours.

use std::future::poll_fn;
use std::io::{self, Write};
use std::iter;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use super::pooled::{Pooled, Waiter};
use crate::sys::ForkGuard;

/// The program's input.
///
/// All handles are the same input: what one of them has not taken the next one gets, on whatever
/// thread and in whatever runtime. See [`Stdin`].
///
/// # Examples
///
/// ```no_run
/// use ekio::io::{stdin, stdout};
///
/// # async fn example() -> std::io::Result<()> {
/// let mut name = String::new();
/// stdout().write_all(b"Who are you? ").await?;
/// stdin().read_line(&mut name).await?;
/// stdout().write_all(format!("Hello, {}!\n", name.trim()).as_bytes()).await?;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn stdin() -> Stdin {
    static ALL: Mutex<Option<(ForkGuard, Pooled<io::Stdin>)>> = Mutex::new(None);
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    let pooled = match &*all {
        Some((home, pooled)) if home.is_at_home() => pooled.clone(),
        // A fork has no part in what its parent's threads are reading.
        _ => {
            let new = Pooled::new(io::stdin());
            *all = Some((ForkGuard::new(), new.clone()));
            new
        }
    };
    // Relaxed: no two are the same, which is all.
    let waiter = NEXT.fetch_add(1, Ordering::Relaxed);
    Stdin { pooled, waiter }
}

/// The program's input, of [`stdin`].
///
/// Guaranteed:
///
/// * A read for which nothing comes does not keep the program from ending, nor a runtime. (It keeps
///   one thread of the blocking pool: one in all, however many reads are given up.)
/// * What comes after a read was given up, by dropping its future, its handle or its runtime, is kept
///   for the next read, of whichever handle.
///
/// If several handles read at the same time, each piece or line goes to one of them.
///
/// # Together with `std`
///
/// The thread holds `std`'s lock while it reads, and reads through `std`'s buffer. So what
/// [`std::io::stdin`] had read and not taken comes here; and a read there waits as long as one here
/// is under way, also a given up one. What was read here does not come there.
///
/// # Platform behaviour
///
/// | | Unix | Windows |
/// |---|---|---|
/// | there is none (closed, or a program without a console) | as if it were at its end | the same |
/// | a console | bytes | text, turned into UTF-8 |
#[derive(Debug)]
pub struct Stdin {
    pooled: Pooled<io::Stdin>,
    waiter: Waiter,
}

impl Stdin {
    /// Reads what there is, waiting until there is something. 0 is the end. (An empty buffer gives 0 as
    /// well.)
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped: the next read gets what this one would have got.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buffer)).await
    }

    /// Reads a line, appends it to `line`, its end included, and answers how many bytes it has. The
    /// last one may have no end. 0 is the end of the input.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the line is not UTF-8 (it has been taken, and `line` is as before), and those
    /// of [`read`](Stdin::read).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped: a line is taken when all of it has come.
    ///
    /// # Examples
    ///
    /// See [`stdin`].
    pub async fn read_line(&mut self, line: &mut String) -> io::Result<usize> {
        let bytes = poll_fn(|cx| self.pooled.poll_line(cx, self.waiter)).await?;
        let text = std::str::from_utf8(&bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        line.push_str(text);
        Ok(text.len())
    }

    /// Reads to the end, appends it to `bytes`, and answers how much it was.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Stdin::read). What was read before stands in `bytes`.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped: what has been read stands in `bytes`, and the next
    /// read gets what comes then.
    pub async fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        self.pooled.read_to_end(self.waiter, bytes).await
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.pooled.poll_read(cx, self.waiter, buffer)
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        self.pooled.leave(self.waiter);
    }
}

/// The program's output.
///
/// Each handle is for itself: it writes in the order in which it was asked. See [`Stdout`].
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// ekio::io::stdout().write_all(b"hello\n").await?;
/// # Ok(())
/// # })
/// # }
/// ```
#[must_use]
pub fn stdout() -> Stdout {
    Stdout {
        pooled: Pooled::new(io::stdout()),
    }
}

/// The program's output, of [`stdout`].
///
/// What it writes is written at once: unlike `std`'s, it holds no line back until its end has come.
/// (Whoever writes much in small pieces puts a `BufWriter` around it.)
///
/// With the feature `futures-io`, which is on by default, it is `futures_io::AsyncWrite`. A write by
/// that trait is ready as soon as the bytes are *taken*, and a flush when they are *written*; what was
/// taken and not flushed may be missing when the program ends. The methods of this type do both.
///
/// A write that the other side does not take keeps neither the program nor a runtime from ending.
///
/// # Together with `std`
///
/// A piece is written under `std`'s lock, and behind what `std` still holds. So up to a quarter of a
/// mebibyte (today) comes out in one, whoever else prints, and nothing overtakes what was printed
/// before. A `println!` waits while a piece is being written.
///
/// # Platform behaviour
///
/// | | Unix | Windows |
/// |---|---|---|
/// | there is none (closed, or a program without a console) | nobody hears it | the same |
/// | a console | bytes | UTF-8, else `InvalidData` |
#[derive(Debug)]
pub struct Stdout {
    pooled: Pooled<io::Stdout>,
}

/// Each has one handle, whose methods take it by `&mut`.
const ONLY: Waiter = 0;

impl Stdout {
    /// Writes some of the bytes, up to a quarter of a mebibyte today, and waits until the system has
    /// them.
    ///
    /// # Errors
    ///
    /// `BrokenPipe` if nobody reads any more, and what else the system says; of a write before, if its
    /// future was dropped.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, it has taken nothing, or writes all that it has taken; who drops it
    /// does not know which.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = poll_fn(|cx| self.poll_write(cx, bytes)).await?;
        self.flush().await?;
        Ok(count)
    }

    /// Writes everything, and waits until the system has it.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Stdout::write).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a part may have been written, and nobody knows how much it is.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = self.write(rest).await?;
            rest = &rest[count..];
        }
        Ok(())
    }

    /// Waits until the system has everything that was taken: after a write by the trait of
    /// `futures-io`, or one that was dropped.
    ///
    /// # Errors
    ///
    /// What the system said when it was written, if nobody was told yet.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = |stdout: &io::Stdout, bytes: &[u8]| {
            let mut stdout = stdout.lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        };
        self.pooled.poll_write(cx, ONLY, iter::once(bytes), write)
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pooled.poll_written(cx, ONLY)
    }
}

/// The program's output for errors.
///
/// Each handle is for itself: it writes in the order in which it was asked. See [`Stderr`].
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// ekio::io::stderr().write_all(b"this is a test\n").await?;
/// # Ok(())
/// # })
/// # }
/// ```
#[must_use]
pub fn stderr() -> Stderr {
    Stderr {
        pooled: Pooled::new(io::stderr()),
    }
}

/// The program's output for errors, of [`stderr`]. All that is said of [`Stdout`] holds for it.
#[derive(Debug)]
pub struct Stderr {
    pooled: Pooled<io::Stderr>,
}

impl Stderr {
    /// [`Stdout::write`], for errors.
    ///
    /// # Errors
    ///
    /// Those of `Stdout::write`.
    ///
    /// # Cancel safety
    ///
    /// That of `Stdout::write`.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = poll_fn(|cx| self.poll_write(cx, bytes)).await?;
        self.flush().await?;
        Ok(count)
    }

    /// [`Stdout::write_all`], for errors.
    ///
    /// # Errors
    ///
    /// Those of `Stdout::write`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a part may have been written, and nobody knows how much it is.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let count = self.write(rest).await?;
            rest = &rest[count..];
        }
        Ok(())
    }

    /// [`Stdout::flush`], for errors.
    ///
    /// # Errors
    ///
    /// What the system said when it was written, if nobody was told yet.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = |stderr: &io::Stderr, bytes: &[u8]| stderr.lock().write_all(bytes);
        self.pooled.poll_write(cx, ONLY, iter::once(bytes), write)
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pooled.poll_written(cx, ONLY)
    }
}
