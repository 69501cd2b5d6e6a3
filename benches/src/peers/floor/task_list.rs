//! The barest task list that does the loads: one thread, one queue, one allocation for each task with
//! its future, its output and whom to wake; no way to cancel, no panic caught, no fairness between
//! the root and the tasks beyond taking turns.
//!
//! Its wakers count their references without atomics, which a runtime may not do: nothing keeps a
//! waker on its thread. Here the loads do, because every channel and handle stays on the thread.

use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem::ManuallyDrop;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use crate::meter::Meter;
use crate::peers::tasks;

pub fn spawn_join(count: u32, meter: &mut Meter) {
    block_on(async {
        meter.start();
        tasks::start_and_join(count, |number| spawn(async move { number })).await;
        meter.stop();
    });
}

pub fn yield_now(tasks: u32, count: u32, meter: &mut Meter) {
    block_on(async {
        meter.start();
        tasks::start_all(tasks, || {
            spawn(tasks::give_way(count / tasks, tasks::yield_now))
        })
        .await;
        meter.stop();
    });
}

pub fn ping_pong(count: u32, meter: &mut Meter) {
    block_on(async {
        let (ping, pong) = tasks::ping_pong(count);
        meter.start();
        let (ping, pong) = (spawn(ping), spawn(pong));
        ping.await;
        pong.await;
        meter.stop();
    });
}

thread_local! {
    static QUEUE: RefCell<VecDeque<Rc<dyn Run>>> = const { RefCell::new(VecDeque::new()) };
}

fn schedule(task: Rc<dyn Run>) {
    QUEUE.with_borrow_mut(|queue| queue.push_back(task));
}

trait Run {
    fn run(self: Rc<Self>);
}

/// Runs the root whenever it was woken, and tasks otherwise.
fn block_on<T>(root: impl Future<Output = T>) -> T {
    let flag = Rc::new(Flag(Cell::new(true)));
    let waker = flag.clone().into_waker();
    let mut cx = Context::from_waker(&waker);
    let mut root = pin!(root);
    loop {
        if flag.0.take()
            && let Poll::Ready(output) = root.as_mut().poll(&mut cx)
        {
            return output;
        }
        let next = QUEUE.with_borrow_mut(VecDeque::pop_front);
        next.expect("somebody is always ready in these loads").run();
    }
}

/// Whether the root was woken.
struct Flag(Cell<bool>);

impl LocalWake for Flag {
    fn wake(self: Rc<Self>) {
        self.0.set(true);
    }
}

struct Task<F: Future> {
    future: UnsafeCell<F>,
    is_queued: Cell<bool>,
    output: Cell<Option<F::Output>>,
    joiner: Cell<Option<Waker>>,
}

/// Answers the future of its output.
fn spawn<F: Future + 'static>(future: F) -> impl Future<Output = F::Output> {
    let task = Rc::new(Task {
        future: UnsafeCell::new(future),
        is_queued: Cell::new(true),
        output: Cell::new(None),
        joiner: Cell::new(None),
    });
    schedule(task.clone());
    poll_fn(move |cx| match task.output.take() {
        Some(output) => Poll::Ready(output),
        None => {
            task.joiner.set(Some(cx.waker().clone()));
            Poll::Pending
        }
    })
}

impl<F: Future + 'static> Run for Task<F> {
    fn run(self: Rc<Self>) {
        self.is_queued.set(false);
        // SAFETY: the only reference to the future, because it is made here alone, and a task is not run
        // within its own run: `run` is called by `block_on` alone, which is not called within itself.
        let future = unsafe { &mut *self.future.get() };
        // SAFETY: the future is pinned, because it lives in an `Rc` and is dropped where it is.
        let future = unsafe { Pin::new_unchecked(future) };
        // SAFETY: the pointer is of an `Rc`, as `vtable` wants; that this waker has no reference of its own is
        // made up for by its not being dropped, while `self` outlives it.
        let waker = unsafe { Waker::new(Rc::as_ptr(&self).cast(), vtable::<Self>()) };
        let waker = ManuallyDrop::new(waker);
        if let Poll::Ready(output) = future.poll(&mut Context::from_waker(&waker)) {
            // What wakes it now finds it queued, and leaves it alone.
            self.is_queued.set(true);
            self.output.set(Some(output));
            if let Some(joiner) = self.joiner.take() {
                joiner.wake();
            }
        }
    }
}

impl<F: Future + 'static> LocalWake for Task<F> {
    fn wake(self: Rc<Self>) {
        if !self.is_queued.replace(true) {
            schedule(self);
        }
    }
}

/// What a waker's pointer may point to.
trait LocalWake: Sized + 'static {
    fn wake(self: Rc<Self>);

    fn into_waker(self: Rc<Self>) -> Waker {
        // SAFETY: the pointer is of an `Rc`, as `vtable` wants, whose reference it takes along.
        unsafe { Waker::new(Rc::into_raw(self).cast(), vtable::<Self>()) }
    }
}

/// For wakers whose pointer is that of an `Rc<W>` and owns one reference. None of them leaves its
/// thread: that is a promise of the loads, which the opening of this file tells.
fn vtable<W: LocalWake>() -> &'static RawWakerVTable {
    const { &RawWakerVTable::new(clone::<W>, wake::<W>, wake_by_ref::<W>, forget::<W>) }
}

unsafe fn clone<W: LocalWake>(pointer: *const ()) -> RawWaker {
    // SAFETY: it is the pointer of an `Rc<W>` with a reference, by the contract of `vtable`.
    unsafe { Rc::increment_strong_count(pointer.cast::<W>()) };
    RawWaker::new(pointer, vtable::<W>())
}

unsafe fn wake<W: LocalWake>(pointer: *const ()) {
    // SAFETY: the same, and the waker is used up, so that its reference is ours.
    unsafe { Rc::from_raw(pointer.cast::<W>()) }.wake();
}

unsafe fn wake_by_ref<W: LocalWake>(pointer: *const ()) {
    // SAFETY: the same, and its reference is not given back.
    let this = ManuallyDrop::new(unsafe { Rc::from_raw(pointer.cast::<W>()) });
    W::wake(Rc::clone(&this));
}

unsafe fn forget<W: LocalWake>(pointer: *const ()) {
    // SAFETY: the same, and the waker is used up.
    drop(unsafe { Rc::from_raw(pointer.cast::<W>()) });
}
