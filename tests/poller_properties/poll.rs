//! The properties of `Poll`.

use ekio::poller::Trigger;

properties!(ekio::poller::poll::Poll);
