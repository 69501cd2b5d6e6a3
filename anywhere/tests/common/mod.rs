//! What the tests of this package have in common.
#![allow(dead_code)]

use std::future::Future;
use std::pin::Pin;
use std::thread;
use std::time::Duration;

#[path = "../../../tests/support/watchdog.rs"]
pub mod watchdog;

/// What a test that hangs is given.
pub const HANG: Duration = Duration::from_secs(30);

pub type Story = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A way to run a future.
type Host = fn(Story);

pub const HOSTS: [(&str, Host); 9] = [
    ("tokio, one thread", |story| {
        let runtime = tokio::runtime::Builder::new_current_thread();
        { runtime }.build().unwrap().block_on(story);
    }),
    ("tokio, a task of one thread", |story| {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let task = async { tokio::spawn(story).await.unwrap() };
        { runtime }.build().unwrap().block_on(task);
    }),
    ("tokio, a task of many threads", |story| {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).build().unwrap();
        runtime.block_on(async { tokio::spawn(story).await.unwrap() });
    }),
    ("smol", |story| smol::block_on(story)),
    ("smol, a task", |story| smol::block_on(smol::spawn(story))),
    ("futures", |story| futures::executor::block_on(story)),
    ("futures, a pool", |story| {
        use futures::task::SpawnExt as _;
        let pool = futures::executor::ThreadPool::builder()
            .pool_size(2)
            .create()
            .unwrap();
        let task = pool.spawn_with_handle(story).unwrap();
        futures::executor::block_on(task);
    }),
    ("pollster", |story| pollster::block_on(story)),
    // For comparison, and to be one of those between which things move.
    ("ekio, a task of many workers", |story| {
        let runtime = ekio::Runtime::builder().workers(2).build().unwrap();
        runtime.block_on(async { ekio::spawn(story).await.unwrap() });
    }),
];

/// Lives a story with each host.
pub fn anywhere<F: Future<Output = ()> + Send + 'static>(story: impl Fn() -> F) {
    for (name, host) in HOSTS {
        let test = thread::current().name().unwrap_or_default().to_owned();
        let _watchdog = watchdog::Watchdog::start_for(&format!("{test}, with {name},"));
        host(Box::pin(story()));
    }
}
