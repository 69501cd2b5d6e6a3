//! The commands that the conductor gives to children of its own; a user has no need of them.

use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::generator::Plan;
use crate::loads::{self, Figure, idle};
use crate::meter::{self, Figures};
use crate::peers::{self, Peer};
use crate::process::{Started, bound_to_parent};
use crate::server::{self, Running};

/// No child lives longer, whatever happens.
pub const LIMIT: Duration = Duration::from_secs(180);

/// Does it if the command is one of them.
pub fn obey(arguments: &[String]) -> Option<io::Result<()>> {
    let (command, arguments) = arguments.split_first()?;
    match &command[..] {
        "serve" => Some(server::serve(arguments)),
        "run" => Some(run(arguments)),
        "generate" => Some(generate(arguments)),
        "hold" => Some(idle::hold(arguments)),
        "bound" => Some(run_bound(arguments)),
        _ => None,
    }
}

/// Has `command`, which is of this program, run another one that does not outlive it: what is added to
/// `command` is for that one.
pub fn bound(command: &mut Command, program: &str) {
    command.args(["bound", program]);
}

fn run_bound(arguments: &[String]) -> io::Result<()> {
    let (program, arguments) = arguments
        .split_first()
        .ok_or_else(|| wrong("bound PROGRAM..."))?;
    // The next program inherits both bounds.
    bound_to_parent(LIMIT)?;
    Err(Command::new(program).args(arguments).exec())
}

fn wrong(usage: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, usage)
}

fn run(arguments: &[String]) -> io::Result<()> {
    let usage = || wrong("run PEER WORK COUNT");
    let [peer, work, count] = arguments else {
        return Err(usage());
    };
    let peer = peers::named(peer).ok_or_else(usage)?;
    let work = loads::work_named(work).ok_or_else(usage)?;
    let count = count.parse().map_err(|_| usage())?;
    bound_to_parent(LIMIT)?;
    let figures = (work.run)(peer, count).ok_or_else(usage)?;
    meter::print(&figures);
    Ok(())
}

/// Does a work in a child, on one core if that is named.
pub fn figures_of_work(
    peer: &Peer,
    work: &str,
    count: u32,
    core: Option<usize>,
    known: &[Figure],
) -> io::Result<Figures> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["run", peer.name, work, &count.to_string()]);
    figures_of(command, core, known)
}

fn generate(arguments: &[String]) -> io::Result<()> {
    let usage = || wrong("generate ADDRESS PID PLAN...");
    let [address, pid, plan @ ..] = arguments else {
        return Err(usage());
    };
    let address = address.parse().map_err(|_| usage())?;
    let pid = pid.parse().map_err(|_| usage())?;
    let plan = Plan::from_arguments(plan).ok_or_else(usage)?;
    bound_to_parent(LIMIT)?;
    meter::print(&plan.carry_out(address, pid)?);
    Ok(())
}

/// Has the generator do its plan with that server, on one core if that is named.
pub fn figures_of_plan(
    server: &Running,
    plan: Plan,
    core: Option<usize>,
    known: &[Figure],
) -> io::Result<Figures> {
    let mut command = Command::new(std::env::current_exe()?);
    let pid = server.process.pid().to_string();
    command.args(["generate", &server.address.to_string(), &pid]);
    command.args(plan.to_arguments());
    figures_of(command, core, known)
}

fn figures_of(mut command: Command, core: Option<usize>, known: &[Figure]) -> io::Result<Figures> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let cores: Vec<usize> = core.into_iter().collect();
    let mut process = Started::on(&cores, &mut command)?;
    let mut output = String::new();
    let mut pipe = process.child().stdout.take().expect("it is piped");
    pipe.read_to_string(&mut output)?;
    let status = process.child().wait()?;
    if !status.success() {
        return Err(io::Error::other(format!("a child ends with {status}")));
    }
    meter::parse(&output, known)
}
