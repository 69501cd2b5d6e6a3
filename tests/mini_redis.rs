//! The example `mini_redis`: what its parts do, and what it does as a whole, on one thread and on
//! many. (`.ci/run redis` has redis-cli and redis-benchmark talk to it.)

#[path = "support/mod.rs"]
mod support;

#[path = "../examples/mini_redis/commands.rs"]
mod commands;
#[path = "mini_redis/parts.rs"]
mod parts;
#[path = "mini_redis/program.rs"]
mod program;
#[path = "../examples/mini_redis/resp.rs"]
mod resp;
#[path = "../examples/mini_redis/store.rs"]
mod store;
