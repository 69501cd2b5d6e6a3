//! IOCP, the completion ports of Windows, with readiness from AFD.
//!
//! # The queue in one paragraph
//!
//! A *completion port* is a queue in the kernel of *packets*: each says that an operation which
//! somebody started has ended. It knows nothing of readiness. That is known to *AFD*, the driver
//! under Winsock, which `select` asks too: a request to its device names a socket and a mask, and
//! ends as soon as one bit of the mask holds. A handle of that device, associated with a port, turns
//! "is ready" into "has ended": we start one poll for each socket, and its packet is the event. None
//! of this is documented by its maker; [wepoll](https://github.com/piscisaureus/wepoll) found it out,
//! and libuv, mio and others rest on it.
//!
//! # Our words and the OS's
//!
//! | ekio | IOCP and AFD |
//! |---|---|
//! | `new` | [`CreateIoCompletionPort`](https://learn.microsoft.com/en-us/windows/win32/fileio/createiocompletionport); `\Device\Afd` is opened by [`NtCreateFile`](https://learn.microsoft.com/en-us/windows/win32/api/winternl/nf-winternl-ntcreatefile), for every 32 sockets |
//! | `add` | `SIO_BASE_HANDLE`, and one `IOCTL_AFD_POLL` by [`NtDeviceIoControlFile`](https://learn.microsoft.com/en-us/windows/win32/api/winternl/nf-winternl-ntdeviceiocontrolfile) |
//! | `modify` | [`NtCancelIoFileEx`](https://learn.microsoft.com/en-us/windows/win32/fileio/cancelioex-func); a new poll when the old one's packet has come |
//! | `rearm` | a new poll for the directions, or a cancelled one if it asks for too little |
//! | `delete` | cancel; the memory is freed when the packet has come |
//! | `abandon` | the same: closing cancels too, but says so to nobody who waits for the packet |
//! | `wait` | [`GetQueuedCompletionStatusEx`](https://learn.microsoft.com/en-us/windows/win32/fileio/getqueuedcompletionstatusex-func), not alertable; for its last 64 ms also [`SetWaitableTimer`](https://learn.microsoft.com/en-us/windows/win32/api/synchapi/nf-synchapi-setwaitabletimer) and [`NtAssociateWaitCompletionPacket`](https://learn.microsoft.com/en-us/windows/win32/devnotes/ntassociatewaitcompletionpacket) |
//! | `notify` | [`PostQueuedCompletionStatus`](https://learn.microsoft.com/en-us/windows/win32/fileio/postqueuedcompletionstatus) |
//! | `post` | a queue beside, and `notify` |
//! | `Key` | kept in the socket's record, whose address is the packet's pointer |
//! | peer closed | `AFD_POLL_DISCONNECT` (half), `AFD_POLL_ABORT` (both) |
//! | process | [`NtAssociateWaitCompletionPacket`](https://learn.microsoft.com/en-us/windows/win32/devnotes/ntassociatewaitcompletionpacket) with its handle; where that is missing, [`RegisterWaitForSingleObject`](https://learn.microsoft.com/en-us/windows/win32/api/winbase/nf-winbase-registerwaitforsingleobject), and a packet |
//! | `associate` | the port alone: operations of a pipe or file, whose packets are events |
//!
//! # Life of one event
//!
//! ```text
//!   submit(mask)          segment arrives        packet             complete            Event
//!  -------------> Pending ----------------> port --------> machine ---------> key, -------------> events
//!    (any thread,         (AFD ends the     (our thread,   (watch.rs) (flags/   readiness
//!     socket's lock)       poll)             in `wait`)                afd.rs)
//! ```
//!
//! Whoever needs a poll submits it, on the spot, under the lock of that socket: there is no list that
//! the waiter would have to look through before it sleeps, and so no race with its falling asleep
//! (`a01_register_vs_wait`), and no flag that an error could leave behind (`a02_wait_err_then_ok`).
//!
//! # Traps
//!
//! * *The kernel borrows memory.* A poll that was cancelled still ends, later, and still writes its
//!   answer; so a record is an `Arc` of which the kernel has a strong count from submission to packet
//!   (`socket.rs`; `a24_afd_live_ops_zero`). Dropping the poller cancels all, and waits for all.
//! * *Two polls of one socket* through one handle get each other's answers
//!   ([trio#1269](https://github.com/python-trio/trio/issues/1269)). The machine in `watch.rs` never
//!   has more than one under way. But a duplicate of the socket (`try_clone`) is another number for us and
//!   the same socket for AFD: on systems before Windows 11 one of the two may never hear of its events, even
//!   through different handles ([wepoll#35](https://github.com/piscisaureus/wepoll/issues/35)). So a socket
//!   and its duplicate must not be watched at the same time.
//! * *A poll is level-triggered and ends once.* Edge is emulated: a direction that was reported is
//!   not asked for again until `rearm`; what is closed is told once. Level asks again at the next
//!   `wait`, not sooner, or it would see the data that its owner is about to take.
//! * *`AFD_POLL_CONNECT` stays set for ever* once connected; `SEND` says the same, so it is not asked
//!   for. A refused connection is `AFD_POLL_CONNECT_FAIL`.
//! * *`AFD_POLL_LOCAL_CLOSE` is always implied*: the socket was closed before it was deleted, and
//!   leaves the table. Closed while no poll is under way, it is missed when it is next asked about,
//!   and by then its number may be another's, hence "delete before close" (`iocp_closed_early`).
//! * *Layered service providers* hide the socket that AFD knows (`base.rs`; `b_lsp_walk`).
//! * *A poll ends at the first thing that happens*, which may be long ago when its packet is taken
//!   out. Level and one-shot, which promise all that holds, look for the rest by a poll whose time is
//!   up at once, on a handle that no port knows (`level_and_one_shot_report_all_that_holds`).
//! * *Success still sends a packet*: `NtDeviceIoControlFile` that answers at once does so as well.
//! * *A poll that failed or was cancelled leaves the mask as it was*, with every bit that was asked
//!   for, `LOCAL_CLOSE` among them: the status comes first (`a23_afd_table`).
//! * *A thread that ends takes what it began with it*
//!   ([`ExitThread`](https://learn.microsoft.com/en-us/windows/win32/api/processthreadsapi/nf-processthreadsapi-exitthread)),
//!   unless the handle belongs to a port, as ours do. A poll that was cancelled by anybody but us is
//!   submitted anew (`submitted_by_a_thread_that_has_ended`).
//! * *A port counts who is at work on its packets*, from the taking to the next sleep, and holds
//!   packets back when they are as many as it was made for; "0" means one for each processor. We have
//!   one waiter at a time, but not always the same, so the number is as large as it can be
//!   (`a_busy_waiter_keeps_nobody_from_the_port`).
//! * *Waits end early or late*, by up to a tick of 15.6 ms, and are counted in milliseconds. The
//!   common countdown goes on with what remains (`a19_timeout_property`), and for the last part a
//!   timer of high resolution rings through the port, where the system has it (`alarm.rs`).
//! * *Time-outs leave out the time for which the machine was suspended*, and the clock does not
//!   (`stretch.rs`; `a21_clock_jump_during_a_wait`).
//! * *A packet that was cancelled may come all the same*: it was in somebody's hands already. That of a
//!   process has a serial number, under which nobody is found once it was deleted (`exit.rs`); that of
//!   the alarm costs a look at the clock.
//! * *Alertable waits* would run foreign APCs in our `wait`
//!   ([wepoll#27](https://github.com/piscisaureus/wepoll/issues/27)).
//! * *Under Wine 8* much of this is the same, by another implementation; see `CONTRIBUTING.md` for
//!   what it lacks. It cancels a moment after the call, where Windows has done it when the call
//!   returns, and its server dies of a poll that names a socket which is just being made.
//!
//! # What we do not use, and why
//!
//! * `FILE_SKIP_COMPLETION_PORT_ON_SUCCESS`: a packet for each poll, without exception, is what the
//!   counting of memory rests on.
//! * Overlapped `WSARecv` and `WSASend` for sockets: they lend the kernel a buffer for each idle
//!   connection, and are completion, not readiness: a cancelled one may have taken data.
//! * Posted packets for `post`: the port is first come, first served, so a backlog of them would keep
//!   the sockets waiting, and each would need memory of its own to travel in.
//! * `timeBeginPeriod`: it makes the clock of the whole machine tick faster, for its battery to pay.
//! * `ProcessSocketNotifications`: the documented way, but of Windows 11 alone.
//! * `WSAPoll`, `select`, `WSAEventSelect`: their cost grows with what is watched, and 64 is the most
//!   that one thread can wait for.
//!
//! Checked against: Windows 10 as documented, wepoll 1.5.8, Wine 8.0 as run, 2026-11

#[cfg(has_iocp)]
mod afd;
#[cfg(has_iocp)]
mod alarm;
mod base;
#[cfg(has_iocp)]
mod exit;
#[cfg(has_iocp)]
mod packet;
#[cfg(has_iocp)]
mod port;
#[cfg(has_iocp)]
mod queue;
#[cfg(has_iocp)]
mod request;
#[cfg(has_iocp)]
mod resume;
#[cfg(has_iocp)]
mod socket;
mod stretch;
mod watch;

#[cfg(has_iocp)]
pub use queue::{Iocp, Ticket};
#[cfg(has_iocp)]
pub use request::{Associated, Request};
