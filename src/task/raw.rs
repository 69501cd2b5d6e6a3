//! The memory of a task, and the code that is made once for each type of future.
//!
//! ```text
//!   NonNull<Header> ---> +-----------------------+ <--- Waker, JoinHandle, Runnable, lists ...
//!                        | state                 |      know this part alone, and reach the
//!                        | vtable  --------------|---.  rest through the vtable
//!                        | next, siblings        |   |
//!                        | joiner, id, location  |   |
//!                        +-----------------------+   v
//!                        | scheduler: S          |  one static for each F and S
//!                        +-----------------------+
//!                        | stage: F              |
//!                        |     or Result<Output> |
//!                        +-----------------------+
//! ```
//!
//! One allocation, from spawn to the last reference. Who may touch which part, and when, is told in
//! [`state`](super::state); the SAFETY comments here refer to it as "the state's rules".
//!
//! A panic never leaves this file: one of the future's is the output of the task, one of a
//! destructor or of the joiner's waker ends where it is (the panic hook has reported it).

use std::alloc::Layout;
use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::mem::{self, ManuallyDrop};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use super::Id;
use super::join::{JoinError, JoinHandle};
use super::joiner::JoinerSlot;
use super::spare;
pub(crate) use super::state::Stand;
use super::state::{Completed, Start, State, Woken};
use crate::sync::cell::UnsafeCell;
use crate::sync::per_thread;

/// The queues' side of a task: where a wake puts it.
///
/// It is cloned out of the task for each push, because once it has been pushed the task may be run,
/// completed and freed by another thread; so make it something cheap.
pub(crate) trait Schedule: Clone + Send + Sync + 'static {
    /// Puts a task into a queue. Called on any thread, under no lock of the task's, and from
    /// destructors; must not panic.
    fn schedule(&self, task: Runnable);
}

/// What all tasks have in common.
pub(crate) struct Header {
    pub(super) state: State,
    vtable: &'static Vtable,
    /// The task behind this one in a queue. It belongs to the holder of the `Runnable`.
    next: UnsafeCell<Option<NonNull<Header>>>,
    /// The neighbours in the executor's list of its tasks. They belong to that list.
    siblings: UnsafeCell<Siblings>,
    /// Who waits for the output.
    pub(super) joiner: JoinerSlot,
    id: Id,
    /// Where it was spawned.
    pub(crate) location: &'static Location<'static>,
}

/// The links of an executor's list of its tasks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Siblings {
    pub(crate) before: Option<NonNull<Header>>,
    pub(crate) after: Option<NonNull<Header>>,
}

impl Header {
    pub(crate) fn id(&self) -> Id {
        self.id
    }

    /// How it stands with the task at this moment.
    pub(crate) fn stand(&self) -> Stand {
        self.state.load().stand()
    }

    /// # Safety
    ///
    /// * The caller holds the `Runnable` of this task (or a queue that does).
    pub(crate) unsafe fn with_next<R>(
        &self,
        change: impl FnOnce(&mut Option<NonNull<Header>>) -> R,
    ) -> R {
        // SAFETY: nobody else is at the link, by the state's rules, and `change` gets no way to
        // come back to it.
        self.next.with_mut(|next| change(unsafe { &mut *next }))
    }

    /// # Safety
    ///
    /// * The caller is the executor whose list the task is in, or about to be in, and alone with it.
    pub(crate) unsafe fn with_siblings<R>(&self, change: impl FnOnce(&mut Siblings) -> R) -> R {
        self.siblings
            // SAFETY: nobody else is at the links, by the contract.
            .with_mut(|siblings| change(unsafe { &mut *siblings }))
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.id)
            .field("state", &self.state)
            .field("location", &format_args!("{}", self.location))
            .finish()
    }
}

/// What differs from one type of future to another.
struct Vtable {
    /// Polls the future once; if it is ready or panics, puts the output in its place.
    poll: unsafe fn(NonNull<Header>, &mut Context<'_>) -> Poll<()>,
    /// Drops the future and puts an error in its place.
    cancel: unsafe fn(NonNull<Header>, JoinError),
    /// Gives the `Runnable` to the scheduler.
    schedule: unsafe fn(NonNull<Header>),
    /// Moves the output to where the second pointer points, a `Result<Output, JoinError>`.
    take_output: unsafe fn(NonNull<Header>, *mut ()),
    /// Drops the output, if it is still there.
    drop_output: unsafe fn(NonNull<Header>),
    /// Frees the memory; future and output are gone.
    free: unsafe fn(NonNull<Header>),
}

/// The whole of a task. The header comes first, so that one pointer serves for both.
#[repr(C)]
struct Whole<F: Future, S> {
    header: Header,
    scheduler: S,
    stage: UnsafeCell<Stage<F>>,
}

enum Stage<F: Future> {
    Running(F),
    Complete(Result<F::Output, JoinError>),
    Empty,
}

/// Makes a task, which is queued: the caller puts the `Runnable` into a queue.
pub(crate) fn spawn<F, S>(
    future: F,
    scheduler: S,
    location: &'static Location<'static>,
) -> (Runnable, JoinHandle<F::Output>)
where
    F: Future + 'static,
    S: Schedule,
{
    let id = Id::new();
    // Written where it stays: a copy of what has just been written piece by piece would wait until
    // the pieces have left the processor's store buffer.
    let task = spare::allocate(Layout::new::<Whole<F, S>>()).cast::<Whole<F, S>>();
    let whole = Whole {
        header: Header {
            state: State::new(),
            vtable: &Whole::<F, S>::VTABLE,
            next: UnsafeCell::new(None),
            siblings: UnsafeCell::new(Siblings::default()),
            joiner: JoinerSlot::new(),
            id,
            location,
        },
        scheduler,
        stage: UnsafeCell::new(Stage::Running(future)),
    };
    // SAFETY: the block is ours, and has the layout of what is written.
    unsafe { task.write(whole) };
    // The pointer is made from the whole block, so it may reach all of it.
    let task = task.cast::<Header>();
    // SAFETY: a new task has the two references, and the one `Runnable`, that are handed out here,
    // see `State::new`; `T` is its output.
    (Runnable { task }, unsafe { JoinHandle::new(task) })
}

impl<F: Future + 'static, S: Schedule> Whole<F, S> {
    const VTABLE: Vtable = Vtable {
        poll: Self::poll,
        cancel: Self::cancel,
        schedule: Self::schedule,
        take_output: Self::take_output,
        drop_output: Self::drop_output,
        free: Self::free,
    };

    /// # Safety
    ///
    /// * `task` points to a live `Whole<F, S>`.
    /// * For the time of the call its stage is the caller's alone, by the state's rules.
    unsafe fn with_stage<R>(task: NonNull<Header>, change: impl FnOnce(*mut Stage<F>) -> R) -> R {
        // SAFETY: the first point of the contract. No reference to the whole is made: the header
        // is in use by other threads.
        let stage = unsafe { &raw const (*task.cast::<Self>().as_ptr()).stage };
        // SAFETY: as above; what others reach meanwhile is inside the UnsafeCell and not reached,
        // by the second point.
        unsafe { &*stage }.with_mut(change)
    }

    unsafe fn poll(task: NonNull<Header>, cx: &mut Context<'_>) -> Poll<()> {
        let poll = |stage: *mut Stage<F>| {
            let polled = catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: `with_stage` gives a pointer that is valid and, for now, ours.
                let Stage::Running(future) = (unsafe { &mut *stage }) else {
                    unreachable!("a task that is complete is never polled")
                };
                // SAFETY: the future is inside an allocation that does not move, and is dropped
                // there, by `replace`.
                unsafe { Pin::new_unchecked(future) }.poll(cx)
            }));
            let output = match polled {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(output)) => Ok(output),
                // SAFETY: the caller has a reference, so the header is alive.
                Err(payload) => Err(JoinError::panic(unsafe { task.as_ref() }.id, payload)),
            };
            // SAFETY: the stage is ours.
            let dropped = unsafe { Self::replace(stage, Stage::Complete(output)) };
            // The task has its output, whatever the destructor thinks of it.
            dropped.unwrap_or_else(drop_payload);
            Poll::Ready(())
        };
        // SAFETY: the caller holds the `Runnable` of a task of this type.
        unsafe { Self::with_stage(task, poll) }
    }

    unsafe fn cancel(task: NonNull<Header>, error: JoinError) {
        let cancel = |stage: *mut Stage<F>| {
            // SAFETY: the stage is ours.
            let dropped = unsafe { Self::replace(stage, Stage::Empty) };
            let error = match dropped {
                Ok(()) => error,
                // SAFETY: the caller has a reference, so the header is alive.
                Err(payload) => JoinError::panic(unsafe { task.as_ref() }.id, payload),
            };
            // SAFETY: the stage is ours, and empty.
            unsafe { stage.write(Stage::Complete(Err(error))) };
        };
        // SAFETY: the caller holds the `Runnable` of a task of this type, or has seized it.
        unsafe { Self::with_stage(task, cancel) }
    }

    /// Drops what is there, where it is, and then puts something else there even if that panicked.
    unsafe fn replace(stage: *mut Stage<F>, next: Stage<F>) -> Result<(), Box<dyn Any + Send>> {
        let dropped = if mem::needs_drop::<Stage<F>>() {
            // SAFETY: the stage is whole, and the caller's alone; it is written again before
            // anybody looks at it.
            catch_unwind(AssertUnwindSafe(|| unsafe { ptr::drop_in_place(stage) }))
        } else {
            Ok(())
        };
        // SAFETY: the stage is the caller's, and what was in it has been dropped.
        unsafe { stage.write(next) };
        dropped
    }

    unsafe fn schedule(task: NonNull<Header>) {
        // SAFETY: the caller holds the `Runnable` of a task of this type, so it is alive.
        let scheduler = unsafe { &raw const (*task.cast::<Self>().as_ptr()).scheduler };
        // SAFETY: as above; the field never changes.
        let scheduler = unsafe { &*scheduler }.clone();
        scheduler.schedule(Runnable { task });
    }

    unsafe fn take_output(task: NonNull<Header>, place: *mut ()) {
        let take = |stage: *mut Stage<F>| {
            // SAFETY: the stage is the joiner's, as the task is complete.
            let Stage::Complete(output) = (unsafe { &*stage }) else {
                unreachable!("a JoinHandle takes the output once")
            };
            let place = place.cast::<Result<F::Output, JoinError>>();
            // The two cases apart, because a copy of the whole enum is wider than what was written a
            // moment ago, and would wait until that has left the processor's store buffer.
            match output {
                Ok(output) => {
                    // SAFETY: what it is moved out of is forgotten below.
                    let output = unsafe { ptr::read(output) };
                    // SAFETY: the caller's place is made for this type and may be written.
                    unsafe { place.write(Ok(output)) };
                }
                Err(error) => {
                    // SAFETY: as above.
                    let error = unsafe { ptr::read(error) };
                    // SAFETY: as above.
                    unsafe { place.write(Err(error)) };
                }
            }
            // SAFETY: the stage is the joiner's, and what was in it has been moved out.
            unsafe { stage.write(Stage::Empty) };
        };
        // SAFETY: the caller is the joiner of a complete task of this type.
        unsafe { Self::with_stage(task, take) }
    }

    unsafe fn drop_output(task: NonNull<Header>) {
        let drop = |stage: *mut Stage<F>| {
            // SAFETY: the stage is the caller's.
            let dropped = unsafe { Self::replace(stage, Stage::Empty) };
            dropped.unwrap_or_else(drop_payload);
        };
        // SAFETY: the caller is who drops the output of a complete task of this type.
        unsafe { Self::with_stage(task, drop) }
    }

    unsafe fn free(task: NonNull<Header>) {
        let mut task = task.cast::<Self>();
        // SAFETY: the caller gave back the last reference to a task of this type.
        let whole = unsafe { task.as_mut() };
        whole.header.joiner.assert_unused();
        // (loom checks here that nobody is at the stage any more.)
        whole.stage.with_mut(|stage| {
            // SAFETY: there is no other reference.
            debug_assert!(matches!(unsafe { &*stage }, Stage::Empty));
        });
        // SAFETY: as above, so it is whole and ours.
        unsafe { task.drop_in_place() };
        // SAFETY: `spawn` got it for this layout.
        unsafe { spare::free(task.cast(), Layout::new::<Self>()) };
    }
}

per_thread! {
    /// What this thread is polling.
    static RUNNING: Cell<Running> = const { Cell::new(Running::NOTHING) };
}

#[derive(Clone, Copy)]
struct Running {
    task: *const Header,
    did_yield: bool,
}

impl Running {
    const NOTHING: Running = Running {
        task: ptr::null(),
        did_yield: false,
    };
}

/// Notes for the time of `f`, which must not panic, that this thread is inside a task. Answers
/// whether the task gave way.
///
/// # Safety
///
/// * The caller has a reference to the task for as long.
unsafe fn inside<R>(task: NonNull<Header>, f: impl FnOnce() -> R) -> (R, bool) {
    let running = Running {
        task: task.as_ptr(),
        did_yield: false,
    };
    let outer = RUNNING.with(|cell| cell.replace(running));
    let output = f();
    let running = RUNNING.with(|cell| cell.replace(outer));
    (output, running.did_yield)
}

/// This thread is inside no task, until the answer is dropped: that one stands still.
pub(crate) fn leave_running() -> Outer {
    Outer(RUNNING.with(|cell| cell.replace(Running::NOTHING)))
}

/// The task that this thread is inside again when this is dropped, by a panic too.
pub(crate) struct Outer(Running);

impl Drop for Outer {
    fn drop(&mut self) {
        RUNNING.with(|cell| cell.set(self.0));
    }
}

/// The number of the task that this thread is inside, if it is inside one.
pub(super) fn running_id() -> Option<Id> {
    let running = RUNNING.with(Cell::get);
    // SAFETY: `inside` put the pointer there and takes it away before it returns, and its caller's
    // reference keeps the header alive; this thread alone ever sees it.
    unsafe { running.task.as_ref() }.map(Header::id)
}

/// Notes that the running task gives way. False if the waker is not its own: then somebody stands
/// between the two (`FuturesUnordered`, say), and has to be woken.
pub(super) fn yield_running(waker: &Waker) -> bool {
    RUNNING.with(|running| {
        let mut now = running.get();
        let is_own =
            ptr::eq(now.task.cast(), waker.data()) && ptr::eq(waker.vtable(), &WAKER_VTABLE);
        if is_own {
            now.did_yield = true;
            running.set(now);
        }
        is_own
    })
}

/// The right, and the duty, to run an active task once: there is one of it, and it is alone with the
/// future. It shares the executor's reference.
#[derive(Debug)]
pub(crate) struct Runnable {
    task: NonNull<Header>,
}

// SAFETY: what another thread can do with it is to pass it on, or to drop a corpse; `run` asks for
// the right thread.
unsafe impl Send for Runnable {}

/// How a run ended.
#[derive(Debug)]
#[must_use]
pub(crate) enum Ran {
    /// The task waits for a wake.
    Idle,
    /// It was woken meanwhile, or it yielded: put it into the queue again.
    Again(Runnable),
    /// It has its output: the executor has to forget it, and then to drop this.
    Done(Done),
}

impl Runnable {
    /// Polls the task once, or drops its future if it was aborted.
    ///
    /// # Safety
    ///
    /// * A task whose future is not `Send` is run by the thread that spawned it.
    pub(crate) unsafe fn run(self) -> Ran {
        let task = self.into_raw();
        // SAFETY: the executor's reference keeps it alive.
        match unsafe { task.as_ref() }.state.start() {
            Start::Poll => {}
            Start::Cancel => {
                // SAFETY: as above.
                let id = unsafe { task.as_ref() }.id;
                // SAFETY: we hold the `Runnable`, on the right thread by the contract.
                unsafe { cancel(task, JoinError::cancelled(id)) };
                return Ran::Done(Done { task });
            }
            Start::Bury => {
                // SAFETY: the reference passed to us when the task was seized.
                unsafe { drop_reference(task) };
                return Ran::Idle;
            }
        }
        // No reference is counted: the executor's outlives the poll.
        let waker = ManuallyDrop::new(waker(task));
        // SAFETY: as above.
        let poll = unsafe { task.as_ref() }.vtable.poll;
        let poll = || {
            // SAFETY: we hold the `Runnable`, on the right thread by the contract.
            unsafe { poll(task, &mut Context::from_waker(&waker)) }
        };
        // SAFETY: the executor's reference keeps it alive.
        let (polled, did_yield) = unsafe { inside(task, poll) };
        if polled.is_ready() {
            return Ran::Done(Done { task });
        }
        // SAFETY: we hold the `Runnable` until `go_idle` has answered true.
        if did_yield || !unsafe { task.as_ref() }.state.go_idle() {
            return Ran::Again(Runnable { task });
        }
        Ran::Idle
    }

    /// Drops the future instead of running the task, for a reason of the executor's.
    ///
    /// # Safety
    ///
    /// * As for [`run`](Runnable::run).
    pub(crate) unsafe fn refuse(self, why: JoinError) -> Ran {
        let task = self.into_raw();
        // SAFETY: the executor's reference keeps it alive.
        if unsafe { task.as_ref() }.state.load().is_complete() {
            // SAFETY: the reference passed to us when the task was seized.
            unsafe { drop_reference(task) };
            return Ran::Idle;
        }
        // SAFETY: we hold the `Runnable`, on the right thread by the contract.
        unsafe { cancel(task, why) };
        Ran::Done(Done { task })
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the executor's reference keeps it alive.
        unsafe { self.task.as_ref() }
    }

    pub(crate) fn as_raw(&self) -> NonNull<Header> {
        self.task
    }

    pub(crate) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).task
    }

    /// # Safety
    ///
    /// * `task` came from [`into_raw`](Runnable::into_raw), and does so once.
    pub(crate) unsafe fn from_raw(task: NonNull<Header>) -> Runnable {
        Runnable { task }
    }
}

impl Drop for Runnable {
    /// For corpses: whoever drops a task that could still run leaves its joiner waiting for ever.
    fn drop(&mut self) {
        debug_assert!(self.header().state.load().is_complete());
        // SAFETY: the reference passed to us when the task was seized.
        unsafe { drop_reference(self.task) };
    }
}

/// A task that has its output. Drop this, and it is complete: the joiner is told, and the executor's
/// reference given back.
#[derive(Debug)]
pub(crate) struct Done {
    task: NonNull<Header>,
}

impl Done {
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: the executor's reference keeps it alive.
        unsafe { self.task.as_ref() }
    }

    pub(crate) fn as_raw(&self) -> NonNull<Header> {
        self.task
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        // SAFETY: it was made when the output was in its place, by the holder of the `Runnable`.
        unsafe { complete(self.task, true) };
    }
}

/// Drops the future of a task that its executor gives up, and tells the joiner. Whatever queue the
/// task is in, a corpse is in it from now on.
///
/// # Safety
///
/// * The caller is the task's executor, which holds the reference that runs from spawn to
///   completion, gives it to this function, and runs no task meanwhile.
/// * The future is not `Send`: the caller is the thread that spawned it.
pub(crate) unsafe fn seize(task: NonNull<Header>) {
    // SAFETY: the reference keeps it alive.
    let header = unsafe { task.as_ref() };
    let error = JoinError::cancelled(header.id);
    let is_queued = header.state.seize();
    // SAFETY: the state says that the task is active, and by the contract nobody runs it.
    unsafe { cancel(task, error) };
    // If it is queued, the `Runnable` has the reference from now on.
    // SAFETY: the task is ours, as above, and has its output.
    unsafe { complete(task, !is_queued) };
}

/// Drops the future, and puts an error in its place.
///
/// # Safety
///
/// * The future is the caller's alone, as the holder of the `Runnable` or after a seizure, on a
///   thread that may drop it.
unsafe fn cancel(task: NonNull<Header>, error: JoinError) {
    // SAFETY: the executor's reference keeps it alive.
    let cancel = unsafe { task.as_ref() }.vtable.cancel;
    let cancel = || {
        // SAFETY: by the contract.
        unsafe { cancel(task, error) }
    };
    // SAFETY: the executor's reference keeps it alive.
    unsafe { inside(task, cancel) };
}

/// Transition 6: the output is there; drops it if nobody wants it, wakes who does. With
/// `gives_back`, the executor's reference is given back too, and the task may be gone then.
///
/// # Safety
///
/// * As for [`cancel`], and the output is in its place.
/// * To give it back, the caller has the executor's reference.
unsafe fn complete(task: NonNull<Header>, gives_back: bool) {
    // SAFETY: the executor's reference keeps it alive.
    let header = unsafe { task.as_ref() };
    match header.state.complete(gives_back) {
        Completed::Silently => {}
        Completed::Watched => {
            // SAFETY: the slot is the completer's, and until it is empty, the `JoinHandle`'s reference
            // keeps the header alive.
            let waker = unsafe { header.joiner.take() };
            waker.into_iter().for_each(|waker| contain(|| waker.wake()));
        }
        Completed::NotYet => {
            // SAFETY: the JoinHandle went before there was an output, so that is ours to drop.
            unsafe { (header.vtable.drop_output)(task) };
            if header.state.complete_unwanted(gives_back) {
                // SAFETY: the state says that the executor's was the last reference.
                unsafe { free(task) };
            }
        }
    }
}

/// Counts one reference more.
///
/// # Safety
///
/// * The caller has a reference.
pub(super) unsafe fn add_reference(task: NonNull<Header>) {
    // SAFETY: the reference keeps it alive.
    unsafe { task.as_ref() }.state.add_reference();
}

/// # Safety
///
/// * The caller has a reference, and gives it to this function.
pub(super) unsafe fn drop_reference(task: NonNull<Header>) {
    // SAFETY: the reference keeps it alive.
    if unsafe { task.as_ref() }.state.drop_reference() {
        // SAFETY: that was the last reference.
        unsafe { free(task) };
    }
}

/// # Safety
///
/// * The last reference is gone.
unsafe fn free(task: NonNull<Header>) {
    // SAFETY: it was the last, so nobody frees it before us.
    let free = unsafe { task.as_ref() }.vtable.free;
    // SAFETY: by the contract. Future and output are gone: before the last reference goes, the
    // executor's has, which is after completion, and so has the JoinHandle.
    unsafe { free(task) };
}

/// # Safety
///
/// * `woken` is what a transition of this task's state just said.
unsafe fn act_on(woken: Woken, task: NonNull<Header>) {
    match woken {
        Woken::Noted => {}
        Woken::Push => {
            // SAFETY: the transition gave us the `Runnable`, whose reference keeps it alive.
            let schedule = unsafe { task.as_ref() }.vtable.schedule;
            // SAFETY: we hold the `Runnable`.
            unsafe { schedule(task) };
        }
        // SAFETY: the transition said so.
        Woken::Last => unsafe { free(task) },
    }
}

/// Asks for the future to be dropped instead of polled.
///
/// # Safety
///
/// * The caller has a reference.
pub(crate) unsafe fn abort(task: NonNull<Header>) {
    // SAFETY: the reference keeps it alive.
    let woken = unsafe { task.as_ref() }.state.abort();
    // SAFETY: it is this task's.
    unsafe { act_on(woken, task) };
}

/// Moves the output out.
///
/// # Safety
///
/// * The caller is the joiner, saw that the task is complete, and has not taken it before.
/// * `T` is the output of the task's future.
pub(super) unsafe fn take_output<T>(task: NonNull<Header>) -> Result<T, JoinError> {
    let mut output = mem::MaybeUninit::<Result<T, JoinError>>::uninit();
    // SAFETY: the joiner's reference keeps it alive.
    let take = unsafe { task.as_ref() }.vtable.take_output;
    // SAFETY: by the contract; the place is made for a result of `T`.
    unsafe { take(task, output.as_mut_ptr().cast()) };
    // SAFETY: `take` has written it.
    unsafe { output.assume_init() }
}

/// # Safety
///
/// * The caller is the joiner, and saw that the task is complete.
pub(super) unsafe fn drop_output(task: NonNull<Header>) {
    // SAFETY: the joiner's reference keeps it alive.
    let drop = unsafe { task.as_ref() }.vtable.drop_output;
    // SAFETY: by the contract.
    unsafe { drop(task) };
}

/// A waker without a reference of its own: the caller counts one, or forgets the waker.
fn waker(task: NonNull<Header>) -> Waker {
    let data = task.as_ptr().cast_const().cast();
    // SAFETY: the functions below keep the contract of `RawWakerVTable`: they are thread-safe by the
    // state's rules, and each waker has a reference that keeps the task's memory alive.
    unsafe { Waker::new(data, &WAKER_VTABLE) }
}

/// The task that a waker wakes, if it is one of ours.
pub(crate) fn id_of(waker: &Waker) -> Option<Id> {
    let is_ours = ptr::eq(waker.vtable(), &WAKER_VTABLE);
    // SAFETY: the vtable says that `waker`, above, made it, and its reference keeps the header alive
    // as long as it is borrowed.
    is_ours.then(|| unsafe { &*waker.data().cast::<Header>() }.id)
}

static WAKER_VTABLE: RawWakerVTable =
    RawWakerVTable::new(clone_waker, wake_by_value, wake_by_ref, drop_waker);

unsafe fn clone_waker(data: *const ()) -> RawWaker {
    // SAFETY: the waker's reference keeps the header alive.
    unsafe { &*data.cast::<Header>() }.state.add_reference();
    RawWaker::new(data, &WAKER_VTABLE)
}

unsafe fn wake_by_value(data: *const ()) {
    let task = to_task(data);
    // SAFETY: the waker's reference keeps the header alive; the transition gives it back.
    let woken = unsafe { task.as_ref() }.state.wake_by_value();
    // SAFETY: it is this task's.
    unsafe { act_on(woken, task) };
}

unsafe fn wake_by_ref(data: *const ()) {
    let task = to_task(data);
    // SAFETY: the waker's reference keeps the header alive.
    let woken = unsafe { task.as_ref() }.state.wake();
    // SAFETY: it is this task's.
    unsafe { act_on(woken, task) };
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: the waker's reference is given back.
    unsafe { drop_reference(to_task(data)) };
}

fn to_task(data: *const ()) -> NonNull<Header> {
    let task = data.cast_mut().cast();
    // SAFETY: `waker`, above, made it from a pointer that is not null.
    unsafe { NonNull::new_unchecked(task) }
}

/// Runs foreign code whose panic concerns nobody here.
pub(super) fn contain(foreign: impl FnOnce()) {
    catch_unwind(AssertUnwindSafe(foreign)).unwrap_or_else(drop_payload);
}

/// How often what is thrown by the destructor of something thrown is dropped.
const PAYLOADS_MAX: u32 = 8;

/// What a panic carries may panic in turn when it is dropped, and so on; somewhere the chain is cut by
/// a leak.
#[cold]
fn drop_payload(mut payload: Box<dyn Any + Send>) {
    for _ in 0..PAYLOADS_MAX {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
    }
    mem::forget(payload);
}
