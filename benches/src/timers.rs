//! How late a short sleep ends.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::{Contender, compare, median};

const SLEEPS: usize = 1_000;
const NAP: Duration = Duration::from_micros(100);

/// The figures are medians of what a sleep took beyond the 100 µs.
pub fn timer() {
    let contenders = [
        Contender {
            name: "ekio time::sleep",
            run: || ekio::block_on(lateness(ekio::time::sleep)),
        },
        Contender {
            name: "tokio time::sleep",
            run: || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build();
                runtime
                    .expect("tokio starts")
                    .block_on(lateness(tokio::time::sleep))
            },
        },
    ];
    compare("lateness of sleep(100 us), median of 1,000", &contenders);
}

async fn lateness<F: Future>(sleep: impl Fn(Duration) -> F) -> f64 {
    let mut figures = Vec::with_capacity(SLEEPS);
    for _ in 0..SLEEPS {
        let start = Instant::now();
        sleep(NAP).await;
        figures.push((start.elapsed() - NAP).as_nanos() as f64);
    }
    median(&mut figures)
}
