//! The loads. Each runs one peer once, in processes of its own, and answers figures.

use std::io;
use std::time::Duration;

use crate::meter::Figures;
use crate::peers::Peer;

mod build;
mod churn;
mod counts;
mod echo;
mod executor;
mod http;
pub mod idle;
mod timers;
mod traffic;

/// All of them, file by file, in the order of the report.
pub static LOADS: &[&[Load]] = &[
    echo::LOADS,
    churn::LOADS,
    http::LOADS,
    counts::LOADS,
    executor::LOADS,
    timers::LOADS,
    idle::LOADS,
    build::LOADS,
];

/// What children do for them.
static WORKS: &[&[Work]] = &[executor::WORKS, timers::WORKS, idle::WORKS];

pub fn all() -> impl Iterator<Item = &'static Load> {
    LOADS.iter().copied().flatten()
}

pub fn work_named(name: &str) -> Option<&'static Work> {
    WORKS
        .iter()
        .copied()
        .flatten()
        .find(|work| work.name == name)
}

/// How often each peer has its turn with a load whose figures are times.
const ROUNDS: usize = 7;

/// Those of a load that is time-bound. A machine's mood may change within seconds: many short turns put
/// the peers of a round into the same one, which few long ones would not.
const ROUNDS_OF_SERVERS: usize = 3 * ROUNDS;

/// A thing to be measured.
pub struct Load {
    /// As the command line and the report call it, such as `echo-64`.
    pub name: &'static str,
    /// A sentence for the report.
    pub title: &'static str,
    /// The figures it answers, the first of which decides; less is better for all whose unit is a
    /// time, bytes or a count, more for `/s`.
    pub figures: &'static [Figure],
    /// Whether a peer can do it.
    pub can: fn(&Peer) -> bool,
    /// One round of one peer. Called in the process that conducts the whole; it starts a child for what
    /// is measured, so that no peer's threads or memory meet another's. What cannot be had here or of
    /// this peer is an error of the kind `Unsupported`, whose text says why.
    pub run: fn(&Peer, Effort) -> io::Result<Figures>,
    /// Rounds that are worth it: 1 where a figure does not depend on the machine's mood.
    pub rounds: usize,
}

pub struct Figure {
    pub name: &'static str,
    /// `ns`, `bytes`, `calls`, `instructions`, `/s`, `s`, `crates`
    pub unit: &'static str,
}

/// How long a round may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// For figures that are to be quoted.
    Whole,
    /// For a glance: all loads of all peers in five minutes.
    Short,
}

impl Effort {
    /// How often to do what is to be done `whole` times for figures that are to be quoted.
    fn of(self, whole: u32) -> u32 {
        match self {
            Effort::Whole => whole,
            Effort::Short => whole / 4,
        }
    }

    /// How long a server is kept busy while it is measured.
    fn time(self) -> Duration {
        match self {
            Effort::Whole => Duration::from_millis(600),
            Effort::Short => Duration::from_millis(400),
        }
    }
}

/// What a child does that measures itself: `ekio-benches run PEER NAME COUNT`.
pub struct Work {
    pub name: &'static str,
    /// Nothing if the peer cannot.
    pub run: fn(&Peer, u32) -> Option<Figures>,
}
