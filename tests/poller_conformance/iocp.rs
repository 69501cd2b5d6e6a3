//! The situations on `Iocp`.

use ekio::poller::Trigger::{Edge, Level, OneShot};

for_each_situation!(ekio::poller::iocp::Iocp);
