//! The properties of `Iocp`.

use ekio::poller::Trigger;

properties!(ekio::poller::iocp::Iocp);
