//! Files and folders: what std does, without blocking the executor; and whoever gives up loses nothing.

#[path = "support/mod.rs"]
mod support;

use std::future::Future;
use std::io::{ErrorKind, SeekFrom};
use std::pin::pin;
use std::task::{Context, Waker};

use ekio::fs::{self, File, OpenOptions};
use support::folder::Folder;
use support::futures::everywhere;
use support::repeat;

/// Polls once, and drops it. False if it was ready, because the pool was quicker than the poll.
fn give_up<F: Future>(future: F) -> bool {
    pin!(future)
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_pending()
}

/// Begins to read so many bytes, and gives it up.
async fn give_up_reading(file: &mut File, count: usize) {
    let mut buffer = vec![0; count];
    while !give_up(file.read(&mut buffer)) {
        let back = -i64::try_from(count).unwrap();
        file.seek(SeekFrom::Current(back)).await.unwrap();
    }
}

/// Bytes that tell where they stand.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[test]
fn functions_do_what_those_of_std_do() {
    everywhere(|| async {
        let folder = Folder::new();
        let (one, two) = (folder.join("one"), folder.join("two"));
        fs::write(&one, "some text").await.unwrap();
        assert_eq!(fs::read(&one).await.unwrap(), b"some text");
        assert_eq!(fs::read_to_string(&one).await.unwrap(), "some text");
        match fs::copy(&one, &two).await.unwrap() {
            0 if cfg!(windows) => support::skipped("Wine does not say how much it has copied"),
            copied => assert_eq!(copied, 9),
        }
        fs::remove_file(&one).await.unwrap();
        assert!(!fs::try_exists(&one).await.unwrap());
        fs::rename(&two, &one).await.unwrap();
        assert!(fs::try_exists(&one).await.unwrap());
        assert_eq!(fs::metadata(&one).await.unwrap().len(), 9);

        fs::hard_link(&one, &two).await.unwrap();
        fs::write(&two, "other").await.unwrap();
        assert_eq!(fs::read(&one).await.unwrap(), b"other");

        let mut permissions = fs::metadata(&one).await.unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&one, permissions.clone())
            .await
            .unwrap();
        assert!(fs::metadata(&one).await.unwrap().permissions().readonly());
        #[allow(clippy::permissions_set_readonly_false)] // It is removed at once.
        permissions.set_readonly(false);
        fs::set_permissions(&one, permissions).await.unwrap();

        let deep = folder.join("a").join("b").join("c");
        fs::create_dir_all(&deep).await.unwrap();
        fs::create_dir_all(&deep).await.unwrap();
        fs::create_dir(deep.join("d")).await.unwrap();
        fs::remove_dir(deep.join("d")).await.unwrap();
        let dots = deep.join("..").join("c");
        let canonical = fs::canonicalize(&deep).await.unwrap();
        assert_eq!(fs::canonicalize(dots).await.unwrap(), canonical);
        fs::remove_dir_all(folder.join("a")).await.unwrap();
        assert!(!fs::try_exists(&deep).await.unwrap());
    });
}

#[test]
fn errors_are_of_their_kinds() {
    everywhere(|| async {
        let folder = Folder::new();
        let nowhere = folder.join("nowhere");
        let kind = |error: std::io::Error| error.kind();
        assert_eq!(
            fs::read(&nowhere).await.map_err(kind),
            Err(ErrorKind::NotFound)
        );
        assert_eq!(
            fs::remove_file(&nowhere).await.map_err(kind),
            Err(ErrorKind::NotFound)
        );
        assert_eq!(
            fs::create_dir(folder.path()).await.map_err(kind),
            Err(ErrorKind::AlreadyExists)
        );
        assert_eq!(
            File::open(&nowhere).await.map_err(kind).err(),
            Some(ErrorKind::NotFound)
        );
        assert_eq!(
            fs::read_dir(&nowhere).await.map_err(kind).err(),
            Some(ErrorKind::NotFound)
        );
        fs::write(&nowhere, [0xff]).await.unwrap();
        let text = fs::read_to_string(&nowhere).await;
        assert_eq!(text.map_err(kind), Err(ErrorKind::InvalidData));
        let new = File::create_new(&nowhere).await;
        assert_eq!(new.map_err(kind).err(), Some(ErrorKind::AlreadyExists));
        let nothing = OpenOptions::new().open(&nowhere).await;
        assert_eq!(nothing.map_err(kind).err(), Some(ErrorKind::InvalidInput));
        let full = fs::remove_dir(folder.path()).await;
        assert_eq!(full.map_err(kind), Err(ErrorKind::DirectoryNotEmpty));
    });
}

#[cfg(unix)]
#[test]
fn symbolic_links_are_told_from_what_they_point_to() {
    everywhere(|| async {
        let folder = Folder::new();
        let (file, link) = (folder.join("file"), folder.join("link"));
        fs::write(&file, "text").await.unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(fs::read_link(&link).await.unwrap(), file);
        assert!(fs::metadata(&link).await.unwrap().is_file());
        assert!(fs::symlink_metadata(&link).await.unwrap().is_symlink());
        let error = fs::read_link(&file).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        fs::remove_file(&file).await.unwrap();
        assert!(!fs::try_exists(&link).await.unwrap());
    });
}

#[test]
fn a_folder_is_read_whole_whoever_gives_up() {
    everywhere(|| async {
        let folder = Folder::new();
        let mut expected = Vec::new();
        for number in 0..200 {
            let name = format!("{number:03}");
            std::fs::write(folder.join(&name), &name[..number % 3]).unwrap();
            expected.push(name);
        }
        std::fs::create_dir(folder.join("folder")).unwrap();
        expected.push("folder".to_owned());
        let mut seen = Vec::new();
        let mut entries = fs::read_dir(folder.path()).await.unwrap();
        loop {
            if seen.len() % 64 == 0 {
                // The next batch is not there yet.
                let entry = pin!(entries.next_entry());
                if let std::task::Poll::Ready(Ok(Some(entry))) =
                    entry.poll(&mut Context::from_waker(Waker::noop()))
                {
                    seen.push(entry.file_name().into_string().unwrap());
                    continue;
                }
            }
            let Some(entry) = entries.next_entry().await.unwrap() else {
                break;
            };
            let name = entry.file_name().into_string().unwrap();
            assert_eq!(entry.path(), folder.join(&name));
            let metadata = entry.metadata().await.unwrap();
            assert_eq!(metadata.is_dir(), name == "folder");
            assert_eq!(entry.file_type().await.unwrap().is_dir(), name == "folder");
            if let Ok(number) = name.parse::<u64>() {
                assert_eq!(metadata.len(), number % 3);
            }
            seen.push(name);
        }
        assert!(entries.next_entry().await.unwrap().is_none());
        seen.sort_unstable();
        assert_eq!(seen, expected);
    });
}

#[test]
fn a_file_reads_writes_seeks_and_is_given_back() {
    everywhere(|| async {
        let folder = Folder::new();
        let path = folder.join("file");
        let bytes = pattern(600_000);
        let mut file = File::create_new(&path).await.unwrap();
        file.write_all(&bytes).await.unwrap();
        // It is there without more ado.
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!(file.metadata().await.unwrap().len(), 600_000);
        assert_eq!(file.read(&mut [0; 8]).await.unwrap(), 0);
        assert_eq!(file.seek(SeekFrom::End(-4)).await.unwrap(), 599_996);
        let mut four = [0; 4];
        file.read_exact(&mut four).await.unwrap();
        assert_eq!(four, bytes[599_996..]);
        let error = file.read_exact(&mut four).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        let error = file.seek(SeekFrom::End(-600_001)).await.unwrap_err();
        assert!(cfg!(windows) || error.kind() == ErrorKind::InvalidInput);

        file.seek(SeekFrom::Start(3)).await.unwrap();
        let mut all = vec![0, 1, 2];
        assert_eq!(file.read_to_end(&mut all).await.unwrap(), 599_997);
        assert_eq!(all[..], bytes);
        assert_eq!(file.read(&mut []).await.unwrap(), 0);

        file.set_len(5).await.unwrap();
        file.sync_data().await.unwrap();
        file.sync_all().await.unwrap();
        // One cursor for both.
        let mut clone = file.try_clone().await.unwrap();
        clone.seek(SeekFrom::Start(2)).await.unwrap();
        file.write_all(b"xy").await.unwrap();
        assert_eq!(clone.read(&mut four).await.unwrap(), 1);
        assert_eq!(four[0], 4);
        drop(clone);

        let std = file.into_std().await.unwrap();
        assert_eq!(std.metadata().unwrap().len(), 5);
        let mut file = File::from(std);
        file.seek(SeekFrom::Start(0)).await.unwrap();
        let mut text = String::from("> ");
        assert_eq!(file.read_to_string(&mut text).await.unwrap(), 5);
        assert_eq!(text, "> \0\u{1}xy\u{4}");

        let mut log = OpenOptions::new().append(true).open(&path).await.unwrap();
        log.seek(SeekFrom::Start(0)).await.unwrap();
        log.write_all(b"!").await.unwrap();
        assert_eq!(fs::read(&path).await.unwrap(), b"\0\x01xy\x04!");
        assert_eq!(
            File::create(&path)
                .await
                .unwrap()
                .metadata()
                .await
                .unwrap()
                .len(),
            0
        );
    });
}

#[test]
fn a_dropped_read_loses_no_byte() {
    everywhere(|| async {
        let folder = Folder::new();
        let bytes = pattern(10_000);
        std::fs::write(folder.join("file"), &bytes).unwrap();
        let mut file = File::open(folder.join("file")).await.unwrap();
        let (mut seen, mut buffer) = (Vec::new(), [0; 97]);
        loop {
            let asked = 1 + seen.len() % buffer.len();
            give_up(async {
                let count = file.read(&mut buffer[..asked]).await.unwrap();
                seen.extend_from_slice(&buffer[..count]);
            });
            let asked = 1 + seen.len() % buffer.len();
            match file.read(&mut buffer[..asked]).await.unwrap() {
                0 => break,
                count => seen.extend_from_slice(&buffer[..count]),
            }
        }
        assert_eq!(seen, bytes);
        // Where the cursor is, a dropped read does not change for anybody.
        file.seek(SeekFrom::Start(100)).await.unwrap();
        give_up_reading(&mut file, 97).await;
        assert_eq!(file.seek(SeekFrom::Current(0)).await.unwrap(), 100);
        give_up_reading(&mut file, 97).await;
        let mut std = file.into_std().await.unwrap();
        assert_eq!(std::io::Seek::stream_position(&mut std).unwrap(), 100);
    });
}

#[test]
fn a_write_after_a_dropped_read_goes_where_that_began() {
    everywhere(|| async {
        let folder = Folder::new();
        let path = folder.join("file");
        std::fs::write(&path, "0123456789").unwrap();
        let mut options = File::options();
        let mut file = options.read(true).write(true).open(&path).await.unwrap();
        file.read_exact(&mut [0; 2]).await.unwrap();
        give_up_reading(&mut file, 3).await;
        file.write_all(b"xx").await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"01xx456789");
        give_up_reading(&mut file, 3).await;
        // Nor has anybody been given what is cut off.
        file.set_len(8).await.unwrap();
        let mut end = [0; 9];
        assert_eq!(file.read(&mut end).await.unwrap(), 4);
        assert_eq!(end[..4], *b"4567");
        file.seek(SeekFrom::Start(4)).await.unwrap();
        give_up_reading(&mut file, 3).await;
        let mut clone = file.try_clone().await.unwrap();
        let mut rest = Vec::new();
        clone.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"4567");
    });
}

#[test]
fn a_dropped_write_writes_all_or_nothing_and_in_order() {
    everywhere(|| async {
        let folder = Folder::new();
        let path = folder.join("file");
        let mut file = File::create(&path).await.unwrap();
        for number in 0..repeat(20_000) {
            let line = format!("{number:06}\n");
            if number % 2 == 0 {
                give_up(file.write(line.as_bytes()));
            } else {
                file.write_all(line.as_bytes()).await.unwrap();
            }
        }
        file.flush().await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let numbers: Vec<usize> = text.lines().map(|line| line.parse().unwrap()).collect();
        assert!(numbers.is_sorted_by(|one, next| one < next));
        let (dropped, waited_for): (Vec<_>, Vec<_>) =
            numbers.into_iter().partition(|number| number % 2 == 0);
        assert_eq!(waited_for.len(), repeat(20_000) / 2);
        // As a rule a file that has nothing else to do takes what it is given at the first poll.
        assert!(!dropped.is_empty());
        assert!(text.lines().all(|line| line.len() == 6));
    });
}

#[test]
fn what_was_taken_is_written_after_the_file_and_the_runtime_have_gone() {
    let folder = Folder::new();
    let path = folder.join("file");
    ekio::block_on(async {
        let mut file = File::create(&path).await.unwrap();
        give_up(file.write(b"hello"));
    });
    let _watchdog = support::watchdog::Watchdog::start();
    while std::fs::read(&path).unwrap() != b"hello" {
        std::thread::yield_now();
    }
}

#[test]
fn a_file_goes_from_one_runtime_to_the_next() {
    let folder = Folder::new();
    let _watchdog = support::watchdog::Watchdog::start();
    std::fs::write(folder.join("file"), "hello").unwrap();
    let mut file = ekio::block_on(async {
        let mut file = File::open(folder.join("file")).await.unwrap();
        give_up_reading(&mut file, 3).await;
        file
    });
    let rest = std::thread::spawn(|| {
        futures_lite::future::block_on(async move {
            let mut rest = Vec::new();
            file.read_to_end(&mut rest).await.unwrap();
            rest
        })
    });
    assert_eq!(rest.join().unwrap(), b"hello");
}

#[test]
fn futures_may_be_sent() {
    fn is_send<T: Send>(_: &T) {}
    let folder = Folder::new();
    let path = folder.join("file");
    is_send(&fs::read(&path));
    is_send(&fs::copy(&path, &path));
    is_send(&fs::read_dir(&path));
    let std = std::fs::File::create(&path).unwrap();
    let mut file = File::from_std(std);
    is_send(&file.metadata());
    is_send(&file.write_all(b""));
    is_send(&file.read_to_end(&mut Vec::new()));
    is_send(&file.into_std());
}

/// The ends of a socket are like pipes: without a cursor, and a read lasts until there is something.
#[cfg(unix)]
#[test]
fn a_file_without_a_cursor_keeps_what_it_has_read_from_what_is_written() {
    use std::io::{Read as _, Write as _};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    everywhere(|| async {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut file = File::from_std(std::fs::File::from(OwnedFd::from(ours)));
        assert!(give_up(file.read(&mut [0; 8])));
        theirs.write_all(b"question").unwrap();
        file.write_all(b"answer").await.unwrap();
        let mut buffer = [0; 8];
        theirs.read_exact(&mut buffer[..6]).unwrap();
        assert_eq!(&buffer[..6], b"answer");
        file.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"question");
        let error = file.seek(SeekFrom::Start(0)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSeekable);
        drop(theirs);
        assert_eq!(file.read(&mut buffer).await.unwrap(), 0);
        file.write_all(b"to nobody").await.unwrap_err();
        file.into_std().await.unwrap();
    });
}

#[test]
fn an_error_of_writing_is_heard() {
    everywhere(|| async {
        let folder = Folder::new();
        std::fs::write(folder.join("file"), "").unwrap();
        let mut file = File::open(folder.join("file")).await.unwrap();
        file.write(b"x").await.unwrap_err();
        while !give_up(file.write(b"x")) {}
        file.read(&mut [0]).await.unwrap();
        file.sync_all().await.unwrap_err();
        while !give_up(file.write(b"x")) {}
        file.flush().await.unwrap_err();
        file.flush().await.unwrap();
        while !give_up(file.write(b"x")) {}
        file.into_std().await.unwrap_err();
    });
}

#[cfg(feature = "futures-io")]
mod by_traits {
    use super::*;
    use futures_lite::io::{AsyncBufReadExt as _, AsyncReadExt, AsyncSeekExt};
    use futures_lite::io::{AsyncWriteExt, BufReader, copy};
    use futures_lite::stream::StreamExt as _;
    use std::io::IoSlice;

    #[test]
    fn a_file_copies_seeks_and_closes() {
        everywhere(|| async {
            let folder = Folder::new();
            let bytes = pattern(700_000);
            fs::write(folder.join("from"), &bytes).await.unwrap();
            let mut from = File::open(folder.join("from")).await.unwrap();
            let mut to = File::create_new(folder.join("to")).await.unwrap();
            assert_eq!(copy(&mut from, &mut to).await.unwrap(), 700_000);
            to.close().await.unwrap();
            assert_eq!(std::fs::read(folder.join("to")).unwrap(), bytes);
            let place = AsyncSeekExt::seek(&mut to, SeekFrom::Start(699_999));
            assert_eq!(place.await.unwrap(), 699_999);
            let mut rest = Vec::new();
            AsyncReadExt::read_to_end(&mut to, &mut rest).await.unwrap();
            assert_eq!(rest, bytes[699_999..]);
        });
    }

    #[test]
    fn taken_is_not_written_but_flushed_is() {
        everywhere(|| async {
            let folder = Folder::new();
            let path = folder.join("file");
            let mut file = File::create(&path).await.unwrap();
            let pieces = [
                IoSlice::new(b"some "),
                IoSlice::new(b""),
                IoSlice::new(b"text\n"),
            ];
            assert_eq!(file.write_vectored(&pieces).await.unwrap(), 10);
            AsyncWriteExt::write_all(&mut file, b"more\n")
                .await
                .unwrap();
            AsyncWriteExt::flush(&mut file).await.unwrap();
            let lines = BufReader::new(File::open(&path).await.unwrap()).lines();
            let lines: Vec<_> = lines.map(Result::unwrap).collect().await;
            assert_eq!(lines, ["some text", "more"]);
        });
    }
}
