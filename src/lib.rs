//! An async runtime whose reactor talks straight to the operating system's event queue.
#![deny(unsafe_op_in_unsafe_fn)]

pub mod poller;
pub mod reactor;
mod sync;
mod sys;
