//! Signals and console events reach every listener, and nothing else is disturbed by them.

#[path = "support/mod.rs"]
mod support;

#[cfg(unix)]
#[path = "signal/unix.rs"]
mod unix;

#[cfg(windows)]
#[path = "signal/windows.rs"]
mod windows;
