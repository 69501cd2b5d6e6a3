//! A source whose calls last until the test lets them end.

use super::*;
use std::io::Write;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use futures_lite::future::{block_on, poll_once};

/// Reads what is sent to it, one message for each read; writes to where the test hears of it.
struct Slow {
    to_read: Mutex<Receiver<Result<Vec<u8>, &'static str>>>,
    /// It answers a seek, and does not do it.
    is_device: AtomicBool,
    cursor: Mutex<i64>,
    written: Mutex<Sender<Vec<u8>>>,
}

struct Ends {
    to_read: Sender<Result<Vec<u8>, &'static str>>,
    written: Receiver<Vec<u8>>,
}

fn slow() -> (Pooled<Slow>, Ends) {
    let (to_read, reads) = mpsc::channel();
    let (writes, written) = mpsc::channel();
    let slow = Slow {
        to_read: Mutex::new(reads),
        is_device: AtomicBool::new(false),
        cursor: Mutex::new(0),
        written: Mutex::new(writes),
    };
    (Pooled::new(slow), Ends { to_read, written })
}

impl Read for &Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let message = self.to_read.lock().unwrap().recv().unwrap();
        let bytes = message.unwrap_or_else(|text| std::panic::resume_unwind(Box::new(text)));
        buffer[..bytes.len()].copy_from_slice(&bytes);
        *self.cursor.lock().unwrap() += bytes.len() as i64;
        Ok(bytes.len())
    }
}

impl Seek for &Slow {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let mut cursor = self.cursor.lock().unwrap();
        if self.is_device.load(Ordering::Relaxed) {
            return Ok(0);
        }
        match to {
            SeekFrom::Start(0) => return Err(io::ErrorKind::NotSeekable.into()),
            SeekFrom::Start(place) => *cursor = place as i64,
            SeekFrom::Current(by) => *cursor += by,
            SeekFrom::End(_) => return Err(io::ErrorKind::Unsupported.into()),
        }
        u64::try_from(*cursor).map_err(|_| io::ErrorKind::InvalidInput.into())
    }
}

fn write(slow: &Slow, bytes: &[u8]) -> io::Result<()> {
    if bytes == b"poison" {
        std::panic::resume_unwind(Box::new("on purpose"));
    }
    slow.written.lock().unwrap().send(bytes.to_vec()).unwrap();
    match bytes {
        b"bad" => Err(io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    }
}

impl Write for &Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write(self, bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn read<const N: usize>(slow: &Pooled<Slow>) -> io::Result<Vec<u8>> {
    let mut buffer = [0; N];
    let count = poll_fn(|cx| slow.poll_read(cx, 0, &mut buffer)).await?;
    Ok(buffer[..count].to_vec())
}

async fn take(slow: &Pooled<Slow>, bytes: &[u8]) -> io::Result<usize> {
    poll_fn(|cx| slow.poll_write(cx, 0, [bytes].into_iter(), write)).await
}

async fn flush(slow: &Pooled<Slow>) -> io::Result<()> {
    poll_fn(|cx| slow.poll_written(cx, 0)).await
}

async fn seek(slow: &Pooled<Slow>, to: SeekFrom) -> io::Result<u64> {
    poll_fn(|cx| slow.poll_seek(cx, 0, to)).await
}

/// Polls until it waits, and drops it.
fn give_up<F: Future>(future: F) {
    let polled = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
}

#[test]
fn what_a_dropped_read_reads_is_kept() {
    let (slow, ends) = slow();
    block_on(async {
        give_up(read::<8>(&slow));
        give_up(read::<8>(&slow));
        ends.to_read.send(Ok(b"hello".to_vec())).unwrap();
        assert_eq!(read::<2>(&slow).await.unwrap(), b"he");
        assert_eq!(read::<8>(&slow).await.unwrap(), b"llo");
        // The end is kept too, and is told once.
        give_up(read::<8>(&slow));
        ends.to_read.send(Ok(Vec::new())).unwrap();
        assert_eq!(read::<8>(&slow).await.unwrap(), b"");
        ends.to_read.send(Ok(b"more".to_vec())).unwrap();
        assert_eq!(read::<8>(&slow).await.unwrap(), b"more");
    });
}

#[test]
fn the_cursor_is_where_the_caller_believes_it() {
    let (slow, ends) = slow();
    block_on(async {
        give_up(read::<8>(&slow));
        ends.to_read.send(Ok(b"12345".to_vec())).unwrap();
        assert_eq!(read::<2>(&slow).await.unwrap(), b"12");
        assert_eq!(seek(&slow, SeekFrom::Current(1)).await.unwrap(), 3);
        ends.to_read.send(Ok(b"45678".to_vec())).unwrap();
        assert_eq!(read::<5>(&slow).await.unwrap(), b"45678");
        // A step that was given up is taken once.
        let step = SeekFrom::Current(10);
        let held = slow.get_ref().cursor.lock().unwrap();
        give_up(seek(&slow, step));
        drop(held);
        assert_eq!(seek(&slow, step).await.unwrap(), 18);
        let held = slow.get_ref().cursor.lock().unwrap();
        give_up(seek(&slow, step));
        drop(held);
        assert_eq!(seek(&slow, SeekFrom::Current(1)).await.unwrap(), 29);
        let error = seek(&slow, SeekFrom::End(0)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    });
    let slow = block_on(slow.into_source(0)).unwrap();
    assert_eq!(*slow.cursor.lock().unwrap(), 29);
}

#[test]
fn what_was_taken_is_written_in_order() {
    let (slow, ends) = slow();
    block_on(async {
        for number in 0..100_u8 {
            assert_eq!(take(&slow, &[number]).await.unwrap(), 1);
        }
        assert_eq!(take(&slow, &[]).await.unwrap(), 0);
    });
    drop(slow);
    let written: Vec<_> = ends.written.iter().flatten().collect();
    assert_eq!(written, (0..100).collect::<Vec<_>>());
}

#[test]
fn an_error_of_writing_is_told_once() {
    let (slow, ends) = slow();
    block_on(async {
        take(&slow, b"bad").await.unwrap();
        let error = flush(&slow).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        flush(&slow).await.unwrap();
        take(&slow, b"bad").await.unwrap();
        // A read is none of its business.
        ends.to_read.send(Ok(vec![1])).unwrap();
        assert_eq!(read::<8>(&slow).await.unwrap(), [1]);
        let error = slow.call(0, true, |_| Ok(())).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        slow.call(0, true, |_| Ok(())).await.unwrap();
        // Nor is a question.
        take(&slow, b"bad").await.unwrap();
        slow.call(0, false, |_| Ok(())).await.unwrap();
        take(&slow, b"good").await.unwrap_err();
        take(&slow, b"good").await.unwrap();
        flush(&slow).await.unwrap();
    });
}

#[test]
fn a_panic_is_an_error_and_the_source_lives_on() {
    let (slow, ends) = slow();
    block_on(async {
        take(&slow, b"poison").await.unwrap();
        let error = flush(&slow).await.unwrap_err();
        assert!(error.to_string().contains("panicked"), "{error}");
        ends.to_read.send(Err("on purpose")).unwrap();
        read::<8>(&slow).await.unwrap_err();
        let panic = |_: &Slow| -> io::Result<()> { std::panic::resume_unwind(Box::new("so")) };
        slow.call(0, false, panic).await.unwrap_err();
        ends.to_read.send(Ok(vec![7])).unwrap();
        assert_eq!(read::<8>(&slow).await.unwrap(), [7]);
    });
    block_on(slow.into_source(0)).unwrap();
}

#[test]
fn several_handles_get_a_part_each() {
    let (slow, ends) = slow();
    let handles: Vec<_> = (1..=40).map(|waiter| (slow.clone(), waiter)).collect();
    block_on(async {
        let mut reads: Vec<Pin<Box<dyn Future<Output = u8>>>> = Vec::new();
        for (slow, waiter) in handles {
            let mut read = Box::pin(async move {
                let mut byte = [0];
                poll_fn(|cx| slow.poll_read(cx, waiter, &mut byte))
                    .await
                    .unwrap();
                byte[0]
            });
            assert!(poll_once(&mut read).await.is_none());
            reads.push(read);
        }
        // One has gone, and must not be the only one that is woken.
        slow.leave(1);
        drop(reads.remove(0));
        for byte in 1..=39 {
            ends.to_read.send(Ok(vec![byte])).unwrap();
        }
        let mut bytes = Vec::new();
        for read in reads.into_iter().rev() {
            bytes.push(read.await);
        }
        bytes.sort_unstable();
        assert_eq!(bytes, (1..=39).collect::<Vec<_>>());
    });
}

#[test]
fn a_line_is_kept_until_its_end_has_come() {
    let (slow, ends) = slow();
    block_on(async {
        let line = || poll_fn(|cx| slow.poll_line(cx, 0));
        ends.to_read.send(Ok(b"half a ".to_vec())).unwrap();
        give_up(line());
        give_up(line());
        ends.to_read.send(Ok(b"line\nand\nmore".to_vec())).unwrap();
        assert_eq!(line().await.unwrap(), b"half a line\n");
        assert_eq!(line().await.unwrap(), b"and\n");
        ends.to_read.send(Ok(Vec::new())).unwrap();
        assert_eq!(line().await.unwrap(), b"more");
        ends.to_read.send(Ok(Vec::new())).unwrap();
        assert_eq!(line().await.unwrap(), b"");
        ends.to_read.send(Ok(b"\n".to_vec())).unwrap();
        assert_eq!(line().await.unwrap(), b"\n");
    });
}

/// Records that are never in step with the pieces in which they are read: memory for what is read at once
/// is enough, whatever has been read before.
#[test]
fn lines_that_have_been_taken_are_not_kept() {
    let pieces = if cfg!(miri) { 4 } else { 100 };
    let (slow, ends) = slow();
    let line = || poll_fn(|cx| slow.poll_line(cx, 0));
    block_on(async {
        for piece in 0..pieces {
            let bytes = (0..1_000).map(|byte| match (piece * 1_000 + byte) % 64 {
                12 => b'\n',
                _ => b'x',
            });
            ends.to_read.send(Ok(bytes.collect())).unwrap();
        }
        ends.to_read.send(Ok(Vec::new())).unwrap();
        let mut count = 0;
        while count < pieces * 1_000 {
            count += line().await.unwrap().len();
            let room = slow.desk.lock().unwrap().kept.capacity();
            assert!(room <= 32 * 1024, "{room} bytes are kept after {count}");
        }
        assert_eq!(count, pieces * 1_000);
    });
}

/// A long line comes in pieces, and each piece is searched once.
#[test]
fn a_long_line_is_not_searched_from_its_beginning() {
    let mut desk = Desk::default();
    for piece in 1..=10 {
        desk.note_read(b"x".repeat(100), Ok(100));
        assert_eq!(desk.kept.searched(), (piece - 1) * 100);
        assert!(desk.take_line().is_none());
        assert_eq!(desk.kept.searched(), piece * 100);
    }
    let mut buffer = [0; 250];
    desk.take_read(&mut buffer).unwrap().unwrap();
    assert_eq!(desk.kept.searched(), 750);
    desk.note_read(b"y\nz\n".to_vec(), Ok(4));
    assert_eq!(desk.take_line().unwrap().unwrap().len(), 752);
    assert_eq!(desk.take_line().unwrap().unwrap(), b"z\n");
    assert!(desk.take_line().is_none());
}

/// What looked like a device for once, because somebody else moved the cursor at that moment.
#[test]
fn a_seek_that_is_done_makes_an_end_of_what_was_kept() {
    let (slow, ends) = slow();
    block_on(async {
        give_up(read::<8>(&slow));
        ends.to_read.send(Ok(b"former".to_vec())).unwrap();
        slow.get_ref().is_device.store(true, Ordering::Relaxed);
        slow.rewound(0).await.unwrap();
        slow.get_ref().is_device.store(false, Ordering::Relaxed);
        let to = SeekFrom::Start(3);
        assert_eq!(poll_fn(|cx| slow.poll_seek(cx, 0, to)).await.unwrap(), 3);
        ends.to_read.send(Ok(b"new".to_vec())).unwrap();
        assert_eq!(read::<4>(&slow).await.unwrap(), b"new");
    });
}

/// Devices such as Linux's `hidraw` do nothing about a seek, and answer that it is done.
#[test]
fn a_seek_that_is_answered_and_not_done_loses_no_byte() {
    let (slow, ends) = slow();
    slow.get_ref().is_device.store(true, Ordering::Relaxed);
    block_on(async {
        give_up(read::<8>(&slow));
        ends.to_read.send(Ok(b"report".to_vec())).unwrap();
        slow.rewound(0).await.unwrap();
        take(&slow, b"request").await.unwrap();
        flush(&slow).await.unwrap();
        assert_eq!(ends.written.recv().unwrap(), b"request");
        assert_eq!(read::<4>(&slow).await.unwrap(), b"repo");
        // Nor does its owner get it back without them.
        let error = slow.into_source(0).await.err().unwrap();
        assert!(error.to_string().starts_with("2 bytes"), "{error}");
    });
}
