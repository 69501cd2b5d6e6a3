//! The neutral load: one thread with an epoll queue by hand, in a process and on a core of its own,
//! so that its costs are the same for every peer and are in no peer's figures.
//!
//! It is closed-loop: each connection has one message under way, and sends the next when the answer
//! has come. Between the warm-up and the counted part, and at the end, it lets the server come to
//! rest, because only then is the server's CPU time exact.

use std::io;
use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use crate::meter::Figures;
use crate::process::CpuClock;

mod churn;
mod exchange;
mod histogram;

use histogram::Histogram;

/// What one run of the generator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    pub traffic: Traffic,
    pub connections: usize,
    pub warm_up: Extent,
    pub counted: Extent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// Messages of so many bytes, which come back.
    Echo(usize),
    /// A request on a connection that stays, and its answer.
    Http,
    /// To connect, exchange 64 bytes, close, and begin again, on so many connections at a time.
    Churn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// So many round trips, or connections.
    Count(u64),
    Time(Duration),
}

/// Longer than any answer takes, also of a server under a debugger.
const PATIENCE: Duration = Duration::from_secs(20);

impl Plan {
    /// What `from_arguments` reads.
    pub fn to_arguments(self) -> Vec<String> {
        let (kind, bytes) = match self.traffic {
            Traffic::Echo(bytes) => ("echo", bytes),
            Traffic::Http => ("http", 0),
            Traffic::Churn => ("churn", 0),
        };
        let mut arguments = vec![kind.into(), bytes.to_string(), self.connections.to_string()];
        for extent in [self.warm_up, self.counted] {
            arguments.push(match extent {
                Extent::Count(count) => count.to_string(),
                Extent::Time(time) => format!("{}ns", time.as_nanos()),
            });
        }
        arguments
    }

    pub fn from_arguments(arguments: &[String]) -> Option<Plan> {
        let [kind, bytes, connections, warm_up, counted] = arguments else {
            return None;
        };
        let extent = |text: &str| match text.strip_suffix("ns") {
            Some(time) => time
                .parse()
                .ok()
                .map(Duration::from_nanos)
                .map(Extent::Time),
            None => text.parse().ok().map(Extent::Count),
        };
        Some(Plan {
            traffic: match &kind[..] {
                "echo" => Traffic::Echo(bytes.parse().ok()?),
                "http" => Traffic::Http,
                "churn" => Traffic::Churn,
                _ => return None,
            },
            connections: connections.parse().ok()?,
            warm_up: extent(warm_up)?,
            counted: extent(counted)?,
        })
    }

    /// Does it with the server at `address`, whose process is `pid`.
    pub fn carry_out(self, address: SocketAddrV4, pid: u32) -> io::Result<Figures> {
        let clock = CpuClock::of(pid)?;
        match self.traffic {
            Traffic::Echo(_) | Traffic::Http => {
                let mut load =
                    exchange::Exchange::connect(address, self.traffic, self.connections)?;
                self.measure(clock, |extent| load.run(extent))
            }
            Traffic::Churn => {
                let mut load = churn::Churn::new(address, self.connections)?;
                self.measure(clock, |extent| load.run(extent))
            }
        }
    }

    fn measure(
        self,
        clock: CpuClock,
        mut run: impl FnMut(Extent) -> io::Result<Outcome>,
    ) -> io::Result<Figures> {
        run(self.warm_up)?;
        let cpu = clock.read_at_rest()?;
        let outcome = run(self.counted)?;
        let cpu = clock.read_at_rest()? - cpu;
        let count = outcome.latencies.count() as f64;
        Ok(vec![
            ("cpu", cpu.as_nanos() as f64 / count),
            ("rate", count / outcome.elapsed.as_secs_f64()),
            ("p50", outcome.latencies.quantile(0.5)),
            ("p99", outcome.latencies.quantile(0.99)),
            ("p99.9", outcome.latencies.quantile(0.999)),
        ])
    }
}

/// What one part of a run came to.
struct Outcome {
    latencies: Histogram,
    elapsed: Duration,
}

/// How far a part of a run has come: when it is over nothing more is begun, and what is under way is
/// waited for.
struct Progress {
    extent: Extent,
    begun: Instant,
    started: u64,
    latencies: Histogram,
}

impl Progress {
    fn new(extent: Extent) -> Progress {
        Progress {
            extent,
            begun: Instant::now(),
            started: 0,
            latencies: Histogram::new(),
        }
    }

    /// Whether to start one more, `now`.
    fn starts(&mut self, now: Instant) -> bool {
        let starts = match self.extent {
            Extent::Count(count) => self.started < count,
            Extent::Time(time) => now - self.begun < time,
        };
        self.started += u64::from(starts);
        starts
    }

    fn finished(&mut self, latency: Duration) {
        self.latencies.add(latency);
    }

    fn is_over(&self) -> bool {
        self.latencies.count() == self.started
    }

    fn outcome(self) -> Outcome {
        Outcome {
            latencies: self.latencies,
            elapsed: self.begun.elapsed(),
        }
    }
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the server does not answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_say_the_whole_plan() {
        let plan = Plan {
            traffic: Traffic::Echo(16_384),
            connections: 8,
            warm_up: Extent::Count(100),
            counted: Extent::Time(Duration::from_millis(1_500)),
        };
        assert_eq!(Plan::from_arguments(&plan.to_arguments()), Some(plan));
    }
}
