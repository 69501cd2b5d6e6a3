//! Runs contests, and says on standard error how far it is.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use crate::loads::{Effort, Load};
use crate::meter::Figures;
use crate::peers::Peer;
use crate::plan::Contest;
use crate::results::Outcome;
use crate::units::show;

/// The peers that can run here; of the others it says why not.
pub fn able(peers: &[&'static Peer]) -> Vec<&'static Peer> {
    let mut able = peers.to_vec();
    able.retain(|peer| match (peer.check)() {
        Ok(()) => true,
        Err(why) => {
            eprintln!("{} is left out: {why}", peer.name);
            false
        }
    });
    able
}

/// All rounds of one load. A peer that fails has no further turns at it, and the others go on.
pub fn conduct(contest: &Contest, effort: Effort, place: &str) -> BTreeMap<String, Outcome> {
    let mut outcomes: BTreeMap<String, Outcome> = BTreeMap::new();
    for round in 0..contest.rounds {
        let name = contest.load.name;
        eprint!("[{place}] {name} {}/{}:", round + 1, contest.rounds);
        for peer in contest.turns(round) {
            let outcome = outcomes.entry(peer.name.to_owned()).or_default();
            if outcome.failure.is_none() {
                take_turn(contest.load, peer, effort, outcome);
            }
        }
        eprintln!();
    }
    for (name, outcome) in &outcomes {
        if let Some(why) = &outcome.failure {
            eprintln!("{name} is left out of {}: {why}", contest.load.name);
        }
    }
    outcomes
}

fn take_turn(load: &Load, peer: &Peer, effort: Effort, outcome: &mut Outcome) {
    eprint!(" {} ", peer.name);
    // Progress is worth nothing later; an error here means that nobody looks.
    let _ = io::stderr().flush();
    match (load.run)(peer, effort).and_then(|figures| checked(load, figures)) {
        Ok(figures) => {
            let first = &load.figures[0];
            eprint!("{}", show(figures[first.name], first.unit));
            outcome.rounds.push(figures);
        }
        Err(why) => {
            outcome.is_fault = why.kind() != io::ErrorKind::Unsupported;
            eprint!(
                "{}",
                if outcome.is_fault {
                    "FAILED"
                } else {
                    "not here"
                }
            );
            outcome.failure = Some(why.to_string());
        }
    }
}

/// A load must answer the figure that decides, and only those that it announced: a name that is
/// mistyped would be missing in the report, and nobody would notice.
fn checked(load: &Load, figures: Figures) -> io::Result<BTreeMap<String, f64>> {
    let is_announced = |name: &str| load.figures.iter().any(|figure| figure.name == name);
    if let Some((name, _)) = figures.iter().find(|(name, _)| !is_announced(name)) {
        return Err(io::Error::other(format!(
            "`{name}` is not among the load's figures"
        )));
    }
    let figures: BTreeMap<String, f64> = figures
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let first = load.figures[0].name;
    match figures.get(first) {
        Some(_) => Ok(figures),
        None => Err(io::Error::other(format!("the figure `{first}` is missing"))),
    }
}
