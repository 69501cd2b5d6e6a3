//! Running futures in tests, and wakers that tell.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use super::watchdog::Watchdog;

/// Lives a story in each place where a future may be polled: on ekio's own executor, and on a foreign
/// one, where the background thread drives the reactor.
pub fn everywhere<F: Future<Output = ()>>(story: impl Fn() -> F) {
    let watchdog = Watchdog::start();
    ekio::block_on(story());
    drop(watchdog);
    let watchdog = Watchdog::start();
    futures_lite::future::block_on(story());
    drop(watchdog);
}

/// Waits for all of them at the same time.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures
        .into_iter()
        .map(|future| (Some(Box::pin(future)), None))
        .collect();
    poll_fn(|cx| {
        let mut is_done = true;
        for (future, output) in &mut pending {
            let Some(running) = future else { continue };
            match running.as_mut().poll(cx) {
                Poll::Ready(done) => (*future, *output) = (None, Some(done)),
                Poll::Pending => is_done = false,
            }
        }
        if is_done {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    pending
        .into_iter()
        .map(|(_, output)| output.expect("all are done"))
        .collect()
}

/// Polls once.
pub async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

/// Polls a future until it waits, and drops it. It must wait.
pub async fn cancel<F: Future>(future: F) {
    let polled = poll_once(pin!(future)).await;
    assert!(polled.is_pending(), "it was to be cancelled while it waits");
}

/// Makes futures until one waits, and answers that one.
///
/// Where another thread turns the reactor, the event of what has been received already may come late,
/// and make a future ready for nothing. So `make` has to find out that there is nothing, each time.
pub async fn until_one_waits<F: Future>(mut make: impl FnMut() -> F) -> Pin<Box<F>> {
    loop {
        let mut future = Box::pin(make());
        if poll_once(future.as_mut()).await.is_pending() {
            return future;
        }
    }
}

/// A waker that counts, and lets a thread wait for its wakes.
#[derive(Default)]
pub struct Counter {
    wakes: AtomicUsize,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Counter {
    pub fn new() -> (Arc<Counter>, Waker) {
        let counter = Arc::new(Counter::default());
        (Arc::clone(&counter), Waker::from(counter))
    }

    pub fn count(&self) -> usize {
        self.wakes.load(Ordering::SeqCst)
    }

    /// Sleeps until there were so many.
    pub fn wait_for(&self, wakes: usize) {
        let _watchdog = Watchdog::start();
        let mut guard = self.lock.lock().unwrap();
        while self.count() < wakes {
            guard = self.changed.wait(guard).unwrap();
        }
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        drop(self.lock.lock().unwrap());
        self.changed.notify_all();
    }
}

/// Polls a future with this waker.
pub fn poll_with<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}
