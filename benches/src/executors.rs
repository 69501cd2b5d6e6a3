//! What a task costs: to start and join one, and to let it give way once.

use std::future::Future;
use std::time::Instant;

use async_executor::LocalExecutor;

use crate::{Contender, compare};

const SPAWNS: u32 = 1_000_000;
const YIELDS: u32 = 10_000_000;

/// tokio has two homes for a task that stays on its thread; the better of the two counts.
pub fn spawn_join() {
    let contenders = [
        Contender {
            name: "ekio spawn_local",
            run: || {
                ekio::block_on(per_operation(SPAWNS, async {
                    for number in 0..SPAWNS {
                        let answer = ekio::spawn_local(async move { number }).await;
                        assert_eq!(answer.unwrap(), number);
                    }
                }))
            },
        },
        Contender {
            name: "tokio current_thread, spawn",
            run: || {
                tokio_runtime().block_on(per_operation(SPAWNS, async {
                    for number in 0..SPAWNS {
                        let answer = tokio::spawn(async move { number }).await;
                        assert_eq!(answer.unwrap(), number);
                    }
                }))
            },
        },
        Contender {
            name: "tokio current_thread, LocalSet",
            run: || {
                let set = tokio::task::LocalSet::new();
                set.block_on(
                    &tokio_runtime(),
                    per_operation(SPAWNS, async {
                        for number in 0..SPAWNS {
                            let answer = tokio::task::spawn_local(async move { number }).await;
                            assert_eq!(answer.unwrap(), number);
                        }
                    }),
                )
            },
        },
        Contender {
            name: "async-executor LocalExecutor",
            run: || {
                let executor = LocalExecutor::new();
                let work = per_operation(SPAWNS, async {
                    for number in 0..SPAWNS {
                        let answer = executor.spawn(async move { number }).await;
                        assert_eq!(answer, number);
                    }
                });
                futures_lite::future::block_on(executor.run(work))
            },
        },
    ];
    compare("spawn and join one task", &contenders);
}

/// One task that gives way again and again, joined by the root.
pub fn yield_now() {
    let contenders = [
        Contender {
            name: "ekio yield_now",
            run: || {
                ekio::block_on(async {
                    let task = ekio::spawn_local(per_operation(YIELDS, async {
                        for _ in 0..YIELDS {
                            ekio::task::yield_now().await;
                        }
                    }));
                    task.await.unwrap()
                })
            },
        },
        Contender {
            name: "tokio current_thread, spawn",
            run: || {
                tokio_runtime().block_on(async {
                    let task = tokio::spawn(per_operation(YIELDS, async {
                        for _ in 0..YIELDS {
                            tokio::task::yield_now().await;
                        }
                    }));
                    task.await.unwrap()
                })
            },
        },
        Contender {
            name: "tokio current_thread, LocalSet",
            run: || {
                let set = tokio::task::LocalSet::new();
                set.block_on(&tokio_runtime(), async {
                    let task = tokio::task::spawn_local(per_operation(YIELDS, async {
                        for _ in 0..YIELDS {
                            tokio::task::yield_now().await;
                        }
                    }));
                    task.await.unwrap()
                })
            },
        },
        Contender {
            name: "async-executor LocalExecutor",
            run: || {
                let executor = LocalExecutor::new();
                let task = executor.spawn(per_operation(YIELDS, async {
                    for _ in 0..YIELDS {
                        futures_lite::future::yield_now().await;
                    }
                }));
                futures_lite::future::block_on(executor.run(task))
            },
        },
    ];
    compare("yield_now", &contenders);
}

/// Without its timer and I/O drivers, because with them it turns the event queue whenever a lone task
/// gives way, which takes several times as long.
fn tokio_runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("tokio starts")
}

/// Nanoseconds that one of `count` operations takes.
async fn per_operation(count: u32, work: impl Future<Output = ()>) -> f64 {
    let start = Instant::now();
    work.await;
    start.elapsed().as_nanos() as f64 / f64::from(count)
}
