//! Connections that come and go.

use super::echo::{BUFFER, WARM_UP};
use super::traffic::{FIGURES, measure};
use super::{Load, ROUNDS_OF_SERVERS};
use crate::generator::{Extent, Plan, Traffic};
use crate::server::{Service, Setup};

/// So many clients at a time: enough to keep a server busy.
pub const CLIENTS: usize = 16;

pub const SETUP: Setup = Setup {
    service: Service::Echo,
    workers: 1,
    buffer: BUFFER,
};

pub const LOADS: &[Load] = &[Load {
    name: "churn",
    title: "a client connects, 64 bytes come back, it closes; 16 clients at a time",
    figures: FIGURES,
    can: |peer| peer.echo.is_some(),
    run: |peer, effort| {
        let plan = Plan {
            traffic: Traffic::Churn,
            connections: CLIENTS,
            warm_up: WARM_UP,
            counted: Extent::Time(effort.time()),
        };
        measure(peer, SETUP, plan)
    },
    rounds: ROUNDS_OF_SERVERS,
}];
