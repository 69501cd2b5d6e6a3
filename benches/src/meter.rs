//! What is measured inside of a process: CPU time and wall time of the part that matters.

use std::io;
use std::time::{Duration, Instant};

use crate::loads::Figure;

/// Named figures of one run of one load by one peer, such as `("cpu", 5_312.0)`, in the units that
/// the load tells.
pub type Figures = Vec<(&'static str, f64)>;

/// Started and stopped by a peer, around the work proper: not around the making of its runtime.
#[derive(Default)]
pub struct Meter {
    begun: Option<(Instant, Duration)>,
    wall: Duration,
    cpu: Duration,
}

impl Meter {
    pub fn start(&mut self) {
        self.begun = Some((Instant::now(), cpu_of_process()));
    }

    pub fn stop(&mut self) {
        let (wall, cpu) = self
            .begun
            .take()
            .expect("a meter is started before it is stopped");
        self.cpu = cpu_of_process() - cpu;
        self.wall = wall.elapsed();
    }

    /// CPU time of all threads of the process, and wall time, per operation in nanoseconds.
    pub fn per_operation(&self, count: u32) -> Figures {
        let per = |time: Duration| time.as_nanos() as f64 / f64::from(count);
        vec![("cpu", per(self.cpu)), ("wall", per(self.wall))]
    }
}

/// User and system time of this process.
fn cpu_of_process() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// For the process that started this one, which reads it by `parse`.
pub fn print(figures: &Figures) {
    for (name, value) in figures {
        println!("{name} {value}");
    }
}

/// Those of the figures that are known, in the order of `known`.
pub fn parse(printed: &str, known: &[Figure]) -> io::Result<Figures> {
    let mut figures = Figures::new();
    for figure in known {
        let mut lines = printed.lines().filter_map(|line| line.split_once(' '));
        let value = lines.find(|(name, _)| *name == figure.name);
        let value = value
            .and_then(|(_, value)| value.parse().ok())
            .ok_or_else(|| {
                io::Error::other(format!("a child does not tell its figure {}", figure.name))
            })?;
        figures.push((figure.name, value));
    }
    Ok(figures)
}
