//! The rules themselves under test: each must see its fault, and leave the innocent alone.

use super::rules::{File, faults, idle_entries, mark_test_files, unknown_dependencies};
use super::{CHECKED, ESSAY, FILE_MAX, FUNCTION_MAX, UNSAFE};

/// One file with one fault, which is reported at this line with these words.
#[track_caller]
fn guilty(path: &str, text: &str, line: usize, words: &str) {
    let faults = faults(&File::new(path, text));
    assert_eq!(faults.len(), 1, "{text}\n{faults:?}");
    let start = format!("{path}:{line}: ");
    assert!(faults[0].starts_with(&start), "{text}\n{faults:?}");
    assert!(faults[0].contains(words), "{text}\n{faults:?}");
    // The same on a machine that ends its lines otherwise.
    let other = File::new(path, &text.replace('\n', "\r\n"));
    assert_eq!(super::rules::faults(&other), faults, "{text}");
}

#[track_caller]
fn innocent(path: &str, text: &str) {
    let faults = faults(&File::new(path, text));
    assert!(faults.is_empty(), "{text}\n{faults:?}");
}

#[test]
fn a_floor_above_is_out_of_reach() {
    let words = "poller may not import reactor";
    for (text, line) in [
        ("use crate::reactor::Slot;", 1),
        ("use crate::reactor;", 1),
        ("\nuse crate::{sync::Mutex, reactor::{Slot}};", 2),
        ("use crate::{\n    sync::Mutex,\n    reactor::*,\n};", 3),
        ("use super::super::reactor::Slot;", 1),
        (
            "mod a {\n mod b { use super::super::super::super::reactor as r; }\n}",
            2,
        ),
        ("fn f() {\n    crate::reactor::turn();\n}", 2),
        ("fn f(x: Vec<crate::reactor::Slot>) {}", 1),
        ("fn f() { <crate::reactor::Slot as Clone>::clone(); }", 1),
        ("macro_rules! m { () => { $crate::reactor::turn() } }", 1),
        ("#[cfg(not(test))]\nuse crate::reactor::Slot;", 2),
        ("#[cfg(any(test, has_epoll))]\nuse crate::reactor::Slot;", 2),
        (
            "#[cfg(test)]\nuse crate::{net, fs};\nuse crate::reactor::Slot;",
            3,
        ),
        ("const C: char = '\"'; use crate::reactor::Slot; // '\"'", 1),
    ] {
        guilty("src/poller/epoll.rs", text, line, words);
    }
    guilty("src/poller/mod.rs", "use super::reactor::Slot;", 1, words);
    guilty(
        "src/net/tcp.rs",
        "use crate::executor::{blocking, spawn};",
        1,
        "net may not import executor",
    );
    guilty(
        "src/net/tcp.rs",
        "use crate::io::Async;",
        1,
        "net may not import io",
    );
    guilty(
        "src/task/raw.rs",
        "use crate::sys::ForkGuard;",
        1,
        "task may not import sys",
    );
}

#[test]
fn nobody_imports_the_roof() {
    guilty(
        "src/executor/mod.rs",
        "use crate::block_on;",
        1,
        "executor imports lib.rs",
    );
    guilty(
        "src/reactor/mod.rs",
        "use super::*;",
        1,
        "reactor imports lib.rs",
    );
    guilty(
        "src/time/mod.rs",
        "use crate as ekio;",
        1,
        "time imports lib.rs",
    );
    innocent(
        "src/lib.rs",
        "pub use crate::executor::block_on; pub use executor::spawn;",
    );
}

#[test]
fn floors_below_are_in_reach() {
    innocent(
        "src/reactor/slot.rs",
        "use crate::{poller::{self, Key}, sync::Mutex}; use super::Slots;",
    );
    innocent(
        "src/net/tcp.rs",
        "use crate::executor::blocking::Pool; use crate::reactor::Ready;",
    );
    innocent(
        "src/compat/hyper.rs",
        "use crate::{executor, net, time, io, reactor, task};",
    );
    innocent("src/process/mod.rs", "use crate::io::Async;");
    innocent(
        "src/time/mod.rs",
        "pub(in crate::time) fn f(x: impl Fn() + use<'static>) {}",
    );
}

#[test]
fn prose_and_tests_are_free() {
    for text in [
        "// crate::reactor::turn\n//! [`x`](crate::reactor)\n/* crate::net::x /* */ unsafe */",
        "fn f() -> &'static str { \"crate::reactor::x\" }",
        "fn f() -> &'static str { r#\"\" crate::reactor::x\"# }",
        "#[cfg(test)]\nmod tests {\n    use crate::reactor::Slot;\n    unsafe fn f() {}\n}",
        "#[cfg(all(test, not(ekio_loom)))]\nmod tests { use crate::net::TcpStream; }",
        "#[cfg(test)]\n#[allow(unused)]\nuse crate::{net::{TcpStream}, time};\nfn f() {}",
        "struct S { #[cfg(test)] f: crate::net::F, g: u8 }",
        "#![cfg(test)]\nuse crate::net::TcpStream;",
    ] {
        innocent("src/task/state.rs", text);
    }
    let mut files = [
        File::new("src/task/mod.rs", "#[cfg(test)]\nmod tests;\nmod raw;"),
        File::new("src/task/tests.rs", "use crate::net::TcpStream;"),
        File::new("src/task/tests/more.rs", "use crate::net::TcpStream;"),
        File::new("src/task/raw.rs", "use crate::net::TcpStream;"),
    ];
    mark_test_files(&mut files);
    let guilty: Vec<_> = files
        .iter()
        .filter(|file| !faults(file).is_empty())
        .collect();
    assert!(matches!(guilty[..], [file] if file.path == "src/task/raw.rs"));
}

#[test]
fn a_new_floor_needs_a_place_in_the_plan() {
    guilty("src/attic.rs", "", 1, "there is no floor attic");
}

#[test]
fn system_crates_stay_on_the_ground() {
    for (name, krate) in [
        ("rustix", "rustix"),
        ("libc", "libc"),
        ("windows_sys", "windows_sys"),
    ] {
        let words = format!("reactor may not import the crate {krate}");
        guilty("src/reactor/mod.rs", &format!("use {name}::x;"), 1, &words);
        guilty(
            "src/reactor/mod.rs",
            &format!("fn f() {{ ::{name}::x() }}"),
            1,
            &words,
        );
        guilty(
            "src/reactor/mod.rs",
            &format!("extern crate {name};"),
            1,
            &words,
        );
        innocent("src/sys/socket.rs", &format!("use {name}::x;"));
    }
    guilty(
        "src/task/mod.rs",
        "use loom::thread;",
        1,
        "task may not import the crate loom",
    );
    innocent(
        "src/reactor/mod.rs",
        "use self::libc::x; use super::reactor::rustix::y;",
    );
}

#[test]
fn a_dependency_needs_a_place_in_the_plan() {
    let known = "[dependencies]\nlibc = \"1\"\n[target.'cfg(unix)'.dependencies]\nrustix = { version = \"1\" }";
    assert!(unknown_dependencies(known).is_empty());
    let for_tests =
        "[dev-dependencies]\nserde = \"1\"\n[dev-dependencies.x]\n[features]\nmore = []";
    assert!(unknown_dependencies(for_tests).is_empty());
    for manifest in [
        "[dependencies]\nserde = \"1\"",
        "[target.'cfg(unix)'.dependencies]\nserde = { version = \"1\" }",
        "[dependencies.serde]\nversion = \"1\"",
        "[target.\"cfg(unix)\".dependencies.serde]\nversion = \"1\"",
    ] {
        let faults = unknown_dependencies(manifest);
        assert!(
            matches!(&faults[..], [fault] if fault.contains("import serde?")),
            "{faults:?}"
        );
    }
}

#[test]
fn systems_are_named_in_the_build_script() {
    let words = "outside of build.rs";
    guilty(
        "src/sys/mod.rs",
        "#[cfg(target_os = \"linux\")]\nmod linux;",
        1,
        words,
    );
    guilty(
        "src/sys/mod.rs",
        "fn f() {\n if cfg!(target_vendor = \"apple\") {}\n}",
        2,
        words,
    );
    guilty(
        "tests/x.rs",
        "#[cfg(all(unix, not(target_env = \"musl\")))]\nfn f() {}",
        1,
        words,
    );
    guilty(
        "src/sys/mod.rs",
        "#[cfg(test)]\n#[cfg(target_os = \"linux\")]\nmod tests {}",
        2,
        words,
    );
    innocent("build.rs", "fn f() { cfg!(target_os = \"linux\"); }");
    innocent(
        "src/sys/mod.rs",
        "// target_os\n#[cfg(unix)]\nfn f() -> &str { \"target_os\" }",
    );
}

#[test]
fn the_middle_of_the_house_knows_no_system() {
    for floor in ["sync", "task", "reactor", "executor", "time"] {
        let path = format!("src/{floor}/x.rs");
        let words = format!("{floor} may not name std::os");
        guilty(
            &path,
            "#[cfg(unix)]\nuse std::{io, os::fd::AsFd};",
            2,
            &words,
        );
        guilty(&path, "fn f(x: &impl std::os::fd::AsFd) {}", 1, &words);
        innocent(&path, "#[cfg(unix)] use std::io;");
    }
    for floor in ["sys", "poller", "net", "io"] {
        innocent(
            &format!("src/{floor}/x.rs"),
            "#[cfg(unix)]\nuse std::os::fd::AsFd;",
        );
    }
}

#[test]
fn unsafe_is_on_a_list() {
    let words = "not on the list UNSAFE";
    guilty(
        "src/executor/sample.rs",
        "fn f() {\n    unsafe { g() }\n}",
        2,
        words,
    );
    guilty(
        "src/executor/sample.rs",
        "unsafe impl Send for X {}",
        1,
        words,
    );
    innocent(
        "src/executor/sample.rs",
        "#![deny(unsafe_op_in_unsafe_fn)] // unsafe",
    );
    innocent(UNSAFE[0].0, "unsafe fn f() {}");
    innocent("tests/x.rs", "unsafe fn f() {}");

    let file = |text: &str| [File::new(UNSAFE[0].0, text)];
    let is_named = |text: &str| {
        let idle = idle_entries(&file(text));
        idle.iter().any(|entry| entry.starts_with(UNSAFE[0].0))
    };
    assert!(is_named("fn f() {}"));
    assert!(is_named("#[cfg(test)] mod tests { unsafe fn f() {} }"));
    assert!(!is_named("unsafe fn f() {}"));
}

fn essay(headings: &[&str], last: &str) -> String {
    let mut text = String::from("//! A queue.\n");
    for heading in headings {
        text += &format!("//!\n//! {heading}\n//!\n//! Words.\n");
    }
    text + &format!("//!\n//! {last}\n\nimpl Poller for Queue {{}}\n")
}

#[test]
fn a_backend_begins_with_its_essay() {
    let path = "src/poller/queue.rs";
    let last = format!("{CHECKED}queue(2) of man-pages 6.9, Linux 6.18, 2026-11");
    innocent(path, &essay(&ESSAY, &last));
    guilty(path, &essay(&ESSAY[1..], &last), 1, "headings");
    guilty(
        path,
        &essay(&[ESSAY[1], ESSAY[0], ESSAY[2], ESSAY[3], ESSAY[4]], &last),
        1,
        "headings",
    );
    guilty(path, &essay(&ESSAY, "The end."), 1, "last line");
    guilty(
        path,
        &essay(&ESSAY, &format!("{CHECKED}the manual, this year")),
        1,
        "last line",
    );
    innocent("src/poller/script.rs", "impl Poller for Script {}");
    innocent("src/poller/queue.rs", "impl Queue {}");
    innocent("tests/x.rs", "impl Poller for Fake {}");
}

#[test]
fn macros_hide_nothing() {
    guilty(
        "src/sys/mod.rs",
        "macro_rules! m {\n    ($n:ident) => { mod $n; };\n}",
        2,
        "mod inside",
    );
    guilty(
        "src/sys/mod.rs",
        "\ncfg_unix! { pub mod unix; }",
        2,
        "mod inside the macro cfg_unix",
    );
    guilty(
        "tests/x.rs",
        "on_each!(mod tests { fn f() {} });",
        1,
        "mod inside",
    );
    guilty(
        "build.rs",
        "macro_rules! m {\n() => { unsafe { f() } };\n}",
        2,
        "unsafe inside",
    );
    innocent("build.rs", "fn f() { assert!(x); if !(a) {} }\nmod m { }");
}

#[test]
fn code_has_a_budget() {
    let lines = |count: usize| "    x();\n".repeat(count);
    let function = |count: usize| format!("fn f(a: [u8; 2]) {{\n{}}}\n", lines(count - 2));
    innocent("src/sys/x.rs", &function(FUNCTION_MAX));
    guilty(
        "src/sys/x.rs",
        &format!("\n{}", function(FUNCTION_MAX + 1)),
        2,
        "x.rs: f has 61 lines",
    );
    innocent("tests/x.rs", &function(FUNCTION_MAX + 1));
    innocent(
        "src/sys/x.rs",
        &format!("#[cfg(test)]\n{}", function(FUNCTION_MAX + 1)),
    );
    let commented =
        function(FUNCTION_MAX).replace("x();", "x(); // why\n\n    // why\n    /* why\n */");
    innocent("src/sys/x.rs", &commented);

    let constants = |count: usize| "const C: u8 = 0;\n".repeat(count);
    innocent("src/sys/x.rs", &constants(FILE_MAX));
    guilty(
        "src/sys/x.rs",
        &constants(FILE_MAX + 1),
        1,
        "x.rs has 451 lines",
    );
    guilty(
        "src/sys/x.rs",
        &format!("const C: &str = \"{}\";", "\n".repeat(FILE_MAX)),
        1,
        "451",
    );
}
