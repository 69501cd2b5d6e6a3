//! The situations on `Epoll`.

use ekio::poller::Trigger::{Edge, Level, OneShot};

for_each_situation!(ekio::poller::epoll::Epoll);
