//! What the tests have in common. Each test program takes it in by
//! `#[path = "../support/mod.rs"] mod support;` and uses the part that it needs.
#![allow(dead_code)]

pub mod example;
pub mod folder;
pub mod futures;
pub mod net;
pub mod oracle;
pub mod rig;
pub mod strace;
#[cfg(unix)]
pub mod unix;
pub mod watchdog;

use std::time::Duration;

/// How long nothing may happen before a test calls it silence. It bounds from below only: nothing
/// here fails for being slow.
pub const QUIET: Duration = Duration::from_millis(30);

/// What a test that hangs is given. (Miri takes a thousand times as long for everything.)
pub const HANG: Duration = Duration::from_secs(if cfg!(miri) { 300 } else { 30 });

/// How often to do something of which `PITFALLS` wants `whole` rounds: a hundredth of them, or
/// `EKIO_REPEAT` hundredths; a tenth of that under Miri.
pub fn repeat(whole: usize) -> usize {
    let hundredths = std::env::var("EKIO_REPEAT").ok();
    let hundredths = hundredths.map_or(1, |text| {
        text.parse()
            .expect("EKIO_REPEAT is a number of hundredths, 100 is the whole")
    });
    let parts = if cfg!(miri) { 1_000 } else { 100 };
    (whole * hundredths).div_ceil(parts).max(1)
}

/// True if the poller is `Kqueue` over libkqueue, which differs from a kernel's kqueue in the ways
/// that the essay of `Kqueue` tells of.
pub fn is_libkqueue<P>() -> bool {
    cfg!(has_libkqueue) && std::any::type_name::<P>().ends_with("::Kqueue")
}

/// True if what calls itself Windows is Wine.
#[cfg(windows)]
pub fn is_wine() -> bool {
    use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleA, GetProcAddress};
    // SAFETY: GetModuleHandleA asks for a text with a zero at its end.
    let ntdll = unsafe { GetModuleHandleA(c"ntdll.dll".as_ptr().cast()) };
    // SAFETY: GetProcAddress asks for a module that is loaded, which this one always is, and for
    // such a text.
    unsafe { GetProcAddress(ntdll, c"wine_get_version".as_ptr().cast()) }.is_some()
}

/// Says, for whoever reads the log, that a test could not be done here.
pub fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}
