//! How to open a file.

use std::io;
use std::path::Path;

use super::File;
use crate::io::pooled::on_pool;

/// How to open a file: [`std::fs::OpenOptions`], asynchronous.
///
/// What only one system has (a mode, flags, attributes) is set on the type of `std`, which this one
/// can be made from.
///
/// # Examples
///
/// ```
/// use ekio::fs::{self, OpenOptions};
///
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("ekio-doc-open-{}", std::process::id()));
/// # ekio::block_on(async {
/// let mut log = OpenOptions::new().append(true).create(true).open(&path).await?;
/// log.write_all(b"one line\n").await?;
/// # drop(log);
/// # fs::remove_file(&path).await
/// # })
/// # }
/// ```
///
/// ```no_run
/// # #[cfg(unix)]
/// # async fn example() -> std::io::Result<()> {
/// use std::os::unix::fs::OpenOptionsExt;
///
/// let mut options = std::fs::OpenOptions::new();
/// options.write(true).create_new(true).mode(0o600);
/// let secret = ekio::fs::OpenOptions::from(options).open("secret").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions(std::fs::OpenOptions);

impl OpenOptions {
    /// Nothing is allowed yet.
    #[must_use]
    #[allow(clippy::new_without_default)] // As std's.
    pub fn new() -> OpenOptions {
        OpenOptions(std::fs::OpenOptions::new())
    }

    /// Whether it can be read.
    pub fn read(&mut self, read: bool) -> &mut OpenOptions {
        self.0.read(read);
        self
    }

    /// Whether it can be written.
    pub fn write(&mut self, write: bool) -> &mut OpenOptions {
        self.0.write(write);
        self
    }

    /// Whether it can be written, always at its end, wherever the cursor is.
    pub fn append(&mut self, append: bool) -> &mut OpenOptions {
        self.0.append(append);
        self
    }

    /// Whether what it contains is thrown away. It has to be opened for writing, too.
    pub fn truncate(&mut self, truncate: bool) -> &mut OpenOptions {
        self.0.truncate(truncate);
        self
    }

    /// Whether it is made if it is not there. It has to be opened for writing, too.
    pub fn create(&mut self, create: bool) -> &mut OpenOptions {
        self.0.create(create);
        self
    }

    /// Whether it is made, and must not be there yet. Nobody else can make it in between.
    pub fn create_new(&mut self, create_new: bool) -> &mut OpenOptions {
        self.0.create_new(create_new);
        self
    }

    /// Opens the file (`open`).
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `NotFound` | it, or a folder on the way, is not there |
    /// | `AlreadyExists` | it is there, with [`create_new`](OpenOptions::create_new) |
    /// | `PermissionDenied` | this process may not |
    /// | `InvalidInput` | the options contradict each other |
    /// | others | what the system said |
    ///
    /// # Cancel safety
    ///
    /// [As in the whole module](super#cancel-safety): it may have been made. It is closed again.
    #[doc(alias = "CreateFileW")]
    pub async fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let (options, path) = (self.0.clone(), path.as_ref().to_owned());
        on_pool(move || options.open(path))
            .await
            .map(File::from_std)
    }
}

impl From<std::fs::OpenOptions> for OpenOptions {
    fn from(options: std::fs::OpenOptions) -> OpenOptions {
        OpenOptions(options)
    }
}
