//! IOCP.
mod base;
mod watch;
