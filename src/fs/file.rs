//! A file that is open.

use std::fs::{Metadata, Permissions};
use std::future::poll_fn;
use std::io::{self, SeekFrom, Write as _};
use std::iter;
use std::path::Path;
use std::task::{Context, Poll, ready};

use super::OpenOptions;
use crate::io::pooled::{Pooled, Waiter};

/// A file that is open: [`std::fs::File`], asynchronous.
///
/// It does one thing at a time, and in the order in which it was asked; the methods take it by
/// `&mut`, so there is nobody else who could ask.
///
/// With the feature `futures-io`, which is on by default, it is
/// `futures_io::{AsyncRead, AsyncWrite, AsyncSeek}`. A write by those traits is ready as soon as the
/// file has *taken* the bytes, as they want it, and a flush when they are *written*. The methods of
/// this type do both, so after [`write_all`](File::write_all) the system has the bytes.
///
/// # Cancel safety
///
/// A thread of the pool works with buffers of the file's own. Therefore, guaranteed:
///
/// * What a dropped read has read is kept, and is what the next read gets. A seek and a write begin
///   where the last read that was not dropped has ended.
/// * What the file has taken is written once and whole, also if the future is dropped, also if the
///   `File` is. (But not if the process ends first.) If that fails, the next
///   [`write`](File::write), [`flush`](File::flush), [`set_len`](File::set_len),
///   [`sync_all`](File::sync_all) or [`sync_data`](File::sync_data) answers the error instead of
///   being done.
/// * Nothing that is dropped, no panic and no end of a runtime loses the file.
///
/// A dropped `File` is closed when what is under way is over. What closing says is not heard:
/// [`sync_all`](File::sync_all) before, if it matters.
///
/// # Examples
///
/// ```
/// use ekio::fs::File;
/// use std::io::SeekFrom;
///
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("ekio-doc-file-{}", std::process::id()));
/// # ekio::block_on(async {
/// let mut file = File::options().read(true).write(true).create(true).open(&path).await?;
/// file.write_all(b"hello, world").await?;
/// file.seek(SeekFrom::Start(7)).await?;
/// let mut rest = Vec::new();
/// file.read_to_end(&mut rest).await?;
/// assert_eq!(rest, b"world");
/// # drop(file);
/// # ekio::fs::remove_file(&path).await
/// # })
/// # }
/// ```
#[derive(Debug)]
pub struct File {
    pooled: Pooled<std::fs::File>,
}

/// A file has one handle, whose methods take it by `&mut`.
const ONLY: Waiter = 0;

impl File {
    /// Opens a file to read it.
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::open`].
    ///
    /// # Cancel safety
    ///
    /// [As in the whole module](super#cancel-safety). It is closed again.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<File> {
        OpenOptions::new().read(true).open(path).await
    }

    /// Makes a file, or empties the one that is there, to write it.
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::open`].
    ///
    /// # Cancel safety
    ///
    /// [As in the whole module](super#cancel-safety): it may be there, and empty.
    pub async fn create(path: impl AsRef<Path>) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        options.open(path).await
    }

    /// Makes a file that must not be there yet, to read and write it.
    ///
    /// # Errors
    ///
    /// Those of [`OpenOptions::open`], for one `AlreadyExists`.
    ///
    /// # Cancel safety
    ///
    /// [As in the whole module](super#cancel-safety): it may be there, and empty.
    pub async fn create_new(path: impl AsRef<Path>) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        options.open(path).await
    }

    /// How to open a file in any other way.
    #[must_use]
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// Reads what there is room for, at most (`read`). 0 is the end of the file. (An empty buffer gives
    /// 0 as well.)
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped: the next read gets what this one would have got.
    #[doc(alias = "ReadFile")]
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buffer)).await
    }

    /// Reads until the buffer is full.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file ends before, and those of [`read`](File::read). What the buffer
    /// holds is unspecified then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what has been read is in the buffer, but nobody knows how much it is.
    pub async fn read_exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let mut rest = buffer;
        while !rest.is_empty() {
            match self.read(rest).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => rest = &mut rest[count..],
            }
        }
        Ok(())
    }

    /// Reads the rest of the file, appends it to `bytes`, and answers how much it was.
    ///
    /// # Errors
    ///
    /// Those of [`read`](File::read). What was read before stands in `bytes`.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if the future is dropped: what has been read stands in `bytes`, and the next
    /// read gets what comes then.
    pub async fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        self.pooled.read_to_end(ONLY, bytes).await
    }

    /// Reads the rest of the file, appends it to `text`, and answers how many bytes it was.
    ///
    /// # Errors
    ///
    /// `InvalidData` if it is not UTF-8, and those of [`read`](File::read). In both cases `text` is as
    /// before, and the cursor is not.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what has been read is lost, and the cursor stands behind it.
    pub async fn read_to_string(&mut self, text: &mut String) -> io::Result<usize> {
        let mut bytes = Vec::new();
        let count = self.read_to_end(&mut bytes).await?;
        let more = String::from_utf8(bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        text.push_str(&more);
        Ok(count)
    }

    /// Writes some of the bytes, up to a quarter of a mebibyte today, and waits until the system has
    /// them (`write`).
    ///
    /// # Errors
    ///
    /// What the system says; of a write before, if nobody was told
    /// ([why](File#cancel-safety)). How much the file holds of the bytes is unspecified then.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the file has taken nothing, or writes all that it has taken; who drops
    /// it does not know which.
    #[doc(alias = "WriteFile")]
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = poll_fn(|cx| self.poll_write(cx, iter::once(bytes))).await?;
        self.flush().await?;
        Ok(count)
    }

    /// Writes everything, and waits until the system has it.
    ///
    /// # Errors
    ///
    /// Those of [`write`](File::write).
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

    /// Waits until the system has everything that the file has taken: after a write by the traits of
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

    /// Moves the cursor, and answers where it is then (`lseek`).
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `InvalidInput` (on Unix) | that is before the begin of the file |
    /// | `NotSeekable` | it is a pipe, a terminal, ... |
    /// | others | what the system said |
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the cursor may have been moved, and stays there. Only if the next
    /// thing that is asked for is the same seek, it is not done for a second time.
    #[doc(alias = "lseek")]
    pub async fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        poll_fn(|cx| self.poll_seek(cx, to)).await
    }

    /// Waits until all of it, contents and metadata, is on the disk (`fsync`).
    ///
    /// # Errors
    ///
    /// What the system says, and that of a write before.
    ///
    /// # Cancel safety
    ///
    /// [As in the whole module](super#cancel-safety).
    #[doc(alias = "fsync")]
    pub async fn sync_all(&mut self) -> io::Result<()> {
        self.pooled.call(ONLY, true, std::fs::File::sync_all).await
    }

    /// Waits until its contents are on the disk (`fdatasync`).
    ///
    /// # Errors
    ///
    /// What the system says, and that of a write before.
    ///
    /// # Cancel safety
    ///
    /// [As in the whole module](super#cancel-safety).
    #[doc(alias = "fdatasync")]
    pub async fn sync_data(&mut self) -> io::Result<()> {
        self.pooled.call(ONLY, true, std::fs::File::sync_data).await
    }

    /// Cuts the file, or fills it up with zeros, to this length (`ftruncate`). The cursor stays where
    /// it is.
    ///
    /// # Errors
    ///
    /// What the system says (for one that the file was not opened for writing), and that of a write
    /// before.
    ///
    /// # Cancel safety
    ///
    /// [As in the whole module](super#cancel-safety).
    #[doc(alias = "ftruncate")]
    pub async fn set_len(&mut self, len: u64) -> io::Result<()> {
        // What a dropped read has read may not be there any more.
        self.pooled.rewound(ONLY).await?;
        let call = move |file: &std::fs::File| file.set_len(len);
        self.pooled.call(ONLY, true, call).await
    }

    /// What the system knows of the file (`fstat`).
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn metadata(&mut self) -> io::Result<Metadata> {
        self.pooled.call(ONLY, false, std::fs::File::metadata).await
    }

    /// Changes what may be done with the file (`fchmod`).
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Cancel safety
    ///
    /// [As in the whole module](super#cancel-safety).
    pub async fn set_permissions(&mut self, permissions: Permissions) -> io::Result<()> {
        let call = move |file: &std::fs::File| file.set_permissions(permissions);
        self.pooled.call(ONLY, false, call).await
    }

    /// A second `File` for the same open file (`dup`). They share the cursor, and do one thing at a
    /// time *each*.
    ///
    /// # Errors
    ///
    /// What the system says, for one that there are too many open files.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn try_clone(&mut self) -> io::Result<File> {
        self.pooled.rewound(ONLY).await?;
        let clone = self.pooled.call(ONLY, false, std::fs::File::try_clone);
        clone.await.map(File::from_std)
    }

    /// Takes a file of `std`.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("ekio-doc-std-{}", std::process::id()));
    /// let file = ekio::fs::File::from_std(std::fs::File::create(&path)?);
    /// let file: std::fs::File = ekio::block_on(file.into_std())?;
    /// # drop(file);
    /// # std::fs::remove_file(path)
    /// # }
    /// ```
    #[must_use]
    pub fn from_std(file: std::fs::File) -> File {
        File {
            pooled: Pooled::new(file),
        }
    }

    /// Waits until nothing is under way, and gives the file of `std` back. The cursor is behind what
    /// was read, and written.
    ///
    /// # Errors
    ///
    /// That of a write of which nobody was told, and what the system says when the cursor has to be put
    /// back: of a pipe or a terminal it cannot be, if a dropped read has read what nobody has taken. The
    /// file is closed then; who wants to keep it [flushes](File::flush), and reads, before.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, so is the file.
    pub async fn into_std(self) -> io::Result<std::fs::File> {
        self.pooled.into_source(ONLY).await
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.pooled.poll_read(cx, ONLY, buffer)
    }

    /// Takes bytes to be written at the cursor.
    pub(super) fn poll_write<'a>(
        &mut self,
        cx: &mut Context<'_>,
        pieces: impl Iterator<Item = &'a [u8]>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.pooled.poll_rewound(cx, ONLY).map_ok(drop))?;
        let write = |mut file: &std::fs::File, bytes: &[u8]| file.write_all(bytes);
        self.pooled.poll_write(cx, ONLY, pieces, write)
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pooled.poll_written(cx, ONLY)
    }

    pub(super) fn poll_seek(
        &mut self,
        cx: &mut Context<'_>,
        to: SeekFrom,
    ) -> Poll<io::Result<u64>> {
        self.pooled.poll_seek(cx, ONLY, to)
    }
}

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> File {
        File::from_std(file)
    }
}

#[cfg(unix)]
mod os {
    use super::File;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

    impl AsFd for File {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.pooled.get_ref().as_fd()
        }
    }

    impl AsRawFd for File {
        fn as_raw_fd(&self) -> RawFd {
            self.pooled.get_ref().as_raw_fd()
        }
    }
}

#[cfg(windows)]
mod os {
    use super::File;
    use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, RawHandle};

    impl AsHandle for File {
        fn as_handle(&self) -> BorrowedHandle<'_> {
            self.pooled.get_ref().as_handle()
        }
    }

    impl AsRawHandle for File {
        fn as_raw_handle(&self) -> RawHandle {
            self.pooled.get_ref().as_raw_handle()
        }
    }
}
