//! Files and folders.
//!
//! The functions and types mirror those of [`std::fs`]. No system's event queue says when a file will
//! not block, so here a thread of the blocking pool makes the call (see
//! [`spawn_blocking`](crate::spawn_blocking)), and the task is woken when it is done. That way costs
//! some ten microseconds for each call: read and write much at once, and prefer [`read`] and [`write`](fn@write)
//! to many small steps of a [`File`]. Everything works on any executor.
//!
//! # Cancel safety
//!
//! What the pool has begun it finishes, whether anybody waits for it or not, and a call that was put
//! to it is begun even if its future has been dropped since. So a function whose future is dropped
//! before it is finished has either done nothing (it was never polled), or does all that it was asked
//! to do, and nobody is told.
//!
//! A [`File`] says more: it does one thing at a time, and in order; what a dropped read has read is
//! kept for the next one.
//!
//! # Examples
//!
//! ```
//! use ekio::fs;
//!
//! # fn main() -> std::io::Result<()> {
//! # let folder = std::env::temp_dir().join(format!("ekio-doc-fs-{}", std::process::id()));
//! # ekio::block_on(async {
//! fs::create_dir_all(&folder).await?;
//! let path = folder.join("greeting");
//! fs::write(&path, "hello").await?;
//! assert_eq!(fs::read_to_string(&path).await?, "hello");
//!
//! let mut entries = fs::read_dir(&folder).await?;
//! while let Some(entry) = entries.next_entry().await? {
//!     assert_eq!(entry.file_name(), "greeting");
//! }
//! fs::remove_dir_all(&folder).await?;
//! # Ok(())
//! # })
//! # }
//! ```

#[cfg(feature = "futures-io")]
mod as_futures_io;
mod dir;
mod file;
mod open;
mod paths;

pub use dir::{DirEntry, ReadDir, read_dir};
pub use file::File;
pub use open::OpenOptions;
pub use paths::{
    canonicalize, copy, create_dir, create_dir_all, hard_link, metadata, read, read_link,
    read_to_string, remove_dir, remove_dir_all, remove_file, rename, set_permissions,
    symlink_metadata, try_exists, write,
};
