//! The properties of `Kqueue`.

use ekio::poller::Trigger;

properties!(ekio::poller::kqueue::Kqueue);
