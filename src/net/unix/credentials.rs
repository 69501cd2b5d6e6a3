//! Who is at the other end.

use crate::sys::Credentials;

/// On whose behalf the process at the other end of a [`UnixStream`](super::UnixStream) made its
/// socket, as [`peer_cred`](super::UnixStream::peer_cred) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UCred {
    uid: u32,
    gid: u32,
    pid: Option<i32>,
}

impl UCred {
    pub(super) fn new((uid, gid, pid): Credentials) -> UCred {
        UCred { uid, gid, pid }
    }

    /// The user.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The group.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// The process that connected or listened, if the system tells (Linux and Apple's systems do). It
    /// may have ended since, and its number may be another one's.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.pid
    }
}
