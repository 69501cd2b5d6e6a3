//! The poller itself: the table of sockets, and `wait`.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::os::windows::io::{AsRawSocket as _, OwnedHandle, RawSocket};
use std::ptr;
use std::time::Duration;

use windows_sys::Win32::System::IO::OVERLAPPED_ENTRY;

use super::afd::{Device, Glance, base_socket};
use super::alarm::Alarm;
use super::exit::{self, Exits};
use super::packet::Calls;
use super::port::{Port, origin};
use super::request::{Associated, List};
use super::resume;
use super::socket::{Aftermath, Socket};
use super::stretch::Stretch;
use crate::poller::event::{Event, Events, Interest, Key, Trigger};
use crate::poller::posts::Posts;
use crate::poller::source::Source;
use crate::poller::wait::{Countdown, OneWaiter};
use crate::poller::{Caps, Poller, check_key, unsupported};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, lock};
use crate::sys;

/// The most packets that one system call takes out.
const BATCH_MAX: usize = 1024;

/// The most sockets whose polls go through one handle of AFD's. The kernel looks through all the
/// requests of a handle to cancel one, so the number bounds the cost of that; wepoll found 32 to be
/// enough to make the handles' own cost small.
const SOCKETS_MAX: usize = 32;

/// How often a `wait` that may not sleep looks again because what it took out was a cancelled poll,
/// whose successor may have ended at once. It bounds the work that a thread which modifies without
/// a pause can make for us.
const LOOKS_MAX: usize = 4;

/// The queue of Windows. See the [module](super) for how it works.
#[derive(Debug)]
pub struct Iocp {
    table: Mutex<Table>,
    requests: Arc<List>,
    exits: Exits,
    waiter: OneWaiter<Waiter>,
    posts: Posts,
    /// True from a `notify` until `wait` has taken its packet out, so that many are one.
    is_notified: AtomicBool,
    /// Dropped last, behind all that puts packets into it.
    port: Arc<Port>,
}

/// A source's place in the table.
#[derive(Debug)]
pub struct Ticket(Place);

enum Place {
    Socket(Arc<Socket>),
    /// By its serial number.
    Process(usize),
}

#[derive(Debug, Default)]
struct Table {
    /// By the base socket.
    sockets: HashMap<RawSocket, Arc<Socket>>,
    devices: Devices,
}

/// AFD's handles, and the one that is next asked for room.
#[derive(Debug, Default)]
struct Devices {
    open: Vec<Arc<Device>>,
    next: usize,
}

/// What the waiting thread needs.
#[derive(Default)]
struct Waiter {
    batch: Batch,
    /// Level-triggered sockets that the last `wait` reported.
    to_resume: VecDeque<Arc<Socket>>,
    glance: Glance,
    /// Where the system has it.
    alarm: Option<Alarm>,
}

/// Room for packets.
#[derive(Default)]
struct Batch(Vec<OVERLAPPED_ENTRY>);

// SAFETY: `OVERLAPPED_ENTRY` is not Send only because of its pointer. Between calls of `wait`, when
// the batch may change threads, whatever is in it has been dealt with and is not read again.
unsafe impl Send for Batch {}

/// What one look into the port has brought besides events.
#[derive(Default)]
struct Haul {
    is_notified: bool,
    /// A poll was submitted in place of a cancelled one.
    is_resubmitted: bool,
}

impl Poller for Iocp {
    const CAPS: Caps = Caps {
        needs_rearm: true,
        // `rearm` looks at the state anew, so it cannot miss what came after a short read.
        short_read_proves_empty: true,
        timeout_resolution: Duration::from_nanos(100),
        processes: true,
        signals: false,
        priority: true,
    };

    type Ticket = Ticket;

    fn new() -> io::Result<Iocp> {
        Iocp::with_packets(Calls::of_system())
    }

    unsafe fn add(
        &self,
        source: Source<'_>,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<Ticket> {
        check_key(key)?;
        if let Source::Process(process) = source {
            let wish = exit::Wish {
                key,
                interest,
                trigger,
            };
            let serial = self.exits.add(process.handle(), wish)?;
            return Ok(Ticket(Place::Process(serial)));
        }
        let raw = raw_socket(source)?;
        let base = base_socket(raw)?;
        let mut table = lock(&self.table);
        if let Some(occupant) = table.sockets.get(&base) {
            if !occupant.is_replaceable() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            occupant.retire();
        }
        let device = table.devices.with_room(&self.port)?;
        let socket = Socket::new(raw, base, &self.port, device);
        socket.set(key, interest, trigger)?;
        table.sockets.insert(base, Arc::clone(&socket));
        Ok(Ticket(Place::Socket(socket)))
    }

    fn modify(
        &self,
        ticket: &Ticket,
        source: Source<'_>,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        check_key(key)?;
        match (&ticket.0, source) {
            (Place::Process(serial), Source::Process(_)) => {
                let wish = exit::Wish {
                    key,
                    interest,
                    trigger,
                };
                self.exits.modify(*serial, wish)
            }
            (Place::Socket(socket), Source::Socket(named)) => {
                if named.as_raw_socket() != self.own(socket)?.raw {
                    return Err(foreign_ticket());
                }
                socket.set(key, interest, trigger)
            }
            _ => Err(foreign_ticket()),
        }
    }

    fn rearm(&self, ticket: &Ticket, directions: Interest) -> io::Result<()> {
        match &ticket.0 {
            Place::Socket(socket) => self.own(socket)?.rearm(directions),
            Place::Process(serial) => self.exits.rearm(*serial, directions),
        }
    }

    /// The ticket alone says which source is meant.
    fn delete(&self, ticket: Ticket, _source: Source<'_>) -> io::Result<()> {
        match &ticket.0 {
            Place::Socket(socket) => {
                let socket = self.own(socket)?;
                self.forget(socket);
                socket.retire();
                Ok(())
            }
            Place::Process(serial) => self.exits.delete(*serial),
        }
    }

    fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        let mut waiter = self.waiter.enter()?;
        events.clear();
        let is_more = self.posts.take_into(events) | !self.exits.resume();
        self.resume(&mut waiter, events);
        let countdown = if events.is_empty() && !is_more {
            Countdown::new(timeout)
        } else {
            Countdown::Zero
        };
        let mut looks = 0;
        while events.room() > 0 {
            let haul = self.haul(&mut waiter, events, countdown.remaining())?;
            if haul.is_notified || is_more {
                self.posts.take_into(events);
            }
            looks += 1;
            let is_moving = haul.is_resubmitted && looks < LOOKS_MAX;
            if haul.is_notified || !events.is_empty() || (countdown.is_over() && !is_moving) {
                break;
            }
        }
        Ok(())
    }

    /// A notification that finds another one pending posts nothing, and is not lost: the waiter has
    /// yet to take that packet out, and to return.
    fn notify(&self) -> io::Result<()> {
        // AcqRel: release for what the caller published, paired with the swap in `haul`; acquire so
        // that the post stays behind it.
        if self.is_notified.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.port
            .post(origin::NOTIFY, ptr::null())
            .inspect_err(|_| self.is_notified.store(false, Ordering::Release))
    }

    fn post(&self, event: Event) -> io::Result<()> {
        check_key(event.key)?;
        self.posts.push(event);
        self.notify()
    }
}

impl Iocp {
    /// `calls`: wait completion packets, if there are such.
    pub(super) fn with_packets(calls: Option<&'static Calls>) -> io::Result<Iocp> {
        sys::start_winsock()?;
        let port = Arc::new(Port::new()?);
        resume::tell(&port);
        Ok(Iocp {
            requests: Arc::new(List::new(&port)),
            exits: Exits::new(&port, calls),
            table: Mutex::default(),
            waiter: OneWaiter::new(Waiter {
                alarm: Alarm::new(calls),
                ..Waiter::default()
            }),
            posts: Posts::default(),
            is_notified: AtomicBool::new(false),
            port,
        })
    }

    /// Takes over a handle that was opened for overlapped operations (a named pipe, a file) and is
    /// not a socket. Its operations end in this poller's queue from now on. (Not if its owner has asked,
    /// by `FILE_SKIP_COMPLETION_PORT_ON_SUCCESS`, for no packet where an operation is done at once: such an
    /// operation would seem to be under way for ever.)
    ///
    /// # Errors
    ///
    /// `InvalidInput`, in the system's words, if the handle is not overlapped, or is associated
    /// already.
    ///
    /// # Examples
    ///
    /// ```
    /// use ekio::poller::{Events, Key, Poller, iocp::Iocp};
    /// use std::{fs::OpenOptions, os::windows::fs::OpenOptionsExt};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// const FILE_FLAG_OVERLAPPED: u32 = 0x4000_0000;
    /// let mut options = OpenOptions::new();
    /// let file = options.read(true).custom_flags(FILE_FLAG_OVERLAPPED).open("Cargo.toml")?;
    ///
    /// let poller = Iocp::new()?;
    /// let file = poller.associate(file.into())?;
    /// let mut request = file.read(Key(5), vec![0; 9])?;
    /// let mut events = Events::with_capacity(1);
    /// poller.wait(&mut events, None)?;
    /// assert_eq!(events.iter().next().unwrap().payload, 9);
    /// let (result, buffer) = request.finish().unwrap();
    /// assert_eq!((result?, &buffer[..]), (9, &b"[package]"[..]));
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "CreateIoCompletionPort")]
    pub fn associate(&self, handle: OwnedHandle) -> io::Result<Associated> {
        self.requests.associate(handle)
    }

    /// For tests: how to learn what of this poller is alive, also after its end. First what is in
    /// the kernel's hands, second the pieces of memory that were made for it.
    #[doc(hidden)]
    pub fn census(&self) -> impl Fn() -> (usize, usize) + Send + Sync + 'static {
        let census = Arc::clone(&self.port.census);
        move || (census.in_flight(), census.records())
    }

    #[cfg(test)]
    pub(super) fn replace_alarm(&self, alarm: Option<Alarm>) -> Option<Alarm> {
        std::mem::replace(&mut self.waiter.enter().unwrap().alarm, alarm)
    }

    #[cfg(test)]
    pub(super) fn port(&self) -> &Arc<Port> {
        &self.port
    }

    #[cfg(test)]
    pub(super) fn exits(&self) -> &Exits {
        &self.exits
    }

    /// The socket of a ticket, if that is ours.
    fn own<'a>(&self, socket: &'a Arc<Socket>) -> io::Result<&'a Arc<Socket>> {
        if socket.belongs_to(&self.port) {
            Ok(socket)
        } else {
            Err(foreign_ticket())
        }
    }

    /// Takes a socket out of the table, unless another has its place by now.
    fn forget(&self, socket: &Arc<Socket>) {
        let mut table = lock(&self.table);
        let occupant = table.sockets.get(&socket.base);
        if occupant.is_some_and(|occupant| Arc::ptr_eq(occupant, socket)) {
            table.sockets.remove(&socket.base);
        }
    }

    /// Asks again for what was reported by the last `wait` and is level-triggered.
    fn resume(&self, waiter: &mut Waiter, events: &mut Events) {
        for _ in 0..waiter.to_resume.len() {
            // A refusal gives an event; whom there is no room for waits for his turn.
            if events.room() == 0 {
                return;
            }
            if let Some(socket) = waiter.to_resume.pop_front() {
                let answer = socket.resume();
                self.conclude(socket, answer, waiter, events);
            }
        }
    }

    /// Looks into the port, for so long, and deals with what it holds.
    fn haul(
        &self,
        waiter: &mut Waiter,
        events: &mut Events,
        timeout: Option<Duration>,
    ) -> io::Result<Haul> {
        let mut batch = std::mem::take(&mut waiter.batch);
        let room = batch.room_for(events.room().min(BATCH_MAX));
        let taken = self.port.take(room, waiter.set_alarm(&self.port, timeout));
        let mut haul = Haul::default();
        for entry in *taken.as_ref().unwrap_or(&[].as_slice()) {
            self.deliver(entry, waiter, events, &mut haul);
        }
        let answer = taken.map(|_| haul);
        waiter.batch = batch;
        answer
    }

    /// Deals with one packet. There is room for its event.
    fn deliver(
        &self,
        entry: &OVERLAPPED_ENTRY,
        waiter: &mut Waiter,
        events: &mut Events,
        haul: &mut Haul,
    ) {
        match entry.lpCompletionKey {
            origin::AFD => {
                // SAFETY: `from_packet` asks for the pointer of a poll's packet, once: this origin
                // says so, and each packet is taken out and delivered once.
                let socket = unsafe { Socket::from_packet(entry.lpOverlapped) };
                let answer = socket.complete(&waiter.glance);
                let is_silent = answer.0.is_none();
                haul.is_resubmitted |= is_silent && answer.1 == Aftermath::Resubmitted;
                self.conclude(socket, answer, waiter, events);
            }
            origin::NOTIFY => {
                // AcqRel: acquire pairs with the swap in `notify`.
                self.is_notified.swap(false, Ordering::AcqRel);
                haul.is_notified = true;
            }
            origin::REQUEST => {
                if let Some(event) = self.requests.complete(entry.lpOverlapped.addr()) {
                    events.push(event);
                }
            }
            // `wait` looks at the clock now.
            origin::RESUME => {}
            origin::ALARM => waiter.alarm.iter_mut().for_each(Alarm::rang),
            origin::EXIT => {
                if let Some(event) = self.exits.complete(entry.lpOverlapped.addr()) {
                    events.push(event);
                }
            }
            other => debug_assert!(false, "a packet of unknown origin {other}"),
        }
    }

    fn conclude(
        &self,
        socket: Arc<Socket>,
        (event, aftermath): (Option<Event>, Aftermath),
        waiter: &mut Waiter,
        events: &mut Events,
    ) {
        if let Some(event) = event {
            events.push(event);
        }
        match aftermath {
            Aftermath::None | Aftermath::Resubmitted => {}
            Aftermath::Resume => waiter.to_resume.push_back(socket),
            Aftermath::Forget => self.forget(&socket),
        }
    }
}

impl Drop for Iocp {
    /// Takes back everything that the kernel has. Tickets and associated handles may live on; they
    /// are good for nothing.
    fn drop(&mut self) {
        /// Cancelled requests end within moments. If one does not, then somebody has tampered with
        /// a handle, and its memory is given up rather than waited for.
        const PATIENCE: Duration = Duration::from_secs(5);
        let sockets = std::mem::take(&mut lock(&self.table).sockets);
        sockets.values().for_each(Socket::retire);
        self.requests.cancel_all();
        let mut batch = Batch::default();
        let countdown = Countdown::new(Some(PATIENCE));
        while self.port.census.in_flight() > 0 && !countdown.is_over() {
            let room = batch.room_for(BATCH_MAX);
            let stretch = Stretch::new(countdown.remaining(), false);
            let Ok(taken) = self.port.take(room, stretch.millis) else {
                break;
            };
            for entry in taken {
                self.discard(entry);
            }
        }
        self.requests.close();
    }
}

impl Iocp {
    fn discard(&self, entry: &OVERLAPPED_ENTRY) {
        match entry.lpCompletionKey {
            // SAFETY: as in `deliver`.
            origin::AFD => drop(unsafe { Socket::from_packet(entry.lpOverlapped) }),
            origin::REQUEST => drop(self.requests.complete(entry.lpOverlapped.addr())),
            _ => {}
        }
    }
}

impl Waiter {
    /// Sets the alarm if the wait is nearly over, and answers the time-out for the port.
    fn set_alarm(&mut self, port: &Port, remaining: Option<Duration>) -> u32 {
        let stretch = Stretch::new(remaining, self.alarm.is_some());
        let (Some(alarm), Some(units)) = (&mut self.alarm, stretch.alarm) else {
            return stretch.millis;
        };
        if alarm.set(port, units) {
            stretch.millis
        } else {
            Stretch::new(remaining, false).millis
        }
    }
}

impl Devices {
    /// A handle that has fewer than [`SOCKETS_MAX`] sockets.
    ///
    /// Its strong counts are this list's and the sockets', also of those that have left the table
    /// and whose packets have yet to come. They grow under the table's lock only.
    fn with_room(&mut self, port: &Port) -> io::Result<Arc<Device>> {
        /// So many are looked at before another one is opened.
        const LOOKS_MAX: usize = 4;
        for _ in 0..self.open.len().min(LOOKS_MAX) {
            let at = self.next % self.open.len();
            if Arc::strong_count(&self.open[at]) <= SOCKETS_MAX {
                return Ok(Arc::clone(&self.open[at]));
            }
            self.next = at + 1;
        }
        let device = Arc::new(Device::open(port)?);
        // It takes the place that would have been looked at next, so that the round goes on behind
        // it when it is full, and comes to every handle in time, also to those that are empty by
        // then.
        self.open.push(Arc::clone(&device));
        let last = self.open.len() - 1;
        self.next %= self.open.len();
        self.open.swap(self.next, last);
        Ok(device)
    }
}

impl Batch {
    fn room_for(&mut self, count: usize) -> &mut [OVERLAPPED_ENTRY] {
        if self.0.len() < count {
            self.0.resize(count, OVERLAPPED_ENTRY::default());
        }
        &mut self.0[..count]
    }
}

impl Drop for Ticket {
    /// Dropped without `delete`, a socket keeps its place until it is closed, or another one has its
    /// number; a process, until the poller goes.
    fn drop(&mut self) {
        if let Place::Socket(socket) = &self.0 {
            socket.abandon();
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Socket(socket) => f.debug_tuple("Socket").field(socket).finish(),
            Place::Process(serial) => f.debug_tuple("Process").field(serial).finish(),
        }
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter")
            .field("batch", &self.batch.0.len())
            .field("to_resume", &self.to_resume.len())
            .finish_non_exhaustive()
    }
}

fn raw_socket(source: Source<'_>) -> io::Result<RawSocket> {
    match source {
        Source::Socket(socket) => Ok(socket.as_raw_socket()),
        Source::Process(_) => Err(foreign_ticket()),
        Source::Signal(_) => Err(unsupported("Windows has no signals to watch")),
    }
}

fn foreign_ticket() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        "this ticket belongs to another source, or to another poller",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sockets that stay, enough to fill the handles that were opened first, and crowds that come
    /// and go: the handles that a crowd has left serve the next one.
    #[test]
    fn crowds_share_devices() {
        const CROWD: usize = 3 * SOCKETS_MAX;
        let port = Port::new().unwrap();
        let mut devices = Devices::default();
        let mut gather = || -> Vec<_> {
            (0..CROWD)
                .map(|_| devices.with_room(&port).unwrap())
                .collect()
        };
        let _stay = gather();
        for _ in 0..20 {
            drop(gather());
        }
        let count = devices.open.len();
        assert!(count <= 16, "{count} handles for {} sockets", 2 * CROWD);
    }
}
