//! The situations on `Kqueue`.

use ekio::poller::Trigger::{Edge, Level, OneShot};

for_each_situation!(ekio::poller::kqueue::Kqueue);
