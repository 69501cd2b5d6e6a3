//! "Hello, world!" over HTTP, keep-alive.

use std::io::{self, Read as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::echo::WARM_UP;
use super::{Effort, Figure, Load, ROUNDS_OF_SERVERS};
use crate::children::figures_of_plan;
use crate::generator::{Extent, Plan, Traffic};
use crate::meter::Figures;
use crate::peers::Peer;
use crate::process::{Cores, CpuClock, Started, is_installed};
use crate::server::{Running, Service, Setup};

const CONNECTIONS: usize = 64;

/// What `wrk` and the generator both tell.
const FIGURES: &[Figure] = &[
    Figure {
        name: "cpu",
        unit: "ns",
    },
    Figure {
        name: "rate",
        unit: "/s",
    },
];

pub const LOADS: &[Load] = &[
    Load {
        name: "http",
        title: "HTTP hello by hand with httparse, keep-alive on 64 connections, under wrk",
        figures: FIGURES,
        can: |peer| peer.http.is_some(),
        run: |peer, effort| hello(peer, Service::Http, effort),
        rounds: ROUNDS_OF_SERVERS,
    },
    Load {
        name: "hyper",
        title: "HTTP hello by hyper, keep-alive on 64 connections, under wrk",
        figures: FIGURES,
        can: |peer| peer.hyper.is_some(),
        run: |peer, effort| hello(peer, Service::Hyper, effort),
        rounds: ROUNDS_OF_SERVERS,
    },
];

/// Under `wrk`, which is everybody's yardstick; where it is not installed, under the generator.
fn hello(peer: &Peer, service: Service, effort: Effort) -> io::Result<Figures> {
    let setup = Setup {
        service,
        workers: 1,
        buffer: 0,
    };
    let cores = Cores::of_this_machine()?;
    let server = Running::start(peer, setup, cores.server, &[])?;
    let plan = |counted| Plan {
        traffic: Traffic::Http,
        connections: CONNECTIONS,
        warm_up: WARM_UP,
        counted,
    };
    if !is_installed("wrk") {
        let plan = plan(Extent::Time(effort.time()));
        return figures_of_plan(&server, plan, cores.load, FIGURES);
    }
    // Checks the answers, and warms the server up.
    figures_of_plan(&server, plan(Extent::Count(1000)), cores.load, FIGURES)?;
    let clock = CpuClock::of(server.process.pid())?;
    let before = clock.read_at_rest()?;
    // It knows whole seconds only.
    let time = effort.time().max(Duration::from_secs(1));
    let (requests, seconds) = wrk(&server, cores.load, time)?;
    let cpu = clock.read_at_rest()? - before;
    Ok(vec![
        ("cpu", cpu.as_nanos() as f64 / requests),
        ("rate", requests / seconds),
    ])
}

/// How many requests were answered, and in how many seconds.
fn wrk(server: &Running, core: Option<usize>, time: Duration) -> io::Result<(f64, f64)> {
    let mut command = Command::new("wrk");
    command.args(["--threads", "1", "--connections", &CONNECTIONS.to_string()]);
    command.args(["--duration", &format!("{}s", time.as_secs())]);
    command.arg(format!("http://{}/", server.address));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let cores: Vec<usize> = core.into_iter().collect();
    let mut wrk = Started::on(&cores, &mut command)?;
    let mut report = String::new();
    let mut pipe = wrk.child().stdout.take().expect("it is piped");
    pipe.read_to_string(&mut report)?;
    let unclear = || io::Error::other(format!("wrk's report is not understood:\n{report}"));
    // Such as `  123456 requests in 2.00s, 15.31MB read`.
    let line = report.lines().find(|line| line.contains(" requests in "));
    let (requests, rest) = line
        .and_then(|line| line.split_once(" requests in "))
        .ok_or_else(unclear)?;
    let (seconds, _) = rest.split_once("s,").ok_or_else(unclear)?;
    let requests = requests.trim().parse().map_err(|_| unclear())?;
    let seconds = seconds.trim().parse().map_err(|_| unclear())?;
    if report.contains("Socket errors") || report.contains("Non-2xx") {
        return Err(io::Error::other(format!("wrk met errors:\n{report}")));
    }
    Ok((requests, seconds))
}
