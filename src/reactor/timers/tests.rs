//! The wheel against an ordered map, under virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Wake;

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 86_400 * SECOND;

/// Counts how often it was woken.
#[derive(Default)]
struct Counter(AtomicU64);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counter {
    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Something that puts its number into a list when it is woken.
struct Logger {
    id: usize,
    log: Arc<std::sync::Mutex<Vec<usize>>>,
}

impl Wake for Logger {
    fn wake(self: Arc<Self>) {
        self.log.lock().unwrap().push(self.id);
    }
}

/// Timers beside a model of them: a map from deadline and number (they grow, so that timers for the
/// same time are in the order in which they came) to nothing.
struct Bench {
    timers: Timers,
    model: BTreeMap<(u64, usize), ()>,
    nodes: Vec<Pin<Box<Node>>>,
    log: Arc<std::sync::Mutex<Vec<usize>>>,
    now: u64,
    /// A timer was cancelled, so that `earliest` may be too early.
    is_blurred: bool,
    expirations: usize,
}

impl Bench {
    fn new(now: u64) -> Bench {
        Bench {
            timers: Timers::new(0),
            model: BTreeMap::new(),
            nodes: Vec::new(),
            log: Arc::default(),
            now,
            is_blurred: false,
            expirations: 0,
        }
    }

    fn insert(&mut self, deadline: u64) -> usize {
        let id = self.nodes.len();
        let log = Arc::clone(&self.log);
        self.nodes.push(Box::pin(Node::new(deadline)));
        // SAFETY: the node is new, knows no other Timers, and `Drop` removes it.
        unsafe {
            self.timers
                .insert(self.nodes[id].as_ref(), Arc::new(Logger { id, log }).into())
        };
        // What is overdue already comes after what has fired, in the order of insertion.
        self.model.insert((deadline, id), ());
        self.check();
        id
    }

    fn cancel(&mut self, id: usize) {
        let node = self.nodes[id].as_ref();
        let was_linked = matches!(node.state.get(), State::Linked(_));
        let was_there = self.model.remove(&(node.deadline.get(), id)).is_some();
        assert_eq!(was_there, was_linked);
        // SAFETY: these are its Timers.
        let waker = unsafe { self.timers.remove(node) };
        assert_eq!(waker.is_some(), was_there);
        self.is_blurred |= was_there;
        self.check();
    }

    fn reset(&mut self, id: usize, deadline: u64) {
        let node = self.nodes[id].as_ref();
        let was_there = self.model.remove(&(node.deadline.get(), id)).is_some();
        // SAFETY: these are its Timers.
        unsafe { self.timers.reset(node, deadline) };
        if was_there {
            // (Among equals the number decides in the model, and the order of insertion in the
            // wheel; `advance` compares deadlines alone.)
            self.model.insert((deadline, id), ());
            self.is_blurred = true;
        }
        self.check();
    }

    /// Lets time pass, and compares who fires with the model.
    fn advance(&mut self, to: u64) {
        self.now = self.now.max(to);
        loop {
            let mut batch = WakerBatch::new();
            let more = self.timers.expire(self.now, &mut batch);
            self.expirations += 1;
            self.check();
            batch.wake_all();
            if !more {
                break;
            }
        }
        let later = match self.now {
            NEVER => BTreeMap::new(),
            now => self.model.split_off(&(now + 1, 0)),
        };
        let due: Vec<_> = std::mem::replace(&mut self.model, later)
            .into_keys()
            .collect();
        let fired: Vec<_> = self.log.lock().unwrap().drain(..).collect();
        let deadlines = |ids: &[usize]| -> Vec<u64> {
            let nodes = ids.iter().map(|id| &self.nodes[*id]);
            nodes.map(|node| node.deadline.get()).collect()
        };
        let due_ids: Vec<_> = due.iter().map(|(_, id)| *id).collect();
        assert_eq!(deadlines(&fired), deadlines(&due_ids), "in order");
        let (mut all_fired, mut all_due) = (fired.clone(), due_ids);
        all_fired.sort_unstable();
        all_due.sort_unstable();
        assert_eq!(all_fired, all_due, "each exactly once");
        assert!(
            fired
                .iter()
                .all(|id| self.nodes[*id].state.get() == State::Fired)
        );
    }

    /// Goes as a thread goes that sleeps until `next_deadline`, and answers how often it woke up.
    fn drive(&mut self, to: u64) -> usize {
        let mut wake_ups = 0;
        while self.timers.next_deadline() <= to {
            self.advance(self.timers.next_deadline());
            wake_ups += 1;
        }
        self.advance(to);
        wake_ups
    }

    /// The invariants of the module's essay.
    fn check(&self) {
        // Miri takes its time.
        if cfg!(miri) && self.nodes.len() % 64 != 1 {
            return;
        }
        let timers = &self.timers;
        let mut linked = 0;
        for (index, level) in timers.levels.iter().enumerate() {
            let is_occupied = timers.occupied_levels & 1 << index != 0;
            assert_eq!(is_occupied, level.occupied != 0, "level {index}");
            if cfg!(miri) && !is_occupied {
                continue;
            }
            for (number, slot) in level.slots.iter().enumerate() {
                let deadlines = slot.list.deadlines();
                let is_occupied = level.occupied & 1 << number != 0;
                assert_eq!(is_occupied, !deadlines.is_empty(), "{index}, {number}");
                let place = Place {
                    level: index as u8,
                    slot: number as u8,
                };
                let is_spreading = timers.spreading == Some(place);
                assert!(!is_spreading || is_occupied && index > 0);
                for deadline in &deadlines {
                    let time = *deadline.max(&timers.elapsed);
                    assert_eq!(timers.place_of(time) != place, is_spreading);
                    assert!(slot.earliest <= time);
                }
                if !self.is_blurred && !deadlines.is_empty() && !is_spreading {
                    let earliest = deadlines.iter().min().unwrap().max(&timers.elapsed);
                    assert_eq!(slot.earliest, *earliest);
                }
                linked += deadlines.len();
            }
        }
        let is_linked = |node: &&Pin<Box<Node>>| matches!(node.state.get(), State::Linked(_));
        assert_eq!(linked, self.nodes.iter().filter(is_linked).count());
        assert_eq!(timers.is_empty(), linked == 0);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for node in &self.nodes {
            // SAFETY: these are its Timers.
            unsafe { self.timers.remove(node.as_ref()) };
        }
        assert!(std::thread::panicking() || self.timers.is_empty());
    }
}

#[test]
fn nothing_is_due_in_an_empty_wheel() {
    let mut timers = Timers::new(0);
    let mut batch = WakerBatch::new();
    assert_eq!(timers.next_deadline(), NEVER);
    assert!(!timers.expire(NEVER - 1, &mut batch));
    assert!(!timers.wake_all_into(&mut batch));
    assert!(batch.is_empty());
}

#[test]
fn one_nanosecond_is_the_difference() {
    let mut bench = Bench::new(0);
    bench.insert(1_000_000);
    bench.advance(999_999);
    assert_eq!(bench.timers.next_deadline(), 1_000_000);
    bench.advance(1_000_000);
    assert_eq!(bench.timers.next_deadline(), NEVER);
}

/// Row a21 of the pitfalls.
#[test]
fn a21_clock_jump() {
    let hours = 3600 * SECOND;
    let mut bench = Bench::new(0);
    // More than a batch holds, spread over many levels, not in order.
    let (many, more) = if cfg!(miri) { (50, 10) } else { (200, 100) };
    let deadlines: Vec<u64> = (1..many).map(|n| n * n * n % 211 * 131 * SECOND).collect();
    for deadline in &deadlines {
        bench.insert(*deadline);
    }
    for n in 0..more {
        bench.insert(hours + n % 7); // Side by side, and several at once.
    }
    bench.insert(9 * hours);
    assert_eq!(
        bench.timers.next_deadline(),
        *deadlines.iter().min().unwrap()
    );
    bench.advance(8 * hours);
    assert_eq!(bench.timers.next_deadline(), 9 * hours);
    bench.advance(9 * hours);
}

/// Row a22 of the pitfalls: months at a stride, and every boundary of every level.
#[test]
fn a22_uptime_wrap() {
    for stride in [20 * DAY, 50 * DAY, 600 * DAY] {
        let mut bench = Bench::new(0);
        for step in 1..if cfg!(miri) { 4 } else { 40 } {
            let now = bench.now;
            for ahead in [1, SECOND, DAY, 19 * DAY, 100 * DAY, 5_000 * DAY] {
                bench.insert(now + ahead);
            }
            bench.advance(step * stride);
        }
    }
    for level in (0..LEVELS as u32).step_by(if cfg!(miri) { 7 } else { 1 }) {
        let boundary = 1_u64 << (level * DIGIT_BITS);
        for turn in [
            boundary,
            boundary * 3,
            boundary.wrapping_mul(SLOTS as u64 - 1),
        ] {
            let starts = [turn - 1, turn, turn.saturating_add(1)];
            for start in starts.into_iter().take(if cfg!(miri) { 1 } else { 3 }) {
                let mut bench = Bench::new(start);
                bench.insert(start);
                bench.advance(start);
                for ahead in [0, 1, 2, 63, 64, 65, 4095, 4096, boundary, SECOND] {
                    bench.insert(start.saturating_add(ahead).min(NEVER - 1));
                    bench.insert(turn.saturating_add(ahead).clamp(start, NEVER - 1));
                }
                for _ in 0..30 {
                    let next = bench.timers.next_deadline();
                    if next == NEVER {
                        break;
                    }
                    bench.advance(next.saturating_sub(1));
                    bench.advance(next);
                }
                assert!(bench.model.is_empty());
            }
        }
    }
}

/// Time goes on to a timer only if it fires. The next one is alone in a slot of an upper level here, and
/// what comes before the next go lies in one below.
#[test]
fn a_full_batch_leaves_time_where_it_is() {
    for between in [5_500, 6_000, 6_500] {
        let mut bench = Bench::new(0);
        let mut batch = WakerBatch::new();
        while !batch.is_full() {
            bench.insert(100);
            batch.push(Waker::noop().clone());
        }
        let next = bench.insert(5_000);
        let mut batch = WakerBatch::new();
        while !batch.is_full() {
            assert!(bench.timers.expire(6_000, &mut batch));
        }
        batch.wake_all();
        bench.insert(between);
        assert_eq!(bench.timers.next_deadline(), 5_000);
        bench.advance(6_000);
        assert_eq!(bench.nodes[next].state.get(), State::Fired);
        bench.advance(7_000);
    }
}

#[test]
fn equals_fire_in_the_order_in_which_they_came() {
    let mut bench = Bench::new(0);
    let deadline = 5 * DAY;
    let mut ids = Vec::new();
    // From ever nearer, so that each would find the others at another level, if they were not at the
    // level of the newcomer already.
    for before in [4 * DAY, DAY, SECOND, 5_000, 70, 3] {
        bench.insert(deadline - before);
        for _ in 0..3 {
            ids.push(bench.insert(deadline));
        }
        bench.advance(deadline - before);
    }
    let mut batch = WakerBatch::new();
    while bench.timers.expire(deadline, &mut batch) {}
    batch.wake_all();
    assert_eq!(*bench.log.lock().unwrap(), ids);
}

#[test]
fn the_end_of_time() {
    let mut bench = Bench::new(0);
    bench.insert(NEVER);
    bench.insert(NEVER - 1);
    bench.insert(1);
    assert_eq!(bench.drive(NEVER - 1), 2, "one wake-up for each of two");
    assert_eq!(bench.timers.next_deadline(), NEVER);
}

#[test]
fn without_cancelling_no_wake_up_is_for_nothing() {
    let mut bench = Bench::new(0);
    let mut distance = 2;
    for n in 0..60 {
        bench.insert(distance);
        distance = distance * 3 / 2 + n;
    }
    let distinct = bench.model.len();
    assert_eq!(bench.drive(distance), distinct);
}

#[test]
fn a_cancelled_timer_costs_one_wake_up_at_most() {
    let mut bench = Bench::new(0);
    let first = bench.insert(20 * SECOND);
    for n in 1..100 {
        bench.insert(20 * SECOND + n * 10_000_000);
    }
    bench.cancel(first);
    assert!(bench.drive(30 * SECOND) <= 99 + 1);
}

#[test]
fn every_timer_starts_and_is_cancelled_without_a_wake_up() {
    let mut bench = Bench::new(0);
    for n in 0..100 {
        let id = bench.insert(n * 1_000 + 30 * SECOND);
        bench.cancel(id);
    }
    assert_eq!(bench.timers.next_deadline(), NEVER);
}

#[test]
fn a_batch_bounds_what_is_fired_at_once() {
    let mut bench = Bench::new(0);
    for n in 0..100 {
        bench.insert(n);
    }
    bench.advance(100);
    assert!(bench.expirations > 2);
}

/// Between the goes in which a slot is spread, timers come and leave, of this slot and of others.
#[test]
fn a_full_slot_is_spread_in_goes() {
    let mut bench = Bench::new(0);
    let slot = 1 << (4 * DIGIT_BITS);
    let count = if cfg!(miri) { 20 } else { 200 };
    // All in one slot, the last one first, each distance twice.
    for n in (0..count).rev() {
        bench.insert(5 * slot + n / 2 * 1_000);
    }
    let (mut goes, mut batch) = (0, WakerBatch::new());
    let now = 5 * slot;
    while bench.timers.expire(now, &mut batch) {
        goes += 1;
        bench.check();
        let was_spreading = bench.timers.spreading.is_some();
        assert!(batch.is_empty() || !was_spreading, "nothing fires before");
        if was_spreading {
            assert_eq!(bench.timers.next_deadline(), bench.timers.elapsed);
            // One that has moved or has not leaves, one moves on, and some come.
            bench.cancel(goes * 2);
            bench.reset(goes * 2 + 1, 5 * slot + 1);
            for deadline in [0, 5 * slot, 5 * slot + 1_500, 6 * slot, 600 * slot] {
                bench.insert(deadline);
            }
        }
        batch.wake_all();
    }
    assert!(goes > 5, "{goes}");
    batch.wake_all();
    // What is overdue fired in one go with what was due, as `advance` wants to see it.
    let fired = bench.log.lock().unwrap().len();
    assert_eq!(fired, bench.model.range(..(now + 1, 0)).count());
    bench.log.lock().unwrap().clear();
    bench.model = bench.model.split_off(&(now + 1, 0));
    bench.drive(700 * slot);
    assert!(bench.model.is_empty());
}

/// All timers of a slot that is being spread leave, or are let go of.
#[test]
fn a_slot_that_is_emptied_while_it_is_spread() {
    for lets_go in [false, true] {
        let mut bench = Bench::new(0);
        let ids: Vec<_> = (0..10).map(|n| bench.insert(70_000 + n)).collect();
        let mut batch = WakerBatch::new();
        assert!(bench.timers.expire(70_000, &mut batch));
        assert!(bench.timers.spreading.is_some() && batch.is_empty());
        if lets_go {
            bench.timers.wake_all_into(&mut batch);
        } else {
            ids.into_iter().for_each(|id| bench.cancel(id));
        }
        bench.check();
        assert_eq!(bench.timers.next_deadline(), NEVER);
        assert!(!bench.timers.expire(80_000, &mut batch));
        batch.wake_all();
    }
}

#[test]
fn a_reactor_that_lets_go_wakes_all_of_them() {
    let mut timers = Timers::new(0);
    let counter = Arc::new(Counter::default());
    let nodes: Vec<_> = (0..100)
        .map(|n| Box::pin(Node::new(n * SECOND + 1)))
        .collect();
    for node in &nodes {
        // SAFETY: the node is new, knows no other Timers, and is removed below.
        unsafe { timers.insert(node.as_ref(), Arc::clone(&counter).into()) };
    }
    let mut batch = WakerBatch::new();
    while timers.wake_all_into(&mut batch) {
        batch.wake_all();
    }
    batch.wake_all();
    assert_eq!(counter.count(), 100);
    assert!(timers.is_empty());
    assert!(nodes.iter().all(|node| node.state.get() == State::Idle));
    assert_eq!(Arc::strong_count(&counter), 1);
    for node in &nodes {
        // SAFETY: these are its Timers.
        assert!(unsafe { timers.remove(node.as_ref()) }.is_none());
    }
}

#[test]
fn only_an_earlier_timer_ends_a_sleep_and_only_once() {
    let mut timers = Timers::new(0);
    let now = clock::now();
    let mut nodes = Vec::new();
    let mut insert = |timers: &mut Timers, deadline| {
        nodes.push(Box::pin(Node::new(deadline)));
        let node = nodes.last().unwrap().as_ref();
        // SAFETY: the node is new, knows no other Timers, and never leaves its box; the test's
        // Timers end before it does, and are not used then.
        unsafe { timers.insert(node, Waker::noop().clone()) }
    };
    assert!(!insert(&mut timers, now + 500 * SECOND), "nobody sleeps");
    let timeout = timers
        .begin_sleep(Some(Duration::from_secs(1_000)), Rise::WithItsCrowd)
        .unwrap();
    assert!(timeout > Duration::from_secs(400) && timeout <= Duration::from_secs(500));
    assert!(!insert(&mut timers, now + 600 * SECOND), "later");
    assert!(insert(&mut timers, now + 400 * SECOND), "earlier");
    assert!(!insert(&mut timers, now + 300 * SECOND), "told already");
    timers.end_sleep();
    let timeout = timers
        .begin_sleep(Some(Duration::from_secs(200)), Rise::WithItsCrowd)
        .unwrap();
    assert!(timeout <= Duration::from_secs(200));
    assert!(!insert(&mut timers, now + 250 * SECOND), "after the limit");
    assert!(insert(&mut timers, 0), "overdue");
    timers.end_sleep();
    assert_eq!(
        timers.begin_sleep(None, Rise::WithItsCrowd),
        Some(Duration::ZERO)
    );
    timers.end_sleep();
    let mut batch = WakerBatch::new();
    timers.wake_all_into(&mut batch);
    assert_eq!(timers.begin_sleep(None, Rise::WithItsCrowd), None);
    assert!(insert(&mut timers, NEVER - 1), "earlier than for ever");
    timers.end_sleep();
    timers.wake_all_into(&mut batch);
    assert_eq!(
        timers.begin_sleep(Some(Duration::MAX), Rise::WithItsCrowd),
        None
    );
}

/// A step of the comparison with the model.
#[derive(Clone, Debug)]
enum Step {
    Insert {
        ahead: u64,
    },
    InsertOverdue {
        ago: u64,
    },
    Cancel {
        which: prop::sample::Index,
    },
    Reset {
        which: prop::sample::Index,
        ahead: u64,
    },
    Advance {
        by: u64,
    },
    /// To just before the next deadline, and to it.
    AdvanceToNext,
}

/// As many small numbers as large ones, digit by digit.
fn any_distance() -> impl Strategy<Value = u64> {
    (0..63_u32, any::<u64>()).prop_map(|(bits, random)| random & ((2 << bits) - 1))
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any_distance().prop_map(|ahead| Step::Insert { ahead }),
        1 => any_distance().prop_map(|ago| Step::InsertOverdue { ago }),
        2 => any::<prop::sample::Index>().prop_map(|which| Step::Cancel { which }),
        1 => (any::<prop::sample::Index>(), any_distance())
            .prop_map(|(which, ahead)| Step::Reset { which, ahead }),
        2 => any_distance().prop_map(|by| Step::Advance { by }),
        2 => Just(Step::AdvanceToNext),
    ]
}

fn run(start: u64, steps: Vec<Step>) {
    let mut bench = Bench::new(start);
    for step in steps {
        let ahead_of_now = |ahead| bench.now.saturating_add(ahead).min(NEVER - 1);
        match step {
            Step::Insert { ahead } => {
                bench.insert(ahead_of_now(ahead));
            }
            Step::InsertOverdue { ago } => {
                // Its order among others that are overdue is its own, so it fires alone.
                bench.advance(bench.now);
                bench.insert(bench.now.saturating_sub(ago));
                bench.advance(bench.now);
            }
            Step::Cancel { which } if !bench.nodes.is_empty() => {
                bench.cancel(which.index(bench.nodes.len()));
            }
            Step::Reset { which, ahead } if !bench.nodes.is_empty() => {
                let deadline = ahead_of_now(ahead);
                bench.reset(which.index(bench.nodes.len()), deadline);
            }
            Step::Cancel { .. } | Step::Reset { .. } => {}
            Step::Advance { by } => bench.advance(ahead_of_now(by)),
            Step::AdvanceToNext => {
                let next = bench.timers.next_deadline();
                let first = bench.model.keys().next().map_or(NEVER, |(time, _)| *time);
                assert!(next <= first.max(bench.timers.elapsed), "never too late");
                bench.advance(next.saturating_sub(1).min(NEVER - 1));
                bench.advance(next.min(NEVER - 1));
            }
        }
    }
    bench.drive(NEVER - 1);
    assert!(bench.model.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: if cfg!(miri) { 2 } else { 1_000 },
        ..Default::default()
    })]

    #[test]
    fn wheel_and_map_agree(
        start in prop_oneof![Just(0), any_distance()],
        steps in prop::collection::vec(any_step(), 1..if cfg!(miri) { 30 } else { 120 }),
    ) {
        run(start, steps);
    }
}
