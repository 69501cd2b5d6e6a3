//! The properties of `Epoll`.

use ekio::poller::Trigger;

properties!(ekio::poller::epoll::Epoll);
