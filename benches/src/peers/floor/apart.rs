//! Two epoll loops, each of which the other thread wakes through an eventfd. Neither has any source but
//! that, and one future to poll: what is left is what every runtime does whose threads sleep in an
//! event queue.
//!
//! Edge-triggered, so that nobody has to read the eventfd: each write is an event, whatever was written
//! before. One that is awake costs no write:
//!
//! * To sleep: (1) from `AWAKE` to `ASLEEP`, or else poll again; (2) wait; (3) be `AWAKE`, and poll.
//! * To wake: (1) to `WOKEN`; (2) if it was `ASLEEP`, write.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Wake, Waker};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, write};

use crate::meter::Meter;
use crate::peers::tasks::{self, BoxedTask};

pub fn ping_pong(count: u32, meter: &mut Meter) {
    tasks::on_two_threads(count, meter, |task| {
        run(task).expect("a queue with an eventfd waits");
    });
}

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const WOKEN: u8 = 2;

/// What others have of a loop.
struct Bell {
    state: AtomicU8,
    eventfd: OwnedFd,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // AcqRel: release for what was sent before, paired with the swap in `run`; acquire so that the
        // write stays behind it.
        if self.state.swap(WOKEN, Ordering::AcqRel) == ASLEEP {
            write(&self.eventfd, &1u64.to_ne_bytes()).expect("an eventfd counts further than this");
        }
    }
}

fn run(mut task: BoxedTask) -> io::Result<()> {
    let bell = Arc::new(Bell {
        state: AtomicU8::new(AWAKE),
        eventfd: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
    });
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let flags = EventFlags::IN | EventFlags::ET;
    epoll::add(&epoll, &bell.eventfd, EventData::new_u64(0), flags)?;
    let waker = Waker::from(Arc::clone(&bell));
    let mut cx = Context::from_waker(&waker);
    while task.as_mut().poll(&mut cx).is_pending() {
        // Relaxed: the swap below is what sees what a wake published.
        let slept =
            bell.state
                .compare_exchange(AWAKE, ASLEEP, Ordering::Relaxed, Ordering::Relaxed);
        if slept.is_ok() {
            let mut events = [MaybeUninit::uninit(); 1];
            match epoll::wait(&epoll, &mut events, None) {
                // To be interrupted is to be woken for nothing.
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // AcqRel: acquire pairs with the swap of a wake.
        bell.state.swap(AWAKE, Ordering::AcqRel);
    }
    Ok(())
}
