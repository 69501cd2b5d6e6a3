//! One worker, step by step, beside another one whose thread the system does not let run.

use super::*;
use crate::executor::testing::Couch;

struct Stage {
    crew: &'static Crew,
    tenancy: u64,
    worker: Worker,
    /// What the other one sleeps in.
    couch: Couch,
}

const OTHER: usize = 0;

impl Stage {
    fn new() -> Stage {
        let (couch, own) = (Couch::new(), Arc::new(Couch::new()));
        let (crew, tenancy) = Crew::of_its_own(vec![Arc::new(couch.clone()), own.clone()]);
        Stage {
            crew,
            tenancy,
            worker: Worker::new(crew, 1, own),
            couch,
        }
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
