//! Ends the program if something hangs: a hang in one test must not hang the whole run.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::HANG;

/// What is going on: since when it hangs, and which test it is.
type Watched = Mutex<(u64, BTreeMap<u64, (Instant, String)>)>;

fn watched() -> &'static Watched {
    static WATCHED: OnceLock<Watched> = OnceLock::new();
    WATCHED.get_or_init(|| {
        thread::spawn(|| {
            loop {
                thread::sleep(Duration::from_millis(500));
                let now = Instant::now();
                for (deadline, name) in watched().lock().unwrap().1.values() {
                    if *deadline <= now {
                        // Not by `eprintln`, which a test program captures, and loses now.
                        let text = format!("{name} hangs: nothing happened for {HANG:?}\n");
                        let _ = std::io::stderr().write_all(text.as_bytes());
                        std::process::abort();
                    }
                }
            }
        });
        Watched::default()
    })
}

/// The name of the test whose own thread this is.
pub fn this_test() -> String {
    thread::current().name().unwrap_or("a thread").to_owned()
}

/// While it lives, [`HANG`] may pass.
pub struct Watchdog(u64);

impl Watchdog {
    pub fn start() -> Watchdog {
        Watchdog::start_for(&this_test())
    }

    /// For a thread of the test of that name.
    pub fn start_for(name: &str) -> Watchdog {
        let mut watched = watched().lock().unwrap();
        watched.0 += 1;
        let id = watched.0;
        watched
            .1
            .insert(id, (Instant::now() + HANG, name.to_owned()));
        Watchdog(id)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Ok(mut watched) = watched().lock() {
            watched.1.remove(&self.0);
        }
    }
}
