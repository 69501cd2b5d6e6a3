//! What is made under a virtual clock and outlives it. These reactors are the first ones of their threads
//! and of the process, so this test has a process to itself.

#[path = "support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use ekio::time::sleep;
use ekio::{Runtime, block_on, spawn_blocking};
use support::watchdog::Watchdog;

const HOUR: Duration = Duration::from_secs(3_600);

/// A call on the pool may be the first to need its thread's reactor, or the one of all threads that
/// drive none. Both go by real time, then and later.
#[test]
fn reactors_made_in_a_call_are_of_real_time() {
    let _watchdog = Watchdog::start();
    let short = Duration::from_millis(1);
    let runtime = Runtime::builder().virtual_time(1).build().unwrap();
    runtime.block_on(async {
        sleep(HOUR).await;
        let call = spawn_blocking(move || {
            block_on(sleep(short));
            futures_lite::future::block_on(sleep(short));
        });
        call.await.unwrap();
    });
    drop(runtime);
    let start = Instant::now();
    // On the same thread.
    let call = spawn_blocking(move || block_on(sleep(short)));
    block_on(call).unwrap();
    futures_lite::future::block_on(sleep(short));
    assert!(start.elapsed() >= 2 * short);
}
