//! What blocks whoever reads or writes it (a file, a terminal), and how tasks get along with it.
//!
//! The operating system says of a file that it is always ready, and then takes its time. So a thread
//! of the blocking pool makes the call, and the task waits for the thread. What follows from that,
//! [`Pooled`] sees to:
//!
//! * *The thread has buffers of its own.* Whoever asked may leave at any time, and take his along.
//! * *One call at a time.* The next one waits until it is over. So the order is that of the caller.
//! * *What was read and nobody waited for is kept*, and is what the next read gets.
//! * *What was taken to be written is written*, whether anybody waits or not. Its error, if there is
//!   one, is kept for the next who writes or flushes.
//! * *The source stays here.* A call borrows a share of it, and gives the share back when it is over,
//!   also if it panics, also if the pool has no thread for it.
//!
//! # Who may touch what
//!
//! The *desk*, under its lock, is all that tasks and calls have in common. While it is busy a call is
//! under way; nobody else touches what the call will note (`kept`, `end_of_read`, ...), and it is
//! noted, and the desk no longer busy, in one critical section. Nothing foreign runs in it: wakers
//! are cloned before and woken after.

mod kept;
#[cfg(all(test, not(ekio_loom)))]
mod tests;

use std::future::{Future, poll_fn};
use std::io::{self, Read, Seek, SeekFrom};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::thread;

use crate::executor::blocking::spawn_blocking;
use crate::reactor::budget;
use crate::reactor::wakers::WakerBatch;
use kept::Kept;

/// The most that one call reads or writes. To copy so much takes longer than the way to the pool and
/// back, so more would not be faster, and a source that is open holds a buffer of that size at most.
pub(crate) const PIECE_MAX: usize = 256 * 1024;

/// Whose waker it is: one for each handle, so that an old one gives way to the new one.
pub(crate) type Waiter = u64;

/// A source, and the desk where its callers meet. Clones are the same source.
#[derive(Debug)]
pub(crate) struct Pooled<T> {
    source: Arc<T>,
    desk: Arc<Mutex<Desk>>,
}

impl<T> Clone for Pooled<T> {
    fn clone(&self) -> Pooled<T> {
        Pooled {
            source: Arc::clone(&self.source),
            desk: Arc::clone(&self.desk),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// A call is under way.
    is_busy: bool,
    /// Wait until it is over.
    waiters: Vec<(Waiter, Waker)>,
    kept: Kept,
    /// How a read ended that got nothing: at the end, or in an error.
    end_of_read: Option<io::Result<()>>,
    write_error: Option<io::Error>,
    /// A seek that nobody has asked about since, and its answer.
    sought: Option<(SeekFrom, io::Result<u64>)>,
    rewind: Rewind,
    /// An empty buffer for the next call.
    spare: Vec<u8>,
}

/// What became of the attempt to put the cursor back to where the caller believes it.
#[derive(Debug, Default)]
enum Rewind {
    #[default]
    NotTried,
    /// It has none: a pipe, a terminal. What was read from there has nothing to do with writing.
    NoCursor,
    Failed(io::Error),
}

impl Desk {
    /// What a read can be answered with at once.
    fn take_read(&mut self, buffer: &mut [u8]) -> Option<io::Result<usize>> {
        if self.kept.is_empty() {
            return self.end_of_read.take().map(|end| end.map(|()| 0));
        }
        let count = self.kept.rest().len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.kept.rest()[..count]);
        self.kept.take(count);
        Some(Ok(count))
    }

    /// What a search for the end of a line can be answered with at once: the line, or what there is
    /// at the end.
    fn take_line(&mut self) -> Option<io::Result<Vec<u8>>> {
        let end = match self.kept.find_line() {
            Some(end) => end,
            None => match self.end_of_read.take()? {
                Ok(()) => self.kept.rest().len(),
                Err(error) => return Some(Err(error)),
            },
        };
        let line = self.kept.rest()[..end].to_vec();
        self.kept.take(end);
        Some(Ok(line))
    }

    fn note_read(&mut self, mut buffer: Vec<u8>, answer: io::Result<usize>) {
        match answer {
            Ok(0) => self.end_of_read = Some(Ok(())),
            Ok(count) => {
                buffer.truncate(count);
                self.kept.put(&mut buffer);
            }
            Err(error) => self.end_of_read = Some(Err(error)),
        }
        self.note_spare(buffer);
    }

    fn note_spare(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.spare = buffer;
    }

    fn is_waited_for_by(&self, waiter: Waiter, waker: &Waker) -> bool {
        let mut waiters = self.waiters.iter();
        waiters.any(|(who, theirs)| *who == waiter && theirs.will_wake(waker))
    }

    /// Answers the waker that it replaces.
    fn wait(&mut self, waiter: Waiter, waker: Waker) -> Option<Waker> {
        let mut waiters = self.waiters.iter_mut();
        match waiters.find(|(who, _)| *who == waiter) {
            Some((_, theirs)) => Some(mem::replace(theirs, waker)),
            None => {
                self.waiters.push((waiter, waker));
                None
            }
        }
    }
}

impl<T: Send + Sync + 'static> Pooled<T> {
    pub(crate) fn new(source: T) -> Pooled<T> {
        Pooled {
            source: Arc::new(source),
            desk: Arc::default(),
        }
    }

    /// The source, for questions that block nobody.
    pub(crate) fn get_ref(&self) -> &T {
        &self.source
    }

    /// Ready when no call is under way. Who begins one does so under the lock that this answers.
    pub(crate) fn poll_idle(
        &self,
        cx: &mut Context<'_>,
        waiter: Waiter,
    ) -> Poll<MutexGuard<'_, Desk>> {
        ready!(budget::poll_proceed(cx));
        loop {
            let desk = lock(&self.desk);
            if !desk.is_busy {
                return Poll::Ready(desk);
            }
            if desk.is_waited_for_by(waiter, cx.waker()) {
                return Poll::Pending;
            }
            drop(desk);
            let waker = cx.waker().clone();
            let mut desk = lock(&self.desk);
            if desk.is_busy {
                // Not another round: a clone need not be known by `will_wake` as what it is.
                let old_waker = desk.wait(waiter, waker);
                drop(desk);
                drop(old_waker);
                return Poll::Pending;
            }
            drop(desk);
            drop(waker);
        }
    }

    /// Forgets the waker of someone who is leaving.
    pub(crate) fn leave(&self, waiter: Waiter) {
        let mut desk = lock(&self.desk);
        let place = desk.waiters.iter().position(|(who, _)| *who == waiter);
        let gone = place.map(|place| desk.waiters.swap_remove(place));
        drop(desk);
        drop(gone);
    }

    /// Has `job` done by the pool. Then `note` writes down what came of it, under the lock; or `lost`
    /// does, if nothing did.
    fn start<R: Send + 'static, O: Send + 'static>(
        &self,
        mut desk: MutexGuard<'_, Desk>,
        job: impl FnOnce(&T) -> R + Send + 'static,
        note: impl FnOnce(&mut Desk, R) -> O + Send + 'static,
        lost: fn(&mut Desk, io::Error),
    ) -> impl Future<Output = io::Result<O>> {
        desk.is_busy = true;
        desk.sought = None;
        drop(desk);
        let mut call = Call {
            source: Some(Arc::clone(&self.source)),
            desk: Arc::clone(&self.desk),
            lost,
        };
        let handle = spawn_blocking(move || {
            let answer = call.source.as_deref().map(job);
            call.finish(|desk| answer.map(|answer| note(desk, answer)))
                .expect("a call has its share of the source until it is over")
        });
        async { handle.await.map_err(io::Error::other) }
    }

    /// Has a question of any kind answered by the pool, when it is its turn. Should the future be
    /// dropped, the question is asked all the same if it has been put already.
    ///
    /// With `is_write` it is of the writers' order, and answers instead what went wrong before it.
    pub(crate) async fn call<R: Send + 'static>(
        &self,
        waiter: Waiter,
        is_write: bool,
        job: impl FnOnce(&T) -> io::Result<R> + Send + 'static,
    ) -> io::Result<R> {
        let mut job = Some(job);
        let begun = poll_fn(|cx| {
            let mut desk = ready!(self.poll_idle(cx, waiter));
            if is_write {
                if let Some(error) = desk.write_error.take() {
                    return Poll::Ready(Err(error));
                }
            }
            let job = job.take().expect("a future that is ready is not polled");
            let handle = self.start(desk, job, |_, answer| answer, |_, _| {});
            Poll::Ready(Ok(handle))
        });
        let answer = begun.await?.await?;
        budget::spend();
        answer
    }

    /// Takes up to [`PIECE_MAX`] bytes to be written by `write`, and answers how many. Others wait
    /// until that is done.
    pub(crate) fn poll_write<'a>(
        &self,
        cx: &mut Context<'_>,
        waiter: Waiter,
        pieces: impl Iterator<Item = &'a [u8]>,
        write: fn(&T, &[u8]) -> io::Result<()>,
    ) -> Poll<io::Result<usize>> {
        let mut desk = ready!(self.poll_idle(cx, waiter));
        if let Some(error) = desk.write_error.take() {
            return Poll::Ready(Err(error));
        }
        let mut buffer = mem::take(&mut desk.spare);
        for piece in pieces {
            let room = PIECE_MAX - buffer.len();
            buffer.extend_from_slice(&piece[..piece.len().min(room)]);
        }
        let count = buffer.len();
        if count == 0 {
            desk.spare = buffer;
            return Poll::Ready(Ok(0));
        }
        let job = move |source: &T| (write(source, &buffer), buffer);
        let note = |desk: &mut Desk, (answer, buffer): (io::Result<()>, Vec<u8>)| {
            desk.write_error = answer.err();
            desk.note_spare(buffer);
        };
        let lost = |desk: &mut Desk, error| desk.write_error = Some(error);
        drop(self.start(desk, job, note, lost));
        budget::spend();
        Poll::Ready(Ok(count))
    }

    /// Ready when all that was taken has been written, or has failed to be.
    pub(crate) fn poll_written(
        &self,
        cx: &mut Context<'_>,
        waiter: Waiter,
    ) -> Poll<io::Result<()>> {
        let mut desk = ready!(self.poll_idle(cx, waiter));
        Poll::Ready(desk.write_error.take().map_or(Ok(()), Err))
    }
}

impl<T: Send + Sync + 'static> Pooled<T>
where
    for<'a> &'a T: Read,
{
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        waiter: Waiter,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            let mut desk = ready!(self.poll_idle(cx, waiter));
            if let Some(answer) = desk.take_read(buffer) {
                budget::spend();
                return Poll::Ready(answer);
            }
            self.start_read(desk, buffer.len().min(PIECE_MAX));
        }
    }

    /// Appends everything up to the end, and answers how much it was. What has been read stands in
    /// `bytes` at any time.
    pub(crate) async fn read_to_end(
        &self,
        waiter: Waiter,
        bytes: &mut Vec<u8>,
    ) -> io::Result<usize> {
        let before = bytes.len();
        loop {
            let end = bytes.len();
            // Twice as much each time, as for any vector that grows.
            let room = (end - before).clamp(32 * 1024, PIECE_MAX);
            let mut unfilled = Unfilled { bytes, end };
            unfilled.bytes.resize(end + room, 0);
            let rest = &mut unfilled.bytes[end..];
            let count = poll_fn(|cx| self.poll_read(cx, waiter, rest)).await?;
            unfilled.end += count;
            if count == 0 {
                return Ok(end - before);
            }
        }
    }

    /// A line with its end, or what comes after the last line; nothing if nothing does.
    pub(crate) fn poll_line(
        &self,
        cx: &mut Context<'_>,
        waiter: Waiter,
    ) -> Poll<io::Result<Vec<u8>>> {
        const PIECE: usize = 8 * 1024;
        loop {
            let mut desk = ready!(self.poll_idle(cx, waiter));
            if let Some(answer) = desk.take_line() {
                budget::spend();
                return Poll::Ready(answer);
            }
            self.start_read(desk, PIECE);
        }
    }

    fn start_read(&self, mut desk: MutexGuard<'_, Desk>, asked: usize) {
        let mut buffer = mem::take(&mut desk.spare);
        let job = move |mut source: &T| {
            buffer.resize(asked, 0);
            let answer = loop {
                match source.read(&mut buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    answer => break answer,
                }
            };
            (buffer, answer)
        };
        let note = |desk: &mut Desk, (buffer, answer)| desk.note_read(buffer, answer);
        let lost = |desk: &mut Desk, error| desk.end_of_read = Some(Err(error));
        drop(self.start(desk, job, note, lost));
    }
}

impl<T: Send + Sync + 'static> Pooled<T>
where
    for<'a> &'a T: Seek,
{
    /// Ready when no call is under way and the cursor is where the caller believes it: behind what a
    /// read has given him, and not behind what it has kept.
    pub(crate) fn poll_rewound(
        &self,
        cx: &mut Context<'_>,
        waiter: Waiter,
    ) -> Poll<io::Result<MutexGuard<'_, Desk>>> {
        loop {
            let mut desk = ready!(self.poll_idle(cx, waiter));
            let unread = desk.kept.rest().len();
            match mem::take(&mut desk.rewind) {
                Rewind::Failed(error) => return Poll::Ready(Err(error)),
                Rewind::NoCursor => desk.rewind = Rewind::NoCursor,
                Rewind::NotTried if unread == 0 => desk.end_of_read = None,
                Rewind::NotTried => {
                    self.start_rewind(desk, unread);
                    continue;
                }
            }
            return Poll::Ready(Ok(desk));
        }
    }

    /// The same, for who begins no call under that lock.
    pub(crate) async fn rewound(&self, waiter: Waiter) -> io::Result<()> {
        poll_fn(|cx| self.poll_rewound(cx, waiter).map_ok(drop)).await
    }

    fn start_rewind(&self, desk: MutexGuard<'_, Desk>, unread: usize) {
        let job = move |mut source: &T| {
            let place = source.stream_position()?;
            // A `Vec` has up to `isize::MAX` bytes.
            let back = source.seek(SeekFrom::Current(-(unread as i64)))?;
            // Some devices answer a seek that they do not do.
            match back.checked_add(unread as u64) {
                Some(end) if end == place => Ok(back),
                _ => Err(io::ErrorKind::NotSeekable.into()),
            }
        };
        let note = |desk: &mut Desk, answer: io::Result<u64>| match answer {
            Ok(_) => desk.kept.clear(),
            Err(error) if error.kind() == io::ErrorKind::NotSeekable => {
                desk.rewind = Rewind::NoCursor;
            }
            Err(error) => desk.rewind = Rewind::Failed(error),
        };
        let lost = |desk: &mut Desk, error| desk.rewind = Rewind::Failed(error);
        drop(self.start(desk, job, note, lost));
    }

    /// A seek that was given up may have been done; if the next one is the same, it takes the answer.
    /// So in no case has the cursor moved in a way that the callers did not ask for, in that order.
    pub(crate) fn poll_seek(
        &self,
        cx: &mut Context<'_>,
        waiter: Waiter,
        to: SeekFrom,
    ) -> Poll<io::Result<u64>> {
        loop {
            let mut desk = ready!(self.poll_rewound(cx, waiter))?;
            if let Some((asked, answer)) = desk.sought.take() {
                if asked == to {
                    budget::spend();
                    return Poll::Ready(answer);
                }
            }
            let job = move |mut source: &T| source.seek(to);
            let note = move |desk: &mut Desk, answer: io::Result<u64>| {
                if answer.is_ok() {
                    // There is a cursor, and it is elsewhere. (Another handle may have moved it while it
                    // was to be put back, and made it look as if there was none.)
                    desk.kept.clear();
                    desk.end_of_read = None;
                    desk.rewind = Rewind::NotTried;
                }
                desk.sought = Some((to, answer));
            };
            let lost = |desk: &mut Desk, error| desk.rewind = Rewind::Failed(error);
            drop(self.start(desk, job, note, lost));
        }
    }

    /// The source itself, with its cursor where the caller believes it. For the only handle. It is an error
    /// if there is no cursor, and something has been read that nobody has taken.
    pub(crate) async fn into_source(self, waiter: Waiter) -> io::Result<T> {
        poll_fn(|cx| self.poll_written(cx, waiter)).await?;
        let unread = |desk: MutexGuard<'_, Desk>| desk.kept.rest().len();
        let unread = poll_fn(|cx| self.poll_rewound(cx, waiter).map_ok(unread)).await?;
        if unread > 0 {
            return Err(io::Error::other(format!(
                "{unread} bytes that a dropped read has read cannot be put back: read them before"
            )));
        }
        // Calls give their share back before they are over.
        Arc::into_inner(self.source).ok_or_else(|| io::Error::other("the source is still in use"))
    }
}

/// A vector whose bytes behind `end` are there to be filled, and go when this does: also when a
/// future is dropped.
struct Unfilled<'a> {
    bytes: &'a mut Vec<u8>,
    end: usize,
}

impl Drop for Unfilled<'_> {
    fn drop(&mut self) {
        self.bytes.truncate(self.end);
    }
}

/// A call that is under way.
struct Call<T> {
    /// `None` when it is over.
    source: Option<Arc<T>>,
    desk: Arc<Mutex<Desk>>,
    lost: fn(&mut Desk, io::Error),
}

impl<T> Call<T> {
    fn finish<O>(&mut self, note: impl FnOnce(&mut Desk) -> O) -> O {
        let mut batch = WakerBatch::new();
        let mut desk = lock(&self.desk);
        let output = note(&mut desk);
        self.source = None;
        desk.is_busy = false;
        let mut waiters = mem::take(&mut desk.waiters).into_iter();
        drop(desk);
        while waiters.len() > 0 {
            while !batch.is_full() {
                let Some((_, waker)) = waiters.next() else {
                    break;
                };
                batch.push(waker);
            }
            batch.wake_all();
        }
        output
    }
}

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        if self.source.is_some() {
            let why = if thread::panicking() {
                "a call for it panicked"
            } else {
                "the system gives the blocking pool no thread"
            };
            let lost = self.lost;
            self.finish(|desk| lost(desk, io::Error::other(why)));
        }
    }
}

/// Locks. Nothing panics in a critical section here but the allocator.
fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has a call that concerns nobody else done by the pool.
pub(crate) async fn on_pool<R: Send + 'static>(
    call: impl FnOnce() -> io::Result<R> + Send + 'static,
) -> io::Result<R> {
    poll_fn(budget::poll_proceed).await;
    let answer = spawn_blocking(call).await.map_err(io::Error::other)?;
    budget::spend();
    answer
}
