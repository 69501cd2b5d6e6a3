//! What is in a folder.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::fs::{FileType, Metadata};
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use crate::io::pooled::on_pool;

/// How many entries one call takes from the system. It reads about as many at a time itself.
const BATCH_MAX: usize = 64;

/// Opens a folder to see what is in it (`opendir`).
///
/// # Errors
///
/// | kind | when |
/// |---|---|
/// | `NotFound` | it is not there |
/// | `NotADirectory` | it is something else |
/// | `PermissionDenied` | this process may not |
/// | others | what the system said |
///
/// # Cancel safety
///
/// Dropping the future loses nothing.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// let mut entries = ekio::fs::read_dir(".").await?;
/// while let Some(entry) = entries.next_entry().await? {
///     println!("{} has {} bytes", entry.path().display(), entry.metadata().await?.len());
/// }
/// # Ok(())
/// # }
/// ```
#[doc(alias = "opendir")]
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let path = path.as_ref().to_owned();
    let (rest, batch) =
        on_pool(move || std::fs::read_dir(path).map(|entries| next_batch(Box::new(entries))))
            .await?;
    Ok(ReadDir {
        batch,
        rest: Rest::Idle(rest),
    })
}

/// The entries of a folder, in no particular order, without `.` and `..`.
///
/// What is made or removed meanwhile may be among them or not.
pub struct ReadDir {
    /// Read, and not yet taken.
    batch: VecDeque<io::Result<DirEntry>>,
    rest: Rest,
}

enum Rest {
    /// `None` at the end.
    Idle(Option<Box<std::fs::ReadDir>>),
    /// The next batch is being read. The future stays here, whoever waits for it.
    Busy(Reading),
}

type Batch = (
    Option<Box<std::fs::ReadDir>>,
    VecDeque<io::Result<DirEntry>>,
);

type Reading = Pin<Box<dyn Future<Output = io::Result<Batch>> + Send + Sync>>;

impl ReadDir {
    /// The next entry (`readdir`), or `None` behind the last one.
    ///
    /// # Errors
    ///
    /// What the system says. It can be asked for the next one nevertheless.
    ///
    /// # Cancel safety
    ///
    /// No entry is lost if the future is dropped.
    ///
    /// # Examples
    ///
    /// See [`read_dir`].
    #[doc(alias = "readdir")]
    pub async fn next_entry(&mut self) -> io::Result<Option<DirEntry>> {
        loop {
            if let Some(entry) = self.batch.pop_front() {
                return entry.map(Some);
            }
            match &mut self.rest {
                Rest::Idle(rest) => {
                    let Some(rest) = rest.take() else {
                        return Ok(None);
                    };
                    self.rest = Rest::Busy(Box::pin(on_pool(move || Ok(next_batch(rest)))));
                }
                Rest::Busy(reading) => {
                    let read = reading.as_mut().await;
                    self.rest = Rest::Idle(None);
                    let (rest, batch) = read?;
                    (self.rest, self.batch) = (Rest::Idle(rest), batch);
                }
            }
        }
    }
}

fn next_batch(mut rest: Box<std::fs::ReadDir>) -> Batch {
    let mut batch = VecDeque::new();
    while batch.len() < BATCH_MAX {
        match rest.next() {
            Some(entry) => batch.push_back(entry.map(DirEntry::new)),
            None => return (None, batch),
        }
    }
    (Some(rest), batch)
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir").finish_non_exhaustive()
    }
}

/// What is in a folder, one of it.
#[derive(Clone, Debug)]
pub struct DirEntry {
    entry: Arc<std::fs::DirEntry>,
    /// Most systems tell it with the name. `None` where that failed.
    file_type: Option<FileType>,
}

impl DirEntry {
    fn new(entry: std::fs::DirEntry) -> DirEntry {
        DirEntry {
            file_type: entry.file_type().ok(),
            entry: Arc::new(entry),
        }
    }

    /// The path that was given to [`read_dir`], and the name.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.entry.path()
    }

    /// The name alone.
    #[must_use]
    pub fn file_name(&self) -> OsString {
        self.entry.file_name()
    }

    /// What the system knows of it. A symbolic link is not followed.
    ///
    /// # Errors
    ///
    /// What the system says, for one `NotFound` if it has gone since.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        let entry = Arc::clone(&self.entry);
        on_pool(move || entry.metadata()).await
    }

    /// Whether it is a file, a folder or something else. A symbolic link is not followed. It is known
    /// already, as a rule.
    ///
    /// # Errors
    ///
    /// Those of [`metadata`](DirEntry::metadata).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn file_type(&self) -> io::Result<FileType> {
        match self.file_type {
            Some(file_type) => Ok(file_type),
            None => {
                let entry = Arc::clone(&self.entry);
                on_pool(move || entry.file_type()).await
            }
        }
    }
}
