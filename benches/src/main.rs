//! ekio beside its peers: `cargo run --release --manifest-path benches/Cargo.toml -- LOAD...`
//!
//! ```text
//!  args ──> plan ──> conduct ──(a child for each turn)──> loads ──> peers
//!                       │                                            meter, memory
//!                       v
//!                    results ──> report, plots   (statistics, targets, units)
//! ```
//!
//! Every peer takes its turn in every round, so that whatever else the machine does meets them all.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

use args::Wishes;
use loads::Load;
use peers::{PEERS, Peer};
use plan::Contest;
use results::{Record, Results, Run};

mod args;
mod children;
mod conduct;
mod generator;
mod loads;
mod machine;
mod memory;
mod meter;
mod peers;
mod plan;
mod plots;
mod process;
mod report;
mod results;
mod rustc;
mod server;
mod statistics;
mod targets;
mod units;

/// Something that was typed is wrong.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<String> = arguments
        .iter()
        .map(|word| word.to_string_lossy().into())
        .collect();
    if let Some(done) = children::obey(&words) {
        return ended(done.map(|()| ExitCode::SUCCESS));
    }
    // Those commands are for the children that have it in their environment as well.
    if let Some(times) = std::env::var_os(rustc::TIMES) {
        return ended(rustc::run(&arguments, times));
    }
    match choose(arguments) {
        Ok((wishes, ..)) if wishes.wants_help => {
            print!("{}", args::usage(&all_loads(), PEERS));
            ExitCode::SUCCESS
        }
        Ok((wishes, loads, peers)) => ended(run(&wishes, &loads, &peers)),
        Err(error) => {
            eprintln!("error: {error}\n\nWithout arguments it tells what there is.");
            ExitCode::from(MISUSED)
        }
    }
}

fn all_loads() -> Vec<&'static Load> {
    loads::all().collect()
}

fn ended(result: io::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

type Choice = (Wishes, Vec<&'static Load>, Vec<&'static Peer>);

fn choose(arguments: Vec<OsString>) -> Result<Choice, String> {
    let wishes = Wishes::parse(arguments).map_err(|error| error.to_string())?;
    let loads = wishes.loads(&all_loads())?;
    let peers = wishes.peers(PEERS)?;
    Ok((wishes, loads, peers))
}

/// The status tells whether a peer has failed, though the others go on.
fn run(wishes: &Wishes, loads: &[&'static Load], peers: &[&'static Peer]) -> io::Result<ExitCode> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = folder.join("results.json");
    let mut results = Results::default();
    if wishes.shall_write {
        results = Results::read(&path)?;
    }
    let peers = conduct::able(peers);
    let run = this_run()?;
    let mut status = ExitCode::SUCCESS;
    for (index, load) in loads.iter().enumerate() {
        let contest = Contest::new(load, &peers, wishes.rounds, wishes.is_short);
        let place = format!("{}/{}", index + 1, loads.len());
        if contest.peers.is_empty() {
            eprintln!("[{place}] {}: none of the peers can do it", load.name);
            continue;
        }
        let record = Record {
            run: run.clone(),
            versions: machine::versions(&contest.peers, folder)?,
            peers: conduct::conduct(&contest, wishes.effort(), &place),
        };
        if record.peers.values().any(|outcome| outcome.is_fault) {
            status = ExitCode::FAILURE;
        }
        println!("\n{}: {}\n", load.name, load.title);
        println!("{}", report::tables(load, &record, PEERS));
        results.loads.insert(load.name.to_owned(), record);
        if wishes.shall_write {
            // After each load, so that an end before the last one loses one load alone.
            results.write(&path)?;
        }
    }
    if wishes.shall_write {
        write_report(&results, folder)?;
    }
    Ok(status)
}

fn write_report(results: &Results, folder: &Path) -> io::Result<()> {
    let loads = all_loads();
    let text = report::markdown(results, &loads, PEERS);
    fs::write(folder.join("RESULTS.md"), text)?;
    plots::write(results, &loads, PEERS, &folder.join("plots"))
}

fn this_run() -> io::Result<Run> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    Ok(Run {
        date: machine::today()?,
        arguments: arguments.join(" "),
        machine: machine::Machine::this()?,
    })
}
