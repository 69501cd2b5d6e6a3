//! The unit tests of `src/signal/windows.rs` call the handler by hand. Here the system does.

use std::io::{BufRead as _, BufReader};
use std::os::windows::process::CommandExt as _;
use std::process::{Command, Stdio};

use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, GenerateConsoleCtrlEvent};

use crate::support::futures::{cancel, everywhere};
use crate::support::skipped;
use crate::support::watchdog::Watchdog;

const CHILD: &str = "EKIO_TEST_IS_THE_CHILD";
const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;

#[test]
fn listeners_of_each_kind() {
    use ekio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_logoff, ctrl_shutdown};
    everywhere(|| async {
        let kinds = [ctrl_c, ctrl_break, ctrl_close, ctrl_logoff, ctrl_shutdown];
        for listen in kinds {
            let (mut one, mut other) = (listen().unwrap(), listen().unwrap());
            cancel(one.recv()).await;
            cancel(other.recv()).await;
            assert!(format!("{one:?}").starts_with("CtrlEvent("));
        }
        cancel(ekio::signal::ctrl_c()).await;
    });
}

/// The part of the test below that runs in another process.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let _watchdog = Watchdog::start();
    let mut event = ekio::signal::windows::ctrl_break().unwrap();
    println!("listening");
    ekio::block_on(event.recv()).unwrap();
    println!("it came");
}

#[test]
fn ctrl_break_of_the_system() {
    if crate::support::is_wine() {
        return skipped("Wine sends no console events");
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "windows::child", "--nocapture"])
        .env(CHILD, "1")
        .creation_flags(CREATE_NEW_PROCESS_GROUP)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut expect = |text: &str| lines.any(|line| line.unwrap().contains(text));
    assert!(expect("listening"));
    // SAFETY: GenerateConsoleCtrlEvent asks for nothing; the group is that of our child.
    let answer = unsafe { GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, child.id()) };
    if answer == 0 {
        child.kill().unwrap();
        child.wait().unwrap();
        return skipped("there is no console");
    }
    assert!(expect("it came"));
    assert!(child.wait().unwrap().success());
}
