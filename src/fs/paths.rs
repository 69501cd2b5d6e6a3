//! Functions on paths. Each is the one of `std`, called by a thread of the pool.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::path::{Path, PathBuf};

use crate::io::pooled::on_pool;

/// Reads a whole file (`open`, `read`).
///
/// # Errors
///
/// | kind | when |
/// |---|---|
/// | `NotFound` | it, or a folder on the way, is not there |
/// | `PermissionDenied` | this process may not |
/// | others | what the system said |
///
/// # Cancel safety
///
/// Dropping the future loses nothing.
///
/// # Examples
///
/// See [the module](super#examples).
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let path = path.as_ref().to_owned();
    on_pool(move || fs::read(path)).await
}

/// Reads a whole file that is text (`open`, `read`).
///
/// # Errors
///
/// `InvalidData` if it is not UTF-8, and those of [`read`].
///
/// # Cancel safety
///
/// Dropping the future loses nothing.
///
/// # Examples
///
/// See [the module](super#examples).
pub async fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    let path = path.as_ref().to_owned();
    on_pool(move || fs::read_to_string(path)).await
}

/// Makes a file of these bytes, or replaces what is in the one that is there (`open`, `write`).
///
/// The bytes are copied, for the thread of the pool.
///
/// # Errors
///
/// Those of [`read`], and `StorageFull`. What the file holds is unspecified then.
///
/// # Cancel safety
///
/// [As in the whole module](super#cancel-safety).
///
/// # Examples
///
/// See [the module](super#examples).
pub async fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    let bytes = bytes.as_ref().to_owned();
    on_pool(move || fs::write(path, bytes)).await
}

/// Copies what is in a file, and its permissions, to another one, which is replaced if it is there; answers
/// how many bytes that were (`copy_file_range`, `CopyFileEx`, ...).
///
/// # Errors
///
/// Those of [`read`] and [`write`](fn@write), and `InvalidInput` if the first one is no file.
///
/// # Cancel safety
///
/// [As in the whole module](super#cancel-safety).
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("ekio-doc-copy-{}", std::process::id()));
/// # let copy = path.with_extension("copy");
/// # ekio::block_on(async {
/// ekio::fs::write(&path, "twice").await?;
/// ekio::fs::copy(&path, &copy).await?;
/// assert_eq!(ekio::fs::read(&copy).await?, b"twice");
/// ekio::fs::rename(&copy, &path).await?;
/// assert!(!ekio::fs::try_exists(&copy).await?);
/// # ekio::fs::remove_file(&path).await
/// # })
/// # }
/// ```
#[doc(alias = "copy_file_range")]
#[doc(alias = "CopyFileExW")]
pub async fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    on_pool(move || fs::copy(from, to)).await
}

/// Renames a file or folder; a file of the new name is replaced, by one step (`rename`).
///
/// # Errors
///
/// | kind | when |
/// |---|---|
/// | `NotFound`, `PermissionDenied` | as for [`read`] |
/// | `CrossesDevices` | the new name is on another disk |
/// | `IsADirectory`, `NotADirectory`, `DirectoryNotEmpty` | what has the new name cannot be replaced |
/// | others | what the system said |
///
/// # Cancel safety
///
/// [As in the whole module](super#cancel-safety).
///
/// # Examples
///
/// See [`copy`].
#[doc(alias = "MoveFileExW")]
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    on_pool(move || fs::rename(from, to)).await
}

/// Removes a file (`unlink`).
///
/// # Errors
///
/// | kind | when |
/// |---|---|
/// | `NotFound` | it, or a folder on the way, is not there |
/// | `PermissionDenied` | this process may not |
/// | others | what the system said |
///
/// # Cancel safety
///
/// [As in the whole module](super#cancel-safety).
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("ekio-doc-remove-{}", std::process::id()));
/// # ekio::block_on(async {
/// ekio::fs::write(&path, "").await?;
/// ekio::fs::remove_file(&path).await?;
/// # Ok(())
/// # })
/// # }
/// ```
#[doc(alias = "unlink")]
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    on_pool(move || fs::remove_file(path)).await
}

/// Gives a file a second name (`link`).
///
/// # Errors
///
/// Those of [`rename`], and `AlreadyExists`.
///
/// # Cancel safety
///
/// [As in the whole module](super#cancel-safety).
#[doc(alias = "link")]
pub async fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (original.as_ref().to_owned(), link.as_ref().to_owned());
    on_pool(move || fs::hard_link(original, link)).await
}

/// What a symbolic link says (`readlink`).
///
/// # Errors
///
/// Those of [`read`], and `InvalidInput` if it is no such link.
///
/// # Cancel safety
///
/// Dropping the future loses nothing.
#[doc(alias = "readlink")]
pub async fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    on_pool(move || fs::read_link(path)).await
}

/// The absolute path, without symbolic links (`realpath`).
///
/// # Errors
///
/// | kind | when |
/// |---|---|
/// | `NotFound` | it, or a folder on the way, is not there |
/// | `PermissionDenied` | this process may not |
/// | others | what the system said |
///
/// # Cancel safety
///
/// Dropping the future loses nothing.
#[doc(alias = "realpath")]
pub async fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = path.as_ref().to_owned();
    on_pool(move || fs::canonicalize(path)).await
}

/// What the system knows of a file or folder (`stat`). A symbolic link is followed.
///
/// # Errors
///
/// | kind | when |
/// |---|---|
/// | `NotFound` | it, or a folder on the way, is not there |
/// | `PermissionDenied` | this process may not |
/// | others | what the system said |
///
/// # Cancel safety
///
/// Dropping the future loses nothing.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// assert!(ekio::fs::metadata(".").await?.is_dir());
/// # Ok(())
/// # })
/// # }
/// ```
#[doc(alias = "stat")]
pub async fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref().to_owned();
    on_pool(move || fs::metadata(path)).await
}

/// [`metadata`], of a symbolic link itself (`lstat`).
///
/// # Errors
///
/// | kind | when |
/// |---|---|
/// | `NotFound` | it, or a folder on the way, is not there |
/// | `PermissionDenied` | this process may not |
/// | others | what the system said |
///
/// # Cancel safety
///
/// Dropping the future loses nothing.
#[doc(alias = "lstat")]
pub async fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref().to_owned();
    on_pool(move || fs::symlink_metadata(path)).await
}

/// Changes what may be done with a file or folder (`chmod`).
///
/// # Errors
///
/// | kind | when |
/// |---|---|
/// | `NotFound` | it, or a folder on the way, is not there |
/// | `PermissionDenied` | this process may not |
/// | others | what the system said |
///
/// # Cancel safety
///
/// [As in the whole module](super#cancel-safety).
#[doc(alias = "chmod")]
pub async fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    on_pool(move || fs::set_permissions(path, permissions)).await
}

/// Whether there is such a file or folder. A symbolic link is followed.
///
/// # Errors
///
/// What the system says, if that does not tell.
///
/// # Cancel safety
///
/// Dropping the future loses nothing.
///
/// # Examples
///
/// See [`copy`].
pub async fn try_exists(path: impl AsRef<Path>) -> io::Result<bool> {
    let path = path.as_ref().to_owned();
    on_pool(move || fs::exists(path)).await
}

/// Makes a folder (`mkdir`).
///
/// # Errors
///
/// | kind | when |
/// |---|---|
/// | `AlreadyExists` | the name is taken |
/// | `NotFound` | the folder that it should be in is not there |
/// | `PermissionDenied` | this process may not |
/// | others | what the system said |
///
/// # Cancel safety
///
/// [As in the whole module](super#cancel-safety).
#[doc(alias = "mkdir")]
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    on_pool(move || fs::create_dir(path)).await
}

/// Makes a folder, and those on the way that are not there yet. If it is there, that is fine.
///
/// # Errors
///
/// Those of [`create_dir`]; `AlreadyExists` only if it is no folder.
///
/// # Cancel safety
///
/// [As in the whole module](super#cancel-safety).
///
/// # Examples
///
/// See [the module](super#examples).
#[doc(alias = "mkdir")]
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    on_pool(move || fs::create_dir_all(path)).await
}

/// Removes an empty folder (`rmdir`).
///
/// # Errors
///
/// Those of [`remove_file`], and `DirectoryNotEmpty`, `NotADirectory`.
///
/// # Cancel safety
///
/// [As in the whole module](super#cancel-safety).
#[doc(alias = "rmdir")]
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    on_pool(move || fs::remove_dir(path)).await
}

/// Removes a folder and everything in it. A symbolic link in it is removed, and not followed.
///
/// # Errors
///
/// Those of [`remove_file`]. What was removed before stays removed.
///
/// # Cancel safety
///
/// [As in the whole module](super#cancel-safety).
///
/// # Examples
///
/// See [the module](super#examples).
#[doc(alias = "rm")]
pub async fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = path.as_ref().to_owned();
    on_pool(move || fs::remove_dir_all(path)).await
}
