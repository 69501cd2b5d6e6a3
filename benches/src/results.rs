//! The samples of all loads that were ever written, in `results.json`. A load that is measured again
//! replaces what is on file of that load, with all its peers, for ratios hold only within one run;
//! other loads stay.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::peers;
use crate::statistics::{Summary, paired_ratio};

/// The figures of one peer in one round, by name.
pub type Round = BTreeMap<String, f64>;

#[derive(Default, Serialize, Deserialize)]
pub struct Results {
    /// By the load's name.
    pub loads: BTreeMap<String, Record>,
}

/// What was measured of one load.
#[derive(Serialize, Deserialize)]
pub struct Record {
    pub run: Run,
    /// By the peer's name: the package and its version.
    pub versions: BTreeMap<String, String>,
    /// By the peer's name.
    pub peers: BTreeMap<String, Outcome>,
}

/// When, where and how. The same for all loads of one command.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub date: String,
    /// What stood behind `--`.
    pub arguments: String,
    pub machine: Machine,
}

#[derive(Default, Serialize, Deserialize)]
pub struct Outcome {
    /// In the order of the rounds, as far as the peer came.
    pub rounds: Vec<Round>,
    /// Why it came no further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Whether that is a fault, and not something that cannot be had on this machine.
    #[serde(skip)]
    pub is_fault: bool,
}

impl Results {
    /// Empty if there is no such file.
    pub fn read(path: &Path) -> io::Result<Results> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(serde_json::from_str(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Results::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file in one step, so that an end in the middle of it loses nothing.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let whole = path.with_extension("json.new");
        fs::write(&whole, serde_json::to_string_pretty(self)? + "\n")?;
        fs::rename(whole, path)
    }
}

impl Record {
    /// The figure in each round of that peer; empty if it has none.
    pub fn samples(&self, peer: &str, figure: &str) -> Vec<f64> {
        let rounds = self
            .peers
            .get(peer)
            .map_or(&[][..], |outcome| &outcome.rounds);
        let found = rounds.iter().map_while(|round| round.get(figure));
        found.copied().collect()
    }

    pub fn summary(&self, peer: &str, figure: &str) -> Option<Summary> {
        Summary::of(&self.samples(peer, figure))
    }

    /// Of that figure, between these two.
    pub fn ratio(&self, peer: &str, other: &str, figure: &str) -> Option<f64> {
        paired_ratio(&self.samples(peer, figure), &self.samples(other, figure))
    }

    /// The best of the peers on epoll, but ekio and the floor, in that figure.
    pub fn best_peer(&self, figure: &str, more_is_better: bool) -> Option<&str> {
        let rivals = self.peers.keys().filter(|name| is_rival(name));
        let medians = rivals.filter_map(|name| {
            let median = self.summary(name, figure)?.median;
            Some((name, if more_is_better { -median } else { median }))
        });
        let best = medians.min_by(|(_, one), (_, other)| one.total_cmp(other));
        best.map(|(name, _)| name.as_str())
    }
}

/// Those on io_uring do other work in another place, and are shown beside, not as the ones to beat.
fn is_rival(name: &str) -> bool {
    !matches!(name, "floor" | "ekio") && !peers::is_on_uring(name)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A record of one figure, `cpu`.
    pub fn record(peers: &[(&str, &[f64])]) -> Record {
        let outcome = |samples: &[f64]| Outcome {
            rounds: samples
                .iter()
                .map(|cpu| Round::from([("cpu".to_owned(), *cpu)]))
                .collect(),
            ..Outcome::default()
        };
        let peers = peers
            .iter()
            .map(|(name, samples)| (name.to_string(), outcome(samples)));
        Record {
            run: Run {
                date: "2001-02-03".to_owned(),
                arguments: "all --write".to_owned(),

                machine: Machine::default(),
            },
            versions: BTreeMap::from([("ekio".to_owned(), "ekio 0.1.0".to_owned())]),
            peers: peers.collect(),
        }
    }

    #[test]
    fn the_best_peer_is_none_of_the_floor_ekio_and_uring() {
        let record = record(&[
            ("floor", &[1.0]),
            ("ekio", &[2.0]),
            ("monoio-uring", &[3.0]),
            ("smol", &[5.0]),
            ("tokio", &[4.0]),
        ]);
        assert_eq!(record.best_peer("cpu", false), Some("tokio"));
        assert_eq!(record.best_peer("cpu", true), Some("smol"));
        assert_eq!(record.best_peer("wall", false), None);
        assert_eq!(record.ratio("ekio", "floor", "cpu"), Some(2.0));
    }

    #[test]
    fn what_is_written_can_be_read_and_other_loads_stay() {
        let folder = std::env::temp_dir().join(format!("ekio-benches-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("results.json");
        let mut results = Results::read(&path).unwrap();
        assert!(results.loads.is_empty());
        results
            .loads
            .insert("one".to_owned(), record(&[("ekio", &[1.0, 2.0])]));
        results.write(&path).unwrap();
        let mut results = Results::read(&path).unwrap();
        results.loads.insert("two".to_owned(), record(&[]));
        results.write(&path).unwrap();
        let results = Results::read(&path).unwrap();
        assert_eq!(results.loads["one"].samples("ekio", "cpu"), [1.0, 2.0]);
        assert!(results.loads.contains_key("two"));
        fs::remove_dir_all(folder).unwrap();
    }
}
