//! What the loads over TCP have in common: a server in a child, and the generator in another.

use std::io;

use super::Figure;
use crate::children::figures_of_plan;
use crate::generator::Plan;
use crate::meter::Figures;
use crate::peers::Peer;
use crate::process::Cores;
use crate::server::{Running, Setup};

/// Of the server's CPU for each round trip, and of what the generator sees.
pub const FIGURES: &[Figure] = &[
    Figure {
        name: "cpu",
        unit: "ns",
    },
    Figure {
        name: "rate",
        unit: "/s",
    },
    Figure {
        name: "p50",
        unit: "ns",
    },
    Figure {
        name: "p99",
        unit: "ns",
    },
    Figure {
        name: "p99.9",
        unit: "ns",
    },
];

/// A server of one thread has a core of its own, and so has the generator. One of two threads has
/// none to itself on a machine of two cores, where the generator takes its part too; there the
/// system's scheduler distributes all three.
pub fn measure(peer: &Peer, setup: Setup, plan: Plan) -> io::Result<Figures> {
    let cores = match setup.workers {
        1 => Cores::of_this_machine()?,
        _ => Cores::ANY,
    };
    let server = Running::start(peer, setup, cores.server, &[])?;
    figures_of_plan(&server, plan, cores.load, FIGURES)
}
