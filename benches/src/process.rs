//! The processes that the conductor starts, which never outlive it, and the CPU time they take.

use std::io;
use std::mem::MaybeUninit;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A child that ends with this value, at the latest.
pub struct Started(Child);

impl Started {
    /// On these cores only, if any are named: its threads inherit it.
    pub fn on(cores: &[usize], command: &mut Command) -> io::Result<Started> {
        let before = sched_getaffinity(None)?;
        if !cores.is_empty() {
            sched_setaffinity(None, &set_of(cores))?;
        }
        let child = command.spawn().map_err(|error| {
            let program = command.get_program().display();
            io::Error::new(
                error.kind(),
                format!("{program} cannot be started: {error}"),
            )
        });
        sched_setaffinity(None, &before)?;
        Ok(Started(child?))
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Asks it to end, for those that have something to say then.
    pub fn send(&self, signal: Signal) -> io::Result<()> {
        let pid = Pid::from_child(&self.0);
        Ok(rustix::process::kill_process(pid, signal)?)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether there is such a program.
pub fn is_installed(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // What status it ends with is not asked: `wrk` ends with 1.
    command.status().is_ok()
}

/// Makes a child of the benchmarks end when the process that started it does, and after `limit` in
/// any case.
pub fn bound_to_parent(limit: Duration) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let seconds = u32::try_from(limit.as_secs()).expect("a limit of minutes");
    // SAFETY: `alarm` has no contract; the signal's action is the default, which ends the process.
    unsafe { libc::alarm(seconds) };
    Ok(())
}

/// User and system time of all children that have ended, and theirs.
pub fn cpu_of_children() -> Duration {
    let mut usage = MaybeUninit::uninit();
    // SAFETY: the pointer is of a place that lives until it returns.
    let status = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) };
    assert_eq!(status, 0, "the arguments of getrusage are right");
    // SAFETY: getrusage has succeeded, and so has written all of it.
    let usage: libc::rusage = unsafe { usage.assume_init() };
    let duration = |time: libc::timeval| {
        let microseconds = Duration::from_micros(time.tv_usec.unsigned_abs());
        Duration::from_secs(time.tv_sec.unsigned_abs()) + microseconds
    };
    duration(usage.ru_utime) + duration(usage.ru_stime)
}

/// Where the measured process runs, and where what keeps it busy does; both nowhere in particular on
/// a machine that has but one core.
#[derive(Clone, Copy)]
pub struct Cores {
    pub server: Option<usize>,
    pub load: Option<usize>,
}

impl Cores {
    pub const ANY: Cores = Cores {
        server: None,
        load: None,
    };

    /// The first two that this process may use; the second is the server's.
    pub fn of_this_machine() -> io::Result<Cores> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let (first, second) = (cores.next(), cores.next());
        Ok(Cores {
            server: second.and(second),
            load: second.and(first),
        })
    }
}

fn set_of(cores: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core);
    }
    set
}

/// Answers the CPU time of all the threads of another process, to the nanosecond.
#[derive(Clone, Copy)]
pub struct CpuClock(libc::clockid_t);

impl CpuClock {
    pub fn of(pid: u32) -> io::Result<CpuClock> {
        let mut clock = 0;
        // SAFETY: the pointer is of a place that lives until it returns.
        let status = unsafe { libc::clock_getcpuclockid(pid.cast_signed(), &mut clock) };
        match status {
            0 => Ok(CpuClock(clock)),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }

    /// When the process is asleep: what a thread has run since its core's last tick is added when it
    /// stops running, which may be milliseconds late.
    pub fn read_at_rest(self) -> io::Result<Duration> {
        /// Much longer than any server needs to find that there is no more to do.
        const PAUSE: Duration = Duration::from_micros(500);
        /// For one that never rests.
        const TRIES: usize = 100;
        let mut before = self.read()?;
        for _ in 0..TRIES {
            thread::sleep(PAUSE);
            let now = self.read()?;
            if now == before {
                break;
            }
            before = now;
        }
        Ok(before)
    }

    fn read(self) -> io::Result<Duration> {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the pointer is of a place that lives until it returns.
        if unsafe { libc::clock_gettime(self.0, &mut time) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let nanoseconds = u32::try_from(time.tv_nsec).map_err(io::Error::other)?;
        Ok(Duration::new(time.tv_sec.unsigned_abs(), nanoseconds))
    }
}
