//! The example `http_get`: its parts, its leaf future on different executors, and the whole program
//! against servers good and bad.

// The example's parts, with their own tests. (Cargo does not run the tests of examples.)
#[allow(dead_code)]
#[path = "../examples/http_get/answer.rs"]
mod answer;
#[allow(dead_code)]
#[path = "../examples/http_get/args.rs"]
mod args;
#[allow(dead_code)]
#[path = "../examples/http_get/delay_server.rs"]
mod delay_server;
#[allow(dead_code)]
#[path = "../examples/http_get/http_get_future.rs"]
mod http_get_future;
#[allow(dead_code)]
#[path = "../examples/http_get/url.rs"]
mod url;

#[path = "http_get/future.rs"]
mod future;
#[path = "http_get/program.rs"]
mod program;
#[path = "http_get/server.rs"]
mod server;
#[path = "support/mod.rs"]
mod support;
