//! One worker, step by step, beside another one whose thread the system does not let run.

use super::*;
use crate::executor::testing::Couch;

struct Stage {
    crew: &'static Crew,
    tenancy: u64,
    worker: Worker,
    /// What the other one sleeps in.
    couch: Couch,
    own_couch: Couch,
}

const OTHER: usize = 0;

impl Stage {
    fn new() -> Stage {
        let (couch, own_couch) = (Couch::new(), Couch::new());
        let own: Arc<Couch> = Arc::new(own_couch.clone());
        let (crew, tenancy) = Crew::of_its_own(vec![Arc::new(couch.clone()), own.clone()]);
        Stage {
            crew,
            tenancy,
            worker: Worker::new(crew, 1, own),
            couch,
            own_couch,
        }
    }

    /// The worker sleeps, and so does the other one, until a turn brings so many tasks.
    fn sleep_until_a_turn_brings(&self, count: usize) {
        self.other_is_asleep(true);
        self.crew.idle.lie_down(OTHER, false);
        let (crew, tenancy) = (self.crew, self.tenancy);
        self.own_couch.bring(move || {
            for _ in 0..count {
                drop(crew.spawn(tenancy, async {}, std::panic::Location::caller()));
            }
        });
        let current = self.worker.enter();
        self.worker.sleep();
        CURRENT.with(|current| current.set(ptr::null()));
        std::mem::forget(current);
    }

    /// Puts a task into the queue of the other one.
    fn give_other_a_task(&self) {
        let other = Worker::new(self.crew, OTHER, Arc::new(self.couch.clone()));
        let current = other.enter();
        for _ in 0..2 {
            let future = async {};
            drop(
                self.crew
                    .spawn(self.tenancy, future, std::panic::Location::caller()),
            );
        }
        CURRENT.with(|current| current.set(ptr::null()));
        // It would leave its tasks to others.
        std::mem::forget(current);
    }

    fn other_is_asleep(&self, is_asleep: bool) {
        let berth = self.crew.berth(OTHER);
        berth.is_asleep.store(is_asleep, Ordering::Relaxed);
    }
}

/// Who has been roused counts as searching from that moment on. If the system lets him wait, his tasks
/// are seen by the other one, who would not sleep for them, and turn his reactor again and again.
#[test]
fn who_sees_tasks_searches_however_many_do() {
    let stage = Stage::new();
    stage.give_other_a_task();
    stage.crew.idle.lie_down(OTHER, false);
    assert_eq!(stage.crew.idle.claim(), Some(OTHER));
    assert!(stage.worker.search().is_none(), "one of two searches");
    stage.worker.sleep();
    let task = stage
        .worker
        .search()
        .expect("there is one, and it has been seen");
    stage.worker.run(task);
}

#[test]
fn a_visit_is_to_who_is_awake() {
    let stage = Stage::new();
    let is_bell_heard = || {
        stage.couch.notify();
        assert!(stage.worker.search().is_none());
        !stage.couch.is_ringing()
    };
    stage.other_is_asleep(true);
    assert!(!is_bell_heard());
    stage.other_is_asleep(false);
    assert!(is_bell_heard());
}

/// He who falls asleep during a visit is told of what the visitor took note of, and nobody else.
#[test]
fn a_visit_hands_on_a_notification_to_who_sleeps() {
    let stage = Stage::new();
    for is_asleep in [true, false] {
        stage.couch.notify();
        stage.other_is_asleep(is_asleep);
        stage.worker.turn_for(OTHER);
        assert_eq!(stage.couch.is_ringing(), is_asleep);
        assert!(
            stage.couch.is_notified(),
            "until its own worker has seen it"
        );
    }
    stage.couch.take_notification();
    stage.other_is_asleep(true);
    stage.worker.turn_for(OTHER);
    assert!(!stage.couch.is_ringing());
}

/// Who has been asleep does not rouse himself for what his own turn brings, nor keep the others from being
/// roused: for the second task, or in the middle of a turn that brings more than the ring holds.
#[test]
fn a_turn_that_brings_many_rouses_another_one() {
    for (count, roused) in [(1, 0), (2, 1), (3, 1), (4 * RING_LEN, 1)] {
        let stage = Stage::new();
        stage.sleep_until_a_turn_brings(count);
        assert_eq!(stage.own_couch.notifications(), 0, "{count}");
        assert_eq!(stage.couch.notifications(), roused, "{count}");
    }
}

/// A searcher, for whom nobody else is roused, stops being one when a visit brings him tasks.
#[test]
fn a_visit_that_brings_many_rouses_another_one() {
    let stage = Stage::new();
    let (crew, tenancy) = (stage.crew, stage.tenancy);
    let couch = stage.couch.clone();
    let seen_within = couch.clone();
    let current = stage.worker.enter();
    stage.couch.bring(move || {
        for _ in 0..2 * RING_LEN {
            drop(crew.spawn(tenancy, async {}, std::panic::Location::caller()));
        }
        // Somebody lies down meanwhile, and others bring more.
        crew.idle.lie_down(OTHER, false);
        for _ in 0..RING_LEN {
            drop(crew.spawn(tenancy, async {}, std::panic::Location::caller()));
        }
        assert_eq!(seen_within.notifications(), 1, "before the turn has ended");
    });
    let task = stage.worker.search().expect("the visit has brought some");
    assert!(!stage.worker.is_searching.get());
    stage.worker.run(task);
    assert_eq!(couch.notifications(), 1);
    CURRENT.with(|current| current.set(ptr::null()));
    std::mem::forget(current);
}
