//! The example of channels and locks does what it says.

#[path = "support/mod.rs"]
mod support;

use support::example;

#[test]
fn every_question_is_answered_once() {
    let arguments: [&str; 0] = [];
    let run = example::run("channels_and_locks", &arguments);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.last_line(), "the squares of 1 to 20 are 2870 in all");
    assert_eq!(run.out.lines().count(), 21, "{run:?}");
}
