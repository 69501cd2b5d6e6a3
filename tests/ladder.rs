//! Each rung of the ladder of examples ends by saying what it has seen. The first ones are the same
//! server.

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

#[test]
fn rung_07_fibers() {
    if cfg!(not(has_fibers)) {
        support::skipped("corosensei cannot switch stacks on this processor and system");
        return;
    }
    climb("07_fibers");
}

fn climb_to(rung: &str, expected: &str) {
    let arguments: [&str; 0] = [];
    let rung = example::run(rung, &arguments);
    assert_eq!(rung.code, Some(0), "{rung:?}");
    assert!(rung.last_line().starts_with(expected), "{rung:?}");
    // A line for each job, and some lines for some workers.
    assert!(rung.out.lines().count() > 7, "it shows its work: {rung:?}");
    println!("{}", rung.last_line());
}

#[test]
fn rung_05_tasks() {
    let expected = "15 jobs of 3 clients on one thread: 9 done, 3 panicked, 3 aborted, by ";
    climb_to("05_tasks", expected);
}

#[test]
fn rung_06_many_threads() {
    let expected = "60 pieces of work on 3 workers; 120 echoes while one was stuck, by ";
    climb_to("06_many_threads", expected);
}

#[test]
fn rung_08_child_and_signals() {
    let arguments: [&str; 0] = [];
    let rung = example::run("08_child_and_signals", &arguments);
    assert_eq!(rung.code, Some(0), "{rung:?}");
    let interruptions = if cfg!(unix) { 1 } else { 0 };
    let expected = format!(
        "3 children have answered 12 questions, 1 was killed, Ctrl-C came {interruptions} times"
    );
    assert_eq!(rung.last_line(), expected, "{rung:?}");
    // Twelve answers, and the ends of four children.
    assert!(rung.out.lines().count() > 16, "it shows its work: {rung:?}");
    println!("{}", rung.last_line());
}
