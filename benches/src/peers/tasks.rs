//! What the tasks of the loads for executors do, which is the same in every runtime.

use std::hint::black_box;
use std::pin::Pin;
use std::thread;

use async_channel::{Receiver, Sender, bounded};

use crate::meter::Meter;

pub use futures_lite::future::yield_now;

/// Tasks that are started before the first of them is joined, as servers and searches do; a runtime
/// that turns its event queue after every few tasks would show little else if they came one by one.
const BATCH: u32 = 1000;

/// Starts `count` tasks and joins them; `start` answers a handle.
pub async fn start_and_join<H: Future>(count: u32, start: impl Fn(u32) -> H) {
    let mut handles = Vec::with_capacity(BATCH as usize);
    for _ in 0..count / BATCH {
        handles.extend((0..BATCH).map(&start));
        for handle in handles.drain(..) {
            black_box(handle.await);
        }
    }
}

/// Gives way so often, by a runtime's own function, or by the one of futures_lite if it is the quicker:
/// tokio's looks for events each time, which nobody waits for here.
pub async fn give_way<F: Future>(times: u32, yield_now: impl Fn() -> F) {
    for _ in 0..times {
        yield_now().await;
    }
}

/// Starts so many tasks and joins them.
pub async fn start_all<H: Future>(tasks: u32, start: impl Fn() -> H) {
    let handles: Vec<H> = (0..tasks).map(|_| start()).collect();
    for handle in handles {
        black_box(handle.await);
    }
}

pub type BoxedTask = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One sends `count` numbers and waits for each to come back; the other sends them back.
pub fn ping_pong(
    count: u32,
) -> (
    impl Future<Output = ()> + Send,
    impl Future<Output = ()> + Send,
) {
    let (there, arrived) = bounded(1);
    let (back, returned) = bounded(1);
    (ping(count, there, returned), pong(arrived, back))
}

async fn ping(count: u32, there: Sender<u32>, returned: Receiver<u32>) {
    for number in 0..count {
        there.send(number).await.expect("the other side lives");
        assert_eq!(returned.recv().await, Ok(number));
    }
}

async fn pong(arrived: Receiver<u32>, back: Sender<u32>) {
    while let Ok(number) = arrived.recv().await {
        back.send(number).await.expect("the other side lives");
    }
}

/// Each on a thread of its own, by the runtime's `block_on`.
pub fn on_two_threads(count: u32, meter: &mut Meter, block_on: fn(BoxedTask)) {
    let (ping, pong) = ping_pong(count);
    thread::scope(|scope| {
        scope.spawn(move || block_on(Box::pin(pong)));
        meter.start();
        block_on(Box::pin(ping));
        meter.stop();
    });
}
