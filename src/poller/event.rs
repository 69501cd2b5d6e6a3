//! The plain data that crosses between the kernel's queue and the reactor.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// The caller's name for a source, handed back with each of its events.
///
/// Any value but [`Key::RESERVED`] may be used. The poller keeps it and never looks into it; the
/// reactor packs a slot number and a generation into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u64);

impl Key {
    /// The one value that backends keep for themselves; `add`, `modify` and `post` answer
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) to it.
    pub const RESERVED: Key = Key(u64::MAX);
}

/// Gives a set of bits the operations that a set has.
macro_rules! bit_set {
    ($name:ident: $bits:ty { $($constant:ident = $label:literal),* $(,)? }) => {
        impl $name {
            /// True if every bit of `other` is set here.
            #[must_use]
            pub const fn contains(self, other: $name) -> bool {
                self.0 & other.0 == other.0
            }

            /// True if some bit of `other` is set here.
            #[must_use]
            pub const fn intersects(self, other: $name) -> bool {
                self.0 & other.0 != 0
            }

            /// True if no bit is set.
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// The bits of both.
            #[must_use]
            pub const fn union(self, other: $name) -> $name {
                $name(self.0 | other.0)
            }

            /// The bits that both have.
            #[must_use]
            pub const fn intersection(self, other: $name) -> $name {
                $name(self.0 & other.0)
            }

            /// The bits of `self` that `other` does not have.
            #[must_use]
            pub const fn difference(self, other: $name) -> $name {
                $name(self.0 & !other.0)
            }

            /// The set as a number, for packing into an atomic.
            #[must_use]
            pub const fn bits(self) -> $bits {
                self.0
            }

            /// The set from a number; bits without a name are dropped.
            #[must_use]
            pub const fn from_bits(bits: $bits) -> $name {
                $name(bits & (0 $(| $name::$constant.0)*))
            }
        }

        impl BitOr for $name {
            type Output = $name;
            fn bitor(self, other: $name) -> $name {
                self.union(other)
            }
        }

        impl BitOrAssign for $name {
            fn bitor_assign(&mut self, other: $name) {
                *self = self.union(other);
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let labels = [$(($name::$constant, $label)),*];
                let mut separator = concat!(stringify!($name), "(");
                for (_, label) in labels.iter().filter(|(bit, _)| self.contains(*bit)) {
                    write!(f, "{separator}{label}")?;
                    separator = " | ";
                }
                if self.is_empty() {
                    write!(f, "{separator}none")?;
                }
                f.write_str(")")
            }
        }
    };
}

/// What the owner of a source wants to hear of.
///
/// ```
/// use ekio::poller::Interest;
///
/// let both = Interest::READABLE | Interest::WRITABLE;
/// assert!(both.contains(Interest::READABLE));
/// assert_eq!(format!("{both:?}"), "Interest(readable | writable)");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interest(u8);

impl Interest {
    /// Nothing: the source stays in the table and is silent, even if its peer hangs up.
    pub const NONE: Interest = Interest(0);
    /// Data to read, a connection to accept, the end of the stream, an exited process.
    pub const READABLE: Interest = Interest(1);
    /// Room to write, or a connection attempt that has come to its end.
    pub const WRITABLE: Interest = Interest(2);
    /// Out-of-band ("urgent") data, see [`Readiness::PRIORITY`].
    pub const PRIORITY: Interest = Interest(4);
    /// Both directions, without priority.
    pub const BOTH: Interest = Interest(3);
}

bit_set!(Interest: u8 { READABLE = "readable", WRITABLE = "writable", PRIORITY = "priority" });

/// What the operating system said of a source.
///
/// The three *terminal* bits ([`Readiness::TERMINAL`]) describe conditions that do not go away.
/// They never come alone: [`READ_CLOSED`](Readiness::READ_CLOSED) comes with `READABLE`,
/// [`WRITE_CLOSED`](Readiness::WRITE_CLOSED) with `WRITABLE`, and
/// [`ERROR`](Readiness::ERROR) with both, because the way to learn of them is to try the
/// operation. They are reported whatever the interest, unless that is [`Interest::NONE`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Readiness(u8);

impl Readiness {
    /// Nothing.
    pub const NONE: Readiness = Readiness(0);
    /// A read (or accept) will not block.
    pub const READABLE: Readiness = Readiness(1);
    /// A write will not block.
    pub const WRITABLE: Readiness = Readiness(2);
    /// Out-of-band data has arrived.
    pub const PRIORITY: Readiness = Readiness(4);
    /// No more data will come: after what is queued, reads answer 0 or an error.
    pub const READ_CLOSED: Readiness = Readiness(8);
    /// Nobody will take what we write: writes fail.
    pub const WRITE_CLOSED: Readiness = Readiness(16);
    /// The source has an error to hand out (for a socket, `SO_ERROR`).
    pub const ERROR: Readiness = Readiness(32);

    /// The bits that, once true, stay true.
    pub const TERMINAL: Readiness = Readiness(8 | 16 | 32);

    /// True if a read is worth trying.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        self.contains(Readiness::READABLE)
    }

    /// True if a write is worth trying.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.contains(Readiness::WRITABLE)
    }

    /// The set with every terminal bit accompanied by the direction in which to find out.
    ///
    /// Each backend's `decode` ends with this, so that the promise of the type is kept in one
    /// place.
    #[must_use]
    pub const fn complete(self) -> Readiness {
        let mut complete = self;
        if self.intersects(Readiness::READ_CLOSED.union(Readiness::ERROR)) {
            complete = complete.union(Readiness::READABLE);
        }
        if self.intersects(Readiness::WRITE_CLOSED.union(Readiness::ERROR)) {
            complete = complete.union(Readiness::WRITABLE);
        }
        complete
    }
}

bit_set!(Readiness: u8 {
    READABLE = "readable",
    WRITABLE = "writable",
    PRIORITY = "priority",
    READ_CLOSED = "read closed",
    WRITE_CLOSED = "write closed",
    ERROR = "error",
});

/// When a condition that holds is reported. The contract is told at [`Poller`](super::Poller).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// At every `wait`, while it holds.
    Level,
    /// When it arises after the owner met would-block and called `rearm`.
    Edge,
    /// Once; then both directions are quiet until `modify`.
    OneShot,
}

/// One thing that happened to one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who: the key that `add`, `modify` or `post` was given.
    pub key: Key,
    /// What.
    pub readiness: Readiness,
    /// A number that came along: what a [`post`](super::Poller::post) carried, or how often a
    /// signal was delivered since the last event of it. Zero for all others.
    pub payload: u64,
}

impl Event {
    /// An event without a payload.
    #[must_use]
    pub const fn new(key: Key, readiness: Readiness) -> Event {
        Event {
            key,
            readiness,
            payload: 0,
        }
    }
}

/// The place into which [`wait`](super::Poller::wait) puts events: a list with a fixed bound.
#[derive(Debug)]
pub struct Events {
    list: Vec<Event>,
    capacity: usize,
}

impl Events {
    /// A list for up to `capacity` events at a time (at least one).
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Events {
        let capacity = capacity.max(1);
        Events {
            list: Vec::with_capacity(capacity),
            capacity,
        }
    }

    /// The most events that one `wait` puts here.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many more events there is room for.
    #[must_use]
    pub fn room(&self) -> usize {
        self.capacity - self.list.len()
    }

    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The events, in the order in which the system gave them.
    pub fn iter(&self) -> std::slice::Iter<'_, Event> {
        self.list.iter()
    }

    /// Forgets them all. `wait` begins with this.
    pub fn clear(&mut self) {
        self.list.clear();
    }

    /// Adds an event, for those who implement [`Poller`](super::Poller).
    ///
    /// # Panics
    ///
    /// If there is no [`room`](Events::room).
    pub fn push(&mut self, event: Event) {
        assert!(
            self.room() > 0,
            "no room for another event: ask Events::room first"
        );
        self.list.push(event);
    }

    /// Adds to an event of this list what else is known of its source.
    #[cfg(has_kqueue)]
    pub(crate) fn merge(&mut self, index: usize, readiness: Readiness, payload: u64) {
        let event = &mut self.list[index];
        event.readiness |= readiness;
        event.payload += payload;
    }
}

impl<'a> IntoIterator for &'a Events {
    type Item = &'a Event;
    type IntoIter = std::slice::Iter<'a, Event>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_bits_bring_their_direction() {
        assert!(Readiness::READ_CLOSED.complete().is_readable());
        assert!(!Readiness::READ_CLOSED.complete().is_writable());
        assert!(Readiness::WRITE_CLOSED.complete().is_writable());
        assert!(!Readiness::WRITE_CLOSED.complete().is_readable());
        let error = Readiness::ERROR.complete();
        assert!(error.is_readable() && error.is_writable());
        assert_eq!(Readiness::NONE.complete(), Readiness::NONE);
    }

    #[test]
    fn sets_print_their_members() {
        assert_eq!(format!("{:?}", Interest::NONE), "Interest(none)");
        let bits = Readiness::READABLE | Readiness::READ_CLOSED;
        assert_eq!(format!("{bits:?}"), "Readiness(readable | read closed)");
        assert_eq!(Readiness::from_bits(0xff).bits(), 0x3f);
    }

    #[test]
    fn a_list_holds_at_least_one() {
        let mut events = Events::with_capacity(0);
        assert_eq!(events.capacity(), 1);
        events.push(Event::new(Key(1), Readiness::READABLE));
        assert_eq!((events.room(), events.len()), (0, 1));
    }
}
