#[path = "../examples/http_get/answer.rs"]
mod answer;
#[path = "../examples/http_get/args.rs"]
mod args;
#[path = "../examples/http_get/url.rs"]
mod url;
