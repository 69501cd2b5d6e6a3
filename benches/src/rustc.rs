//! Cargo runs this program in place of rustc (`RUSTC_WRAPPER`) while the load `build` measures: it runs
//! rustc, and writes down what it took.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::process::{Command, ExitCode};

use crate::process::cpu_of_children;

/// The environment variable with the path of the file; if it is not set, this program is not in rustc's
/// place.
pub const TIMES: &str = "EKIO_BENCHES_RUSTC_TIMES";

/// `arguments` begin with the path of rustc.
pub fn run(arguments: &[OsString], times: OsString) -> io::Result<ExitCode> {
    let (rustc, arguments) = arguments.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let status = Command::new(rustc).args(arguments).status()?;
    // Not set when Cargo asks for the version and such.
    if let (Some(name), Some(version)) = (variable("CARGO_PKG_NAME"), variable("CARGO_PKG_VERSION"))
    {
        let seconds = cpu_of_children().as_secs_f64();
        let line = format!("{name} {version} {seconds}\n");
        let mut file = OpenOptions::new().create(true).append(true).open(times)?;
        // In one call, because others append to it as well.
        file.write_all(line.as_bytes())?;
    }
    Ok(match status.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
