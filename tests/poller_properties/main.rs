//! Random sequences of operations on every poller, judged by the oracle.
//!
//! `support::oracle` says what a poller owes and what it may say, `driver` does to the oracle and to
//! a real poller the same, and `mutants` shows that the oracle has teeth: pollers that are broken on
//! purpose are caught.

/// Holds one poller to the oracle.
macro_rules! properties {
    ($poller:ty) => {
        #[test]
        fn level_keeps_the_contract() {
            crate::keeps_the_contract::<$poller>(&[Trigger::Level]);
        }

        #[test]
        fn edge_keeps_the_contract() {
            crate::keeps_the_contract::<$poller>(&[Trigger::Edge]);
        }

        #[test]
        fn oneshot_keeps_the_contract() {
            crate::keeps_the_contract::<$poller>(&[Trigger::OneShot]);
        }

        #[test]
        fn all_triggers_keep_the_contract() {
            crate::keeps_the_contract::<$poller>(&crate::ALL_TRIGGERS);
        }

        #[test]
        fn mutants_are_caught() {
            crate::mutants::are_caught::<$poller>();
        }
    };
}

mod driver;
mod mutants;
#[path = "../support/mod.rs"]
mod support;

#[cfg(has_epoll)]
mod epoll;
#[cfg(has_iocp)]
mod iocp;
#[cfg(has_kqueue)]
mod kqueue;
#[cfg(has_poll)]
mod poll;

use ekio::poller::{Poller, Trigger};
use proptest::test_runner::{Config, TestCaseError, TestRunner};

const ALL_TRIGGERS: [Trigger; 3] = [Trigger::Level, Trigger::Edge, Trigger::OneShot];

fn keeps_the_contract<P: Poller>(triggers: &'static [Trigger]) {
    let config = Config {
        cases: u32::try_from(support::repeat(10_000)).unwrap(),
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&driver::scripts(triggers), |script| {
        driver::play::<P>(&script, support::HANG)
            .map_err(|breach| TestCaseError::fail(breach.to_string()))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
