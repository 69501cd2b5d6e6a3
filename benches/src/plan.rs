//! Who runs what, and in which order.

use crate::loads::Load;
use crate::peers::Peer;

/// Rounds of a load whose figures vary with what else the machine does.
pub const USUAL_ROUNDS: usize = 7;

/// One load, and the peers that take turns at it.
pub struct Contest {
    pub load: &'static Load,
    pub peers: Vec<&'static Peer>,
    pub rounds: usize,
}

impl Contest {
    /// `rounds` as typed, if so.
    pub fn new(
        load: &'static Load,
        peers: &[&'static Peer],
        rounds: Option<usize>,
        is_short: bool,
    ) -> Contest {
        let peers = peers.iter().copied().filter(|peer| (load.can)(peer));
        Contest {
            load,
            peers: peers.collect(),
            rounds: rounds_of(load.rounds, rounds, is_short),
        }
    }

    /// The order of one round. It begins with another peer in each, and goes the other way in every
    /// second one, so that none always comes first, or after the same one: that may leave the caches
    /// or the processor's clock in a state of its own.
    pub fn turns(&self, round: usize) -> Vec<&'static Peer> {
        let mut order = self.peers.clone();
        order.rotate_left(round % self.peers.len().max(1));
        if round % 2 == 1 {
            order.reverse();
        }
        order
    }
}

/// More rounds than a load is worth are never run of those that are worth few: they are slow, or
/// the same each time.
fn rounds_of(worth: usize, typed: Option<usize>, is_short: bool) -> usize {
    let most = if worth < USUAL_ROUNDS {
        worth
    } else {
        usize::MAX
    };
    match typed {
        Some(typed) => typed.min(most),
        None if is_short => 1,
        None => worth,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::PEERS;

    #[test]
    fn who_comes_before_whom_changes() {
        let load = crate::loads::all().next().unwrap();
        let contest = Contest {
            load,
            peers: PEERS[..3].to_vec(),
            rounds: 2,
        };
        let order = |round| contest.turns(round).into_iter().map(|peer| peer.name);
        assert!(order(0).eq(["floor", "ekio", PEERS[2].name]));
        assert!(order(1).eq(["floor", PEERS[2].name, "ekio"]));
        assert!(order(2).eq([PEERS[2].name, "floor", "ekio"]));
    }

    #[test]
    fn rounds_are_those_typed_where_they_are_worth_it() {
        assert_eq!(rounds_of(7, None, false), 7);
        assert_eq!(rounds_of(7, None, true), 1);
        assert_eq!(rounds_of(7, Some(21), false), 21);
        assert_eq!(rounds_of(7, Some(3), true), 3);
        assert_eq!(rounds_of(1, Some(21), false), 1);
    }
}
