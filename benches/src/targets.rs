//! What ekio is to reach, load by load.

use crate::results::Record;
use crate::units::{show, show_ratio};

/// One figure of one load, and how far it may go.
pub struct Target {
    pub load: &'static str,
    pub figure: &'static str,
    pub bound: Bound,
    /// What the floor took on the machine and the day on which the bound was set, if the bound is a time
    /// of which that is known.
    pub floor_then: Option<f64>,
}

pub enum Bound {
    /// At most so many times another peer's, in the same rounds.
    Of(&'static str, f64),
    /// No more than another peer's, but for a hundredth, which a call of its set-up or a wait that
    /// was cut in two may be.
    As(&'static str),
    /// At most that, in the figure's unit.
    AtMost(f64),
}

use Bound::{As, AtMost, Of};

const fn target(load: &'static str, figure: &'static str, bound: Bound) -> Target {
    Target {
        load,
        figure,
        bound,
        floor_then: None,
    }
}

impl Target {
    const fn floor_then(mut self, floor: f64) -> Target {
        self.floor_then = Some(floor);
        self
    }
}

/// Ratios to the floor wherever an operation goes through the kernel, for those hold on another
/// machine too; times of ours where it does not. Beside those stands how far from the floor of then they
/// were, so that a faster or slower machine can be told from a faster or slower ekio.
pub const TARGETS: &[Target] = &[
    target("echo-1", "cpu", Of("floor", 1.04)),
    target("echo-64", "cpu", Of("floor", 1.04)),
    target("echo-1000", "cpu", Of("floor", 1.04)),
    target("calls-1", "calls", As("floor")),
    target("calls-64", "calls", As("floor")),
    target("calls-churn", "calls", As("floor")),
    target("instructions-64", "instructions", AtMost(500.0)),
    target("echo-64-2", "cpu", Of("floor", 1.05)),
    target("echo-64-2", "p99", Of("tokio", 1.0)),
    target("echo-16k", "cpu", Of("floor", 1.03)),
    target("churn", "cpu", Of("floor", 1.01)),
    target("http", "cpu", Of("floor", 1.05)),
    target("hyper", "cpu", Of("tokio", 0.95)),
    target("spawn-join", "cpu", AtMost(36.0)).floor_then(23.0),
    target("spawn-join-2", "wall", AtMost(110.0)),
    target("yield-1", "cpu", AtMost(20.0)).floor_then(7.0),
    target("yield-1000", "cpu", AtMost(15.0)).floor_then(7.0),
    target("ping-pong", "cpu", AtMost(215.0)).floor_then(187.0),
    target("ping-pong-2", "wall", Of("floor", 1.0)),
    target("timers-dropped", "cpu", AtMost(80.0)).floor_then(72.0),
    target("timers-dropped", "alone", AtMost(80.0)),
    target("timers-dropped", "bytes", AtMost(64.0)),
    target("timers-dropped", "calls", AtMost(0.0)),
    target("timers-firing", "cpu", AtMost(110e6)).floor_then(75e6),
    target("timers-firing", "late", AtMost(0.6e6)).floor_then(0.7e6),
    target("timers-firing", "latest", AtMost(10e6)).floor_then(7e6),
    target("idle", "resident", AtMost(400.0)),
    target("idle", "bytes", AtMost(400.0)),
    target("build", "cpu", Of("tokio", 0.8)),
    target("build", "crates", AtMost(8.0)),
];

/// What came of a target.
pub struct Reached {
    /// The figure in words.
    pub figure: String,
    pub holds: bool,
}

impl Target {
    /// In words.
    pub fn wanted(&self, unit: &str) -> String {
        match self.bound {
            Of(peer, most) => format!("≤ {most} of {peer}"),
            As(peer) => format!("that of {peer}"),
            AtMost(most) => format!("≤ {}", show(most, unit)),
        }
    }

    /// How many times the floor's time of then the bound is, in words.
    pub fn wanted_then(&self, unit: &str) -> Option<String> {
        let (most, floor) = self.most_and_floor_then()?;
        let ratio = show_ratio(most / floor);
        let (most, floor) = (show(most, unit), show(floor, unit));
        Some(format!("≤ {ratio} of floor ({most} / {floor})"))
    }

    /// The same ratio, now. `None` if it was not measured.
    pub fn reached_then(&self, record: &Record) -> Option<Reached> {
        let (most, floor) = self.most_and_floor_then()?;
        let ratio = record.ratio("ekio", "floor", self.figure)?;
        Some(Reached {
            figure: show_ratio(ratio),
            holds: ratio <= most / floor,
        })
    }

    fn most_and_floor_then(&self) -> Option<(f64, f64)> {
        match self.bound {
            AtMost(most) => Some((most, self.floor_then?)),
            Of(..) | As(_) => None,
        }
    }

    /// `None` if it was not measured.
    pub fn reached(&self, record: &Record, unit: &str) -> Option<Reached> {
        let ours = record.summary("ekio", self.figure)?.median;
        let shown = show(ours, unit);
        Some(match self.bound {
            Of(peer, most) => {
                let ratio = record.ratio("ekio", peer, self.figure)?;
                Reached {
                    figure: format!("{} ({shown})", show_ratio(ratio)),
                    holds: ratio <= most,
                }
            }
            As(peer) => {
                let theirs = record.summary(peer, self.figure)?.median;
                Reached {
                    figure: format!("{shown} beside {}", show(theirs, unit)),
                    holds: ours <= theirs * 1.01,
                }
            }
            AtMost(most) => Reached {
                figure: shown,
                holds: ours <= most,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::record;

    #[test]
    fn every_target_is_of_a_figure_that_there_is() {
        for target in TARGETS {
            let load = crate::loads::all().find(|load| load.name == target.load);
            let load = load.unwrap_or_else(|| panic!("no load {}", target.load));
            let mut figures = load.figures.iter();
            let is_there = figures.any(|figure| figure.name == target.figure);
            assert!(is_there, "{} has no {}", target.load, target.figure);
        }
    }

    #[test]
    fn a_ratio_is_held_against_the_peer_and_a_time_against_itself() {
        let record = record(&[("floor", &[100.0, 200.0]), ("ekio", &[104.0, 208.0])]);
        let ratio = target("", "cpu", Of("floor", 1.04))
            .reached(&record, "ns")
            .unwrap();
        assert!(ratio.holds, "{}", ratio.figure);
        assert_eq!(ratio.figure, "1.040 (156 ns)");
        let time = target("", "cpu", AtMost(155.0))
            .reached(&record, "ns")
            .unwrap();
        assert!(!time.holds);
        assert_eq!(time.figure, "156 ns");
        assert!(target("", "cpu", AtMost(155.0)).wanted_then("ns").is_none());
        assert!(
            target("", "cpu", Of("tokio", 1.0))
                .reached(&record, "ns")
                .is_none()
        );
    }

    #[test]
    fn a_time_that_is_missed_on_a_slower_machine_may_hold_beside_its_floor() {
        let record = record(&[("floor", &[303.0]), ("ekio", &[337.0])]);
        let target = target("", "cpu", AtMost(215.0)).floor_then(187.0);
        assert!(!target.reached(&record, "ns").unwrap().holds);
        let wanted = target.wanted_then("ns").unwrap();
        assert_eq!(wanted, "≤ 1.150 of floor (215 ns / 187 ns)");
        let reached = target.reached_then(&record).unwrap();
        assert!(reached.holds);
        assert_eq!(reached.figure, "1.112");
    }
}
