//! The console's events.

use std::ffi::c_void;
use std::io;
use std::sync::OnceLock;

use windows_sys::Win32::System::Console::SetConsoleCtrlHandler;
pub(crate) use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, CTRL_C_EVENT, CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT,
};

/// What the handler says to an event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ConsoleAnswer {
    /// The next handler shall have it, and at last the system's, which ends the process.
    NotOurs,
    /// It has been dealt with.
    Ours,
    /// The process ends when the handler returns, so it does not.
    StayAwhile,
}

static HANDLER: OnceLock<fn(u32) -> ConsoleAnswer> = OnceLock::new();

/// Has every event of the console handed to `handler`, on a thread of the system's. The first one
/// stays for ever.
///
/// # Errors
///
/// What the system says. It is asked once.
pub(crate) fn handle_console_events(handler: fn(u32) -> ConsoleAnswer) -> io::Result<()> {
    static ANSWER: OnceLock<Result<(), i32>> = OnceLock::new();
    let answer = ANSWER.get_or_init(|| {
        HANDLER.get_or_init(|| handler);
        // It is never taken away, so its code has to stay.
        if !super::keep_loaded(on_event as *const c_void) {
            return Err(io::Error::last_os_error().raw_os_error().unwrap_or(0));
        }
        // SAFETY: SetConsoleCtrlHandler asks for a function that may be called on any thread for as
        // long as it is installed, which `on_event` may.
        match unsafe { SetConsoleCtrlHandler(Some(on_event), 1) } {
            0 => Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
            _ => Ok(()),
        }
    });
    answer.map_err(io::Error::from_raw_os_error)
}

unsafe extern "system" fn on_event(number: u32) -> i32 {
    match HANDLER.get().map(|handler| handler(number)) {
        None | Some(ConsoleAnswer::NotOurs) => 0,
        Some(ConsoleAnswer::Ours) => 1,
        Some(ConsoleAnswer::StayAwhile) => loop {
            std::thread::park();
        },
    }
}
