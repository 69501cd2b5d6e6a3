//! The pure halves of the backends: `encode` (what we want, in the kernel's bits) and `decode`
//! (what the kernel said, in ours).
//!
//! They work on plain integers and import nothing but our own bit sets, so each is compiled, table
//! by table, on every host under test, and runs under Miri there: the tables of kqueue and AFD are
//! checked on a Linux machine too. Where a backend is real, it asserts that the numbers written
//! here are those of its system.

#[cfg(any(has_iocp, test))]
pub(crate) mod afd;
#[cfg(any(has_epoll, test))]
pub(crate) mod epoll;
// Some names are of use to the backend alone.
#[cfg(any(has_kqueue, test))]
#[cfg_attr(not(has_kqueue), allow(dead_code))]
pub(crate) mod kqueue;
#[cfg(any(has_poll, test))]
pub(crate) mod poll;
