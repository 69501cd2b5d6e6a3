//! The situations on `Poll`.

use ekio::poller::Trigger::{Edge, Level, OneShot};

for_each_situation!(ekio::poller::poll::Poll);
