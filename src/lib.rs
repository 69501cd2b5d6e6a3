//! An async runtime whose reactor talks straight to the operating system's event queue.
#![deny(unsafe_op_in_unsafe_fn)]

mod executor;
pub mod io;
pub mod net;
pub mod poller;
pub mod reactor;
mod sync;
mod sys;
pub mod task;
pub mod time;

pub use executor::{block_on, spawn_blocking, spawn_local};
