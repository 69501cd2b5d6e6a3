//! The floor plan, enforced by reading the source.
//!
//! Inside one crate nothing but a test keeps the floors apart. This one reads every file as text and
//! holds it to the house rules:
//!
//! * who may import whom ([`FLOORS`], [`OUTSIDE`]). Test code may look anywhere;
//! * the predicates `target_os`, `target_vendor` and `target_env` stand in `build.rs` alone;
//!   `cfg(unix)` and `cfg(windows)` are free;
//! * paths into `std::os` stand where the operating system is spoken of: in `sys` and `poller`, and
//!   in the leaf futures, whose types lend their descriptors ([`KNOW_THE_OS`]). What is between
//!   them is the same on every system;
//! * `unsafe` stands in the files on its list ([`UNSAFE`]), and in no macro;
//! * each backend begins with an essay under fixed headings ([`ESSAY`]);
//! * no `mod` stands inside a macro, where rustfmt cannot see it;
//! * a file has up to [`FILE_MAX`] lines of code and a function up to [`FUNCTION_MAX`]. Comments,
//!   blank lines and test code are not counted; exceptions are listed with a reason ([`LONG`]).
//!
//! An entry of a list that has become idle is a fault too.

#[path = "layers/paths.rs"]
mod paths;
#[path = "layers/rules.rs"]
mod rules;
#[path = "layers/samples.rs"]
mod samples;
#[path = "layers/source.rs"]
mod source;

use std::fs;
use std::path::Path;

use rules::File;

/// Each floor, and what it may import besides itself and std: floors, or one room of a floor.
const FLOORS: [(&str, &[&str]); 13] = [
    ("sync", &[]),
    ("sys", &[]),
    ("poller", &["sync", "sys"]),
    ("task", &["sync"]),
    ("reactor", &["poller", "sync", "task::budget"]),
    ("executor", &["reactor", "task", "sync"]),
    ("net", &["reactor", "executor::blocking", "sys"]),
    ("time", &["reactor", "executor::blocking", "sys"]),
    ("io", &["reactor", "executor::blocking", "sys"]),
    ("fs", &["reactor", "executor::blocking", "sys", "io"]),
    ("process", &["reactor", "executor::blocking", "sys", "io"]),
    ("signal", &["reactor", "executor::blocking", "sys", "io"]),
    ("compat", &["*"]),
];

/// Each dependency, and the floors that may import it.
const OUTSIDE: [(&str, &[&str]); 6] = [
    ("libc", &["sys", "poller"]),
    ("rustix", &["sys", "poller"]),
    ("windows_sys", &["sys", "poller"]),
    ("loom", &["sync"]),
    ("hyper", &["compat"]),
    ("futures_io", &["net", "io", "fs", "process", "compat"]),
];

/// The floors that may name `std::os`.
const KNOW_THE_OS: [&str; 8] = [
    "sys", "poller", "net", "io", "fs", "process", "signal", "compat",
];

/// The files that may contain `unsafe`, and what for.
const UNSAFE: &[(&str, &str)] = &[
    ("src/poller/mod.rs", "`Poller::add` asks for a promise"),
    ("src/poller/io_safe.rs", "`IoSafe` is a promise"),
    (
        "src/poller/epoll.rs",
        "the call epoll_pwait2, which rustix has with no way back only",
    ),
    ("src/poller/kqueue.rs", "closes its queue at home only"),
    (
        "src/poller/kqueue/verdict.rs",
        "looks at a socket by number",
    ),
    ("src/poller/kqueue/ffi.rs", "the calls kqueue and kevent"),
    ("src/poller/poll.rs", "the calls ppoll and poll"),
    (
        "src/poller/iocp/queue.rs",
        "takes memory back from the kernel",
    ),
    ("src/poller/iocp/socket.rs", "lends memory to the kernel"),
    ("src/poller/iocp/request.rs", "lends memory to the kernel"),
    ("src/poller/iocp/afd.rs", "the calls of AFD and Winsock"),
    (
        "src/poller/iocp/exit.rs",
        "the calls that wait on a process's handle",
    ),
    ("src/poller/iocp/port.rs", "the calls of completion ports"),
    ("src/poller/iocp/alarm.rs", "the calls of a timer"),
    (
        "src/poller/iocp/packet.rs",
        "calls that are found at run time",
    ),
    (
        "src/poller/iocp/packet/stand_in.rs",
        "stands for such calls in tests",
    ),
    ("src/poller/iocp/resume.rs", "the system calls it back"),
    (
        "src/reactor/registration.rs",
        "takes apart what has a destructor",
    ),
    ("src/reactor/slot.rs", "keeps the promise of `Poller::add`"),
    ("src/reactor/timers.rs", "timers lie in their futures"),
    ("src/reactor/timers/list.rs", "links that lie in the timers"),
    (
        "src/reactor/timers/timer.rs",
        "fields under the wheel's lock",
    ),
    (
        "src/compat/hyper.rs",
        "lends memory that is not initialised to a read",
    ),
    ("src/time/sleep.rs", "a timer is pinned in it"),
    ("src/time/timeout.rs", "pins its parts by hand"),
    ("src/task/raw.rs", "the memory of a task"),
    ("src/task/spare.rs", "memory for tasks"),
    ("src/task/abort.rs", "one of the owners of a task's memory"),
    ("src/task/budget.rs", "pins its part by hand"),
    ("src/task/join.rs", "one of the owners of a task's memory"),
    ("src/task/joiner.rs", "hands a waker over as two words"),
    ("src/executor/queue.rs", "links that lie in the tasks"),
    ("src/executor/local.rs", "keeps tasks on their thread"),
    ("src/executor/worker.rs", "one owner of its ring"),
    ("src/executor/crew.rs", "tasks as pointers"),
    ("src/executor/crew/ring.rs", "tasks as pointers"),
    ("src/executor/crew/roster.rs", "aborts tasks under its lock"),
    (
        "src/executor/blocking.rs",
        "promises that its tasks are Send",
    ),
    (
        "src/signal/unix.rs",
        "a listener's descriptor is never closed",
    ),
    (
        "src/sys/socket.rs",
        "asks for the addresses of a socket by number",
    ),
    ("src/sys/clock.rs", "the call clock_gettime"),
    (
        "src/sys/unix.rs",
        "a few calls for which rustix would have to be built with more of it",
    ),
    ("src/sys/unix/fork.rs", "the call pthread_atfork"),
    (
        "src/sys/unix/signals.rs",
        "the call sigaction, and handlers that were there before",
    ),
    (
        "src/sys/windows/console.rs",
        "the call SetConsoleCtrlHandler",
    ),
    ("src/sys/windows.rs", "the calls of Winsock"),
    ("src/sys/windows/net.rs", "more calls of Winsock"),
    ("src/sys/windows/udp.rs", "those for datagrams"),
    ("src/sys/windows/local.rs", "those for Unix sockets"),
    ("src/sys/unix/local.rs", "asks who is at the other end"),
    ("src/sys/unix/net.rs", "the option SO_LINGER_SEC"),
];

/// The headings of a backend's essay. Its last line begins with [`CHECKED`].
const ESSAY: [&str; 5] = [
    "# The queue in one paragraph",
    "# Our words and the OS's",
    "# Life of one event",
    "# Traps",
    "# What we do not use, and why",
];

const CHECKED: &str = "Checked against: ";

/// Files that implement `Poller` and have no essay: over no system's queue, or in a folder whose
/// `mod.rs` has it.
const NO_ESSAY: &[&str] = &["src/poller/script.rs", "src/poller/iocp/queue.rs"];

/// Those `mod.rs`.
const ESSAY_OF_FOLDER: &[&str] = &["src/poller/iocp/mod.rs"];

const FILE_MAX: usize = 450;

const FUNCTION_MAX: usize = 60;

/// Files, or functions as `file: name`, that may be longer, and why.
const LONG: [(&str, &str); 0] = [];

#[test]
fn every_file_keeps_to_the_floor_plan() {
    let files = read_all(Path::new(env!("CARGO_MANIFEST_DIR")));
    // Nobody is held to rules by a test that looks in the wrong place.
    for seen in [
        "build.rs",
        "src/lib.rs",
        "src/poller/mod.rs",
        "tests/layers.rs",
    ] {
        assert!(
            files.iter().any(|file| file.path == seen),
            "{seen} is not there"
        );
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest = fs::read_to_string(manifest).unwrap();
    let mut faults: Vec<_> = files.iter().flat_map(rules::faults).collect();
    faults.extend(rules::idle_entries(&files));
    faults.extend(rules::unknown_dependencies(&manifest));
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Every Rust file of the package.
fn read_all(package: &Path) -> Vec<File> {
    let mut files = Vec::new();
    for entry in [
        "build.rs", "src", "tests", "examples", "benches", "anywhere",
    ] {
        read_into(&mut files, package, entry);
    }
    rules::mark_test_files(&mut files);
    files
}

/// `path` has `/` between its parts on every system.
fn read_into(files: &mut Vec<File>, package: &Path, path: &str) {
    let full = package.join(path);
    if full.is_dir() && !path.ends_with("/target") {
        for entry in fs::read_dir(full).unwrap() {
            let name = entry.unwrap().file_name();
            read_into(
                files,
                package,
                &format!("{path}/{}", name.to_string_lossy()),
            );
        }
    } else if full.is_file() && path.ends_with(".rs") {
        files.push(File::new(path, &fs::read_to_string(full).unwrap()));
    }
}
