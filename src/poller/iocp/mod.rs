//! IOCP.
#[cfg(has_iocp)]
mod afd;
mod base;
#[cfg(has_iocp)]
mod port;
#[cfg(has_iocp)]
mod queue;
#[cfg(has_iocp)]
mod request;
#[cfg(has_iocp)]
mod socket;
mod watch;

#[cfg(has_iocp)]
pub use queue::{Iocp, Ticket};
#[cfg(has_iocp)]
pub use request::{Associated, Request};
