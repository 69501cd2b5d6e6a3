//! The alarm, by the system's packets where there are such, and everywhere by ones of our own.

use std::time::{Duration, Instant};

use windows_sys::Win32::System::Threading::INFINITE;

use super::*;
use crate::poller::iocp::Iocp;
use crate::poller::iocp::packet::stand_in;
use crate::poller::{Event, Events, Key, Poller, Readiness};

/// The story of an alarm in a poller.
fn live(alarm: Alarm, rings: impl Fn() -> bool) {
    let poller = Iocp::new().unwrap();
    poller.replace_alarm(Some(alarm));
    let mut events = Events::with_capacity(4);
    let mut wait = |timeout| {
        let start = Instant::now();
        poller.wait(&mut events, Some(timeout)).unwrap();
        assert!(start.elapsed() >= timeout, "{timeout:?}");
        events.len()
    };
    for micros in [1, 100, 700, 1_500, 3_000, 20_000, 70_000] {
        assert_eq!(wait(Duration::from_micros(micros)), 0);
    }
    assert!(rings(), "the alarm was used");
    // One that is cut short, and the next one, for which it is set anew.
    for _ in 0..20 {
        poller
            .post(Event::new(Key(5), Readiness::READABLE))
            .unwrap();
        poller
            .wait(&mut events, Some(Duration::from_millis(30)))
            .unwrap();
        assert_eq!(events.len(), 1);
        poller
            .wait(&mut events, Some(Duration::from_micros(300)))
            .unwrap();
        assert!(events.is_empty());
        // And one that rings for nobody.
        poller.notify().unwrap();
        poller
            .wait(&mut events, Some(Duration::from_micros(100)))
            .unwrap();
    }
    poller.notify().unwrap();
    poller.wait(&mut events, None).unwrap();
    let mut alarm = poller.replace_alarm(None).unwrap();
    assert!(alarm.unset() && !alarm.is_set);
}

#[test]
fn the_alarm_by_the_systems_packets() {
    match Alarm::new(Calls::of_system()) {
        Some(alarm) => live(alarm, || true),
        None => println!("skipped: this system has no wait completion packets, or no such timer"),
    }
}

/// What is ours of it, under Wine too.
#[test]
fn the_alarm_by_packets_of_our_own() {
    let Some(alarm) = Alarm::new(Some(&stand_in::CALLS)) else {
        println!("skipped: this system has no timer of high resolution");
        return;
    };
    let before = stand_in::rings(origin::ALARM);
    live(alarm, || stand_in::rings(origin::ALARM) > before);
}

#[test]
fn an_alarm_that_cannot_be_set_is_none() {
    assert!(Alarm::new(None).is_none());
    assert!(Alarm::new(Some(&stand_in::NO_CREATE)).is_none());

    let Some(mut alarm) = Alarm::new(Some(&stand_in::NO_CANCEL)) else {
        println!("skipped: this system has no timer of high resolution");
        return;
    };
    let port = Port::new().unwrap();
    assert!(alarm.set(&port, 10_000_000_000));
    assert!(!alarm.set(&port, 1), "the first one is on its way");
    alarm.packet.replace_calls(&stand_in::CALLS);
    assert!(alarm.set(&port, 1));
    let mut room = [Default::default()];
    assert_eq!(port.take(&mut room, INFINITE).unwrap().len(), 1);
    assert_eq!(room[0].lpCompletionKey, origin::ALARM);
    alarm.rang();
    // A poller without an alarm, or with one that fails, is as punctual as the port.
    let poller = Iocp::new().unwrap();
    let mut events = Events::with_capacity(4);
    for alarm in [None, Some(alarm)] {
        poller.replace_alarm(alarm);
        let start = Instant::now();
        let timeout = Duration::from_micros(100);
        poller.wait(&mut events, Some(timeout)).unwrap();
        assert!(start.elapsed() >= timeout);
    }
    assert!(poller.replace_alarm(None).unwrap().unset());
}
