//! Each rung of the ladder of examples is the same server, and ends by saying so.

#[path = "support/mod.rs"]
mod support;

use support::example;

fn climb(rung: &str) {
    let arguments: [&str; 0] = [];
    let rung = example::run(rung, &arguments);
    assert_eq!(rung.code, Some(0), "{rung:?}");
    // Three clients, four messages each, of 22 bytes.
    let expected = "echoed 264 bytes to 3 clients on one thread";
    assert!(rung.last_line().starts_with(expected), "{rung:?}");
    assert!(rung.out.lines().count() > 3, "it shows its work: {rung:?}");
    println!("{}", rung.last_line());
}

#[test]
fn rung_01_queue_by_hand() {
    climb("01_queue_by_hand");
}

#[test]
fn rung_02_callbacks() {
    climb("02_callbacks");
}

#[test]
fn rung_03_hand_written_future() {
    climb("03_hand_written_future");
}

#[test]
fn rung_04_block_on() {
    climb("04_block_on");
}
