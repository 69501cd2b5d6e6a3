//! What only Unix has: pipes, numbers of descriptors, signals, forks.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A pipe, the reading end first. Neither end blocks or is inherited.
pub fn pipe() -> (File, File) {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    for end in [&reader, &writer] {
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC).unwrap();
        rustix::io::ioctl_fionbio(end, true).unwrap();
    }
    (File::from(reader), File::from(writer))
}

/// Allows this program as many open files as the system lets it, and says how many.
pub fn raise_open_files() -> u64 {
    use rustix::process::{Resource, getrlimit, setrlimit};
    static ONCE: Mutex<()> = Mutex::new(());
    let _guard = ONCE.lock();
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(1 << 20).min(1 << 20);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        // A system that gives less than it promised leaves us with what there is.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Descriptor numbers that no other test uses: those from a high one on, for whoever holds this.
pub struct HighNumbers(#[allow(dead_code)] MutexGuard<'static, ()>);

impl HighNumbers {
    pub fn take() -> HighNumbers {
        static HELD: Mutex<()> = Mutex::new(());
        let guard = HELD.lock();
        HighNumbers(guard.unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    fn first() -> RawFd {
        let mut limit = 3_000;
        if cfg!(not(miri)) {
            // Miri has none to ask for.
            limit = raise_open_files().min(limit);
        }
        RawFd::try_from(limit * 9 / 10).unwrap()
    }

    /// A duplicate with a high number.
    pub fn duplicate(&self, file: &impl AsFd) -> OwnedFd {
        rustix::io::fcntl_dupfd_cloexec(file, Self::first()).unwrap()
    }

    /// A duplicate with exactly this number, which was one of [`duplicate`](Self::duplicate)'s and
    /// is closed now.
    pub fn duplicate_to(&self, file: &impl AsFd, number: RawFd) -> OwnedFd {
        let duplicate = rustix::io::fcntl_dupfd_cloexec(file, number).unwrap();
        assert_eq!(duplicate.as_raw_fd(), number, "somebody else has it");
        duplicate
    }
}

/// Puts a duplicate of `file` at a number that nobody uses.
pub fn duplicate_at(file: &impl AsFd, number: RawFd) -> io::Result<OwnedFd> {
    let duplicate = rustix::io::fcntl_dupfd_cloexec(file, number)?;
    if duplicate.as_raw_fd() != number {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    Ok(duplicate)
}

/// What sends signals to a thread, a thousand a second, until it is stopped. Their handler counts
/// them and asks for no restart of system calls.
pub struct Pest {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Counts in the handler, for all pests together.
static CAUGHT: AtomicU32 = AtomicU32::new(0);

extern "C" fn count_signal(_number: libc::c_int) {
    CAUGHT.fetch_add(1, Ordering::Relaxed);
}

impl Pest {
    pub fn on_this_thread() -> Pest {
        install_handler(count_signal as extern "C" fn(libc::c_int) as libc::sighandler_t);
        // SAFETY: pthread_self asks for nothing.
        let victim = Victim(unsafe { libc::pthread_self() });
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            while !seen.load(Ordering::Acquire) {
                victim.pester();
                thread::sleep(Duration::from_millis(1));
            }
        });
        Pest {
            is_over,
            thread: Some(thread),
        }
    }

    /// How many signals of all pests were caught since the program began.
    pub fn caught() -> u32 {
        CAUGHT.load(Ordering::Relaxed)
    }
}

impl Drop for Pest {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

struct Victim(libc::pthread_t);

// SAFETY: pthread_t is Send wherever it is a number; where it is a pointer, it is an opaque name
// that may be used from any thread.
unsafe impl Send for Victim {}

impl Victim {
    fn pester(&self) {
        // SAFETY: pthread_kill asks for a thread that lives. The victim does not end before its pest
        // has been joined: `Pest` is on its stack.
        unsafe { libc::pthread_kill(self.0, libc::SIGALRM) };
    }
}

fn install_handler(handler: libc::sighandler_t) {
    // SAFETY: all zeros is a value of this C structure: no flags, an empty mask, no handler.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    // SAFETY: sigaction asks for a structure that lives during the call, which the local above
    // does, and for a handler that is safe to run at any time, which adding to an atomic is.
    let answer = unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
    assert_eq!(answer, 0);
}

/// Takes a signal out of use, so that sending it does nothing by itself, and names it.
pub fn ignore_signal() -> i32 {
    // SAFETY: signal asks for a handler, and SIG_IGN is one.
    unsafe { libc::signal(libc::SIGUSR2, libc::SIG_IGN) };
    libc::SIGUSR2
}

/// Sends a signal to this process.
pub fn send_signal(number: i32) {
    // SAFETY: kill and getpid ask for nothing that could be wrong in memory.
    let process = unsafe { libc::getpid() };
    // SAFETY: as above.
    assert_eq!(unsafe { libc::kill(process, number) }, 0);
}

/// Runs `work` in a copy of this process, and says what it answered.
pub fn in_a_fork(work: impl FnOnce() -> i32) -> i32 {
    // SAFETY: fork asks that the child of a program with several threads restrict itself to what
    // needs no lock that another thread may hold: `work` calls the poller, which refuses, and
    // allocates the text of an error, for which malloc is prepared on all our systems.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "no fork: {}", io::Error::last_os_error());
    if child == 0 {
        let answer = work();
        // SAFETY: _exit runs nothing of what the parent has registered.
        unsafe { libc::_exit(answer) };
    }
    let _watchdog = super::watchdog::Watchdog::start();
    let mut status = 0;
    loop {
        // SAFETY: waitpid asks for a place for the status, which the local above is.
        let answer = unsafe { libc::waitpid(child, &raw mut status, 0) };
        if answer == child {
            break;
        }
        assert_eq!(
            io::Error::last_os_error().kind(),
            io::ErrorKind::Interrupted
        );
    }
    assert!(libc::WIFEXITED(status), "the child was killed: {status}");
    libc::WEXITSTATUS(status)
}

/// How long this thread has kept a processor busy.
pub fn processor_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: clock_gettime asks for a place for the time, which the local above is.
    let answer = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(answer, 0, "{}", io::Error::last_os_error());
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
