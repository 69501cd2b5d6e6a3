//! Ten thousand tasks on four workers connect, echo, are cut off, refused and aborted, panic, sleep, block
//! and have children, by chance and over and over. At the end of each round every task is accounted
//! for; at the end of all there is no descriptor, thread or memory more than after the first.
//!
//! * `EKIO_SEED`: what the dice begin with. It is printed, and a run with the same seed has the same
//!   tasks (which threads run them when is not in it).
//! * `EKIO_STRESS_SECONDS`: no round begins after that time; 2 if it is not set.

#[path = "support/mod.rs"]
mod support;

#[path = "stress/process.rs"]
mod process;
#[path = "stress/world.rs"]
mod world;

use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ekio::Runtime;
use ekio::task::{AbortHandle, Id, JoinError, JoinSet, yield_now};
use ekio::time::{interval, sleep, timeout};
use process::{Held, Memory};
use support::watchdog::Watchdog;
use world::{CONNECTIONS_MAX, Dice, ECHO, HANG_UP, Line, SILENCE, World, require, serve, sure};

const WORKERS: usize = 4;

const TASKS: usize = 10_000;

/// On Windows a short run has fewer, since Wine takes some thirty times as long as Linux.
const TASKS_IF_SLOW: usize = 1_000;

/// A run that lasts for so long is a long one.
const LONG: Duration = Duration::from_secs(10);

/// What may be left over in collections that keep their room, which chance makes larger now and then.
/// A task that is lost has two blocks, and there are ten thousand of them in a round.
const BLOCKS_SLACK: i64 = 32;
const BYTES_SLACK: i64 = 64 * 1024;

/// What a task is to do, and how it has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Plan {
    /// Sends messages, and gets them back.
    Echo,
    /// The same without an end, cut off by a time limit.
    CutOff,
    /// Waits for an answer that does not come.
    Silence,
    /// The other end hangs up.
    HungUp,
    /// Nobody listens.
    Refused,
    /// Echoes without an end, and is aborted.
    Aborted,
    /// Is never ready, and is aborted.
    AbortedIdle,
    /// Panics in the middle of an echo.
    Panic,
    /// Has children, and joins or abandons them.
    Family,
    /// Sleeps and ticks.
    Nap,
    /// Blocks its thread.
    Block,
}

impl Plan {
    fn roll(dice: &mut Dice) -> Plan {
        match dice.below(64) {
            0..=22 => Plan::Echo,
            23..=28 => Plan::CutOff,
            29..=31 => Plan::Silence,
            32..=33 => Plan::HungUp,
            34 => Plan::Refused,
            35..=40 => Plan::Aborted,
            41..=43 => Plan::AbortedIdle,
            44..=49 => Plan::Panic,
            50..=55 => Plan::Family,
            56..=62 => Plan::Nap,
            _ => Plan::Block,
        }
    }

    fn is_aborted(self) -> bool {
        matches!(self, Plan::Aborted | Plan::AbortedIdle)
    }

    /// Ends as planned, or panics with what is wrong.
    async fn live(self, world: &World, mut dice: Dice) {
        match self {
            Plan::Echo => {
                let line = world.connect().await;
                sure(line.stream.write_all(&[ECHO]).await);
                for _ in 0..1 + dice.below(4) {
                    echo(&line, &mut dice).await;
                }
                if dice.below(8) == 0 {
                    sure(line.stream.shutdown(std::net::Shutdown::Write));
                    require(
                        sure(line.stream.read(&mut [0]).await) == 0,
                        "more than was sent",
                    );
                }
            }
            Plan::CutOff => {
                let limit = Duration::from_micros(dice.below(3_000));
                let cut_off = timeout(limit, echo_without_end(world, &mut dice)).await;
                require(cut_off.is_err(), "it ends by itself");
            }
            Plan::Silence => {
                let line = world.connect().await;
                sure(line.stream.write_all(&[SILENCE, 0]).await);
                let limit = Duration::from_micros(dice.below(5_000));
                let answer = timeout(limit, line.stream.read(&mut [0])).await;
                require(answer.is_err(), "an answer to nothing");
            }
            Plan::HungUp => {
                let line = world.connect().await;
                sure(line.stream.write_all(&[HANG_UP, 0]).await);
                require(
                    sure(line.stream.read(&mut [0]).await) == 0,
                    "more than was sent",
                );
            }
            Plan::Refused => {
                let error = world.be_refused().await;
                require(
                    // (libkqueue has read the kind of the error itself.)
                    error.kind() == io::ErrorKind::ConnectionRefused || cfg!(has_libkqueue),
                    "it is not refused",
                );
            }
            Plan::Aborted => echo_without_end(world, &mut dice).await,
            Plan::AbortedIdle => pending().await,
            Plan::Panic => {
                let line = world.connect().await;
                sure(line.stream.write_all(&[ECHO]).await);
                for _ in 0..dice.below(3) {
                    echo(&line, &mut dice).await;
                }
                resume_unwind(Box::new(self));
            }
            Plan::Family => have_children(world, &mut dice).await,
            Plan::Nap => {
                sleep(Duration::from_micros(dice.below(20_000))).await;
                let mut interval = interval(Duration::from_micros(1 + dice.below(2_000)));
                for _ in 0..dice.below(4) {
                    interval.tick().await;
                }
            }
            Plan::Block => thread::sleep(Duration::from_micros(dice.below(3_000))),
        }
    }

    /// Panics if a task has ended in another way.
    fn check(self, joined: Result<(Id, ()), JoinError>) {
        let is_as_planned = match joined {
            Ok(_) => !self.is_aborted() && self != Plan::Panic,
            Err(error) if error.is_panic() => {
                let text = error.to_string();
                let planned = error.into_panic().downcast_ref() == Some(&self);
                assert!(planned && self == Plan::Panic, "{self:?}: {text}");
                true
            }
            Err(_) => self.is_aborted(),
        };
        assert!(is_as_planned, "{self:?} has ended in another way");
    }
}

async fn echo(line: &Line, dice: &mut Dice) {
    let sent: Vec<u8> = (0..1 + dice.below(6_000) / (1 + dice.below(50)))
        .map(|_| dice.below(256) as u8)
        .collect();
    sure(line.stream.write_all(&sent).await);
    let mut answer = vec![0; sent.len()];
    sure(line.stream.read_exact(&mut answer).await);
    require(sent == answer, "the echo differs");
}

async fn echo_without_end(world: &World, dice: &mut Dice) {
    loop {
        let line = world.connect().await;
        sure(line.stream.write_all(&[ECHO]).await);
        for _ in 0..20 {
            echo(&line, dice).await;
        }
    }
}

async fn have_children(world: &World, dice: &mut Dice) {
    let mut children = JoinSet::new();
    for _ in 0..dice.below(6) {
        let (counted, mut dice) = (world.tasks.enter(), dice.fork());
        children.spawn(async move {
            let _counted = counted;
            match dice.below(4) {
                0 => yield_now().await,
                1 => sleep(Duration::from_micros(dice.below(2_000))).await,
                2 => resume_unwind(Box::new("a child")),
                _ => {}
            }
        });
    }
    match dice.below(4) {
        0 => drop(children),
        1 => children.detach_all(),
        2 => children.shutdown().await,
        _ => while children.join_next().await.is_some() {},
    }
}

/// What came out of all rounds.
#[derive(Debug, Default)]
struct Tally {
    ended: BTreeMap<Plan, usize>,
    /// Unfinished, or not joined, when the runtime was dropped.
    left: usize,
    connections: usize,
    retries: usize,
    most_lines: usize,
}

/// Aborts, now and then, on two threads that are no workers.
fn start_aborting(aborts: Vec<AbortHandle>, dice: &mut Dice) -> [thread::JoinHandle<()>; 2] {
    let half = aborts.len() / 2;
    let mut halves = [aborts[..half].to_vec(), aborts[half..].to_vec()];
    halves.each_mut().map(|half| {
        let (half, mut dice) = (std::mem::take(half), dice.fork());
        thread::spawn(move || {
            for abort in half {
                if dice.below(4) == 0 {
                    thread::sleep(Duration::from_micros(dice.below(500)));
                }
                abort.abort();
            }
        })
    })
}

fn round(seed: &str, dice: &mut Dice, tasks: usize, tally: &mut Tally) {
    let runtime = Runtime::builder().workers(WORKERS).build().unwrap();
    let mut watchdog = Watchdog::start_for(seed);
    // In one round of three not all are waited for.
    let to_join = match dice.below(3) {
        0 => tasks - dice.below(tasks as u64 / 4) as usize,
        _ => tasks,
    };
    let mut set = JoinSet::new();
    let mut aborting = None;
    let (world, mut server) = runtime.block_on(async {
        let (world, listener) = World::new().await.unwrap();
        let mut server = JoinSet::new();
        server.spawn(serve(Arc::clone(&world), listener));
        let mut plans = HashMap::new();
        let mut aborts = Vec::new();
        for _ in 0..tasks {
            let (plan, dice) = (Plan::roll(dice), dice.fork());
            let (world, counted) = (Arc::clone(&world), world.tasks.enter());
            let abort = set.spawn(async move {
                let _counted = counted;
                plan.live(&world, dice).await;
            });
            plans.insert(abort.id(), plan);
            aborts.extend(plan.is_aborted().then_some(abort));
        }
        aborting = Some(start_aborting(aborts, dice));
        for number in 0..to_join {
            let joined = set.join_next_with_id().await.expect("so many are there");
            let id = joined.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
            let plan = plans.remove(&id).expect("each is joined once");
            plan.check(joined);
            *tally.ended.entry(plan).or_default() += 1;
            if number % 256 == 0 {
                // Something happens.
                watchdog = Watchdog::start_for(seed);
            }
        }
        assert_eq!(plans.len(), set.len());
        (world, server)
    });
    tally.left += set.len();
    match dice.below(3) {
        0 => drop(runtime),
        1 => {
            drop(set);
            drop(server);
            drop(runtime);
        }
        _ => {
            runtime.block_on(async {
                set.shutdown().await;
                server.shutdown().await;
            });
            drop(runtime);
        }
    }
    for thread in aborting.into_iter().flatten() {
        thread.join().unwrap();
    }
    drop(watchdog);
    let gauges = [&world.tasks, &world.client_lines, &world.server_lines];
    assert_eq!(gauges.map(world::Gauge::now), [0; 3], "something is alive");
    let lines = [&world.client_lines, &world.server_lines];
    for most in lines.map(world::Gauge::most) {
        assert!(most <= CONNECTIONS_MAX, "{most} connections at a time");
        tally.most_lines = tally.most_lines.max(most);
    }
    tally.connections += world.connections.load(Ordering::Relaxed);
    tally.retries += world.retries.load(Ordering::Relaxed);
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    let number = text.trim().parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is a number, and not `{text}`")))
}

fn chance() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64) ^ u64::from(std::process::id())
}

#[test]
fn every_task_is_accounted_for_and_nothing_is_left_over() {
    let seed = number_from("EKIO_SEED").unwrap_or_else(chance);
    let time = Duration::from_secs(number_from("EKIO_STRESS_SECONDS").unwrap_or(2));
    println!("EKIO_SEED={seed}");
    let name = format!("the stress test with EKIO_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut tally = Tally::default();

    let tasks = if cfg!(windows) && time < LONG {
        TASKS_IF_SLOW
    } else {
        TASKS
    };

    // What is made once and kept is made now; so is the shared reactor, for what a worker that is stuck in
    // a task at the end of its runtime begins then.
    futures_lite::future::block_on(sleep(Duration::from_millis(1)));
    round(&name, &mut dice, tasks / 10, &mut tally);
    tally = Tally::default();
    let (mut held, memory) = (Held::now(), Memory::now());
    let resident = process::resident_kib();
    let begun = Instant::now();
    let mut rounds = 0;
    while rounds == 0 || begun.elapsed() < time {
        round(&name, &mut dice, tasks, &mut tally);
        rounds += 1;
        let still_held = Held::returns_to(held);
        assert!(
            !still_held.is_more_than(held),
            "after {rounds} rounds {still_held:?}, and {held:?} before"
        );
        // It is less if `held` was counted while something was still on its way out.
        held = still_held;
        let grown = Memory::now().since(memory);
        if grown.blocks > BLOCKS_SLACK || grown.bytes > BYTES_SLACK {
            thread::sleep(Duration::from_secs(1));
            let later = Memory::now().since(memory);
            panic!(
                "memory is left over after {rounds} rounds: {grown:?}, a second later {later:?}"
            );
        }
    }

    let took = begun.elapsed();
    let grown = Memory::now().since(memory);
    let ended: usize = tally.ended.values().sum();
    assert_eq!(ended + tally.left, rounds * tasks);
    println!("{rounds} rounds of {tasks} tasks in {took:.1?}: {tally:?}");
    println!("held after each round: {held:?}");
    println!("memory: {memory:?}, and then {grown:?} more");
    println!(
        "resident: {resident:?} KiB, and then {:?}",
        process::resident_kib()
    );
    if held.descriptors.is_none() || held.threads.is_none() {
        support::skipped("this system does not tell how many descriptors and threads there are");
    }
    assert!(
        grown.blocks <= BLOCKS_SLACK && grown.bytes <= BYTES_SLACK,
        "memory is left over: {grown:?}"
    );
}
