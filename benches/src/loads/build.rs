//! What a program costs that uses a runtime: the cold release build of a TCP echo, in a package and a
//! target folder of its own, with the versions by which the benchmarks themselves are built.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{fs, io};

use super::{Effort, Figure, Load};
use crate::children::bound;
use crate::meter::Figures;
use crate::peers::Peer;
use crate::process::{Started, cpu_of_children};
use crate::rustc::TIMES;

/// The program of one peer, and what its manifest says for it.
struct Program {
    peer: &'static str,
    source: &'static str,
    dependency: &'static str,
}

/// With the features that its users need for it, and no others where those can be left out. A peer with two queues has the program with those that it
/// has by default, and counts as the queue that it would take.
const PROGRAMS: &[Program] = &[
    Program {
        peer: "floor",
        source: include_str!("../../programs/floor.rs"),
        dependency: "",
    },
    Program {
        peer: "ekio",
        source: include_str!("../../programs/ekio.rs"),
        dependency: "ekio = { path = \"EKIO\", default-features = false }",
    },
    Program {
        peer: "tokio",
        source: include_str!("../../programs/tokio.rs"),
        dependency: "tokio = { version = \"1\", features = [\"io-util\", \"macros\", \"net\", \"rt\"] }",
    },
    Program {
        peer: "smol",
        source: include_str!("../../programs/smol.rs"),
        dependency: "smol = \"2\"",
    },
    Program {
        peer: "monoio-epoll",
        source: include_str!("../../programs/monoio.rs"),
        dependency: "monoio = \"0.2\"",
    },
    Program {
        peer: "compio-uring",
        source: include_str!("../../programs/compio.rs"),
        dependency: "compio = { version = \"0.19\", features = [\"io\", \"net\", \"runtime\"] }",
    },
];

/// `crates` are counted with the program, `size` is that of the stripped program, `runtime` and
/// `rustix` are the CPU time of those crates alone, where there are any.
const FIGURES: &[Figure] = &[
    Figure {
        name: "cpu",
        unit: "s",
    },
    Figure {
        name: "wall",
        unit: "s",
    },
    Figure {
        name: "crates",
        unit: "crates",
    },
    Figure {
        name: "size",
        unit: "bytes",
    },
    Figure {
        name: "runtime",
        unit: "s",
    },
    Figure {
        name: "rustix",
        unit: "s",
    },
];

pub const LOADS: &[Load] = &[Load {
    name: "build",
    title: "the cold release build of a TCP echo",
    figures: FIGURES,
    can: |peer| program_of(peer).is_some(),
    run,
    // Each takes seconds, and all processors.
    rounds: 3,
}];

fn program_of(peer: &Peer) -> Option<&'static Program> {
    PROGRAMS.iter().find(|program| program.peer == peer.name)
}

fn run(peer: &Peer, _: Effort) -> io::Result<Figures> {
    let program = program_of(peer).ok_or(io::ErrorKind::Unsupported)?;
    let package = Package::new(program)?;
    // What may have to be downloaded is not measured.
    package.cargo(&["fetch"])?;
    let (begin, before) = (Instant::now(), cpu_of_children());
    package.cargo(&["build", "--release", "--offline"])?;
    let (wall, cpu) = (begin.elapsed(), cpu_of_children() - before);
    let crates = package.crates()?;
    let mut figures = vec![
        ("cpu", cpu.as_secs_f64()),
        ("wall", wall.as_secs_f64()),
        ("crates", crates.len() as f64),
        ("size", package.size()? as f64),
    ];
    // The floor's program is of no crate but itself.
    let parts = [("runtime", peer.package), ("rustix", "rustix")];
    for (figure, name) in parts {
        figures.extend(crates.get(name).map(|seconds| (figure, *seconds)));
    }
    Ok(figures)
}

/// A folder that is removed with this value.
struct Package(PathBuf);

impl Package {
    fn new(program: &Program) -> io::Result<Package> {
        let benches = Path::new(env!("CARGO_MANIFEST_DIR"));
        let package = Package(benches.join("target/cold").join(program.peer));
        let folder = &package.0;
        // Of a run that was ended in the middle.
        package.remove()?;
        fs::create_dir_all(folder.join("src"))?;
        fs::write(folder.join("src/main.rs"), program.source)?;
        let ekio = benches.join("..").display().to_string();
        let dependency = program.dependency.replace("EKIO", &ekio);
        fs::write(folder.join("Cargo.toml"), manifest(&dependency))?;
        // Cargo takes out of it what the program does not need.
        fs::copy(benches.join("Cargo.lock"), folder.join("Cargo.lock"))?;
        Ok(package)
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn cargo(&self, arguments: &[&str]) -> io::Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        bound(&mut command, "cargo");
        command.args(arguments).arg("--quiet").current_dir(&self.0);
        command.env("CARGO_TARGET_DIR", self.0.join("target"));
        // Neither the flags nor the wrappers of whoever measures.
        command
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        command.env("RUSTC_WRAPPER", std::env::current_exe()?);
        command.env(TIMES, self.times());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let status = Started::on(&[], &mut command)?.child().wait()?;
        match status.success() {
            true => Ok(()),
            false => Err(io::Error::other(format!(
                "cargo {arguments:?} ends with {status}"
            ))),
        }
    }

    fn times(&self) -> PathBuf {
        self.0.join("times")
    }

    /// CPU seconds of each that was compiled, by name and, if there are more of it, version.
    fn crates(&self) -> io::Result<BTreeMap<String, f64>> {
        let mut crates: BTreeMap<String, f64> = BTreeMap::new();
        let mut versions: BTreeMap<String, String> = BTreeMap::new();
        for line in fs::read_to_string(self.times())?.lines() {
            let parts: Vec<&str> = line.split(' ').collect();
            let [name, version, seconds] = parts[..] else {
                return Err(io::Error::other("a line of `times` is not whole"));
            };
            let seconds: f64 = seconds.parse().map_err(io::Error::other)?;
            let first = versions
                .entry(name.to_owned())
                .or_insert(version.to_owned());
            let key = match version == first {
                true => name.to_owned(),
                false => format!("{name} {version}"),
            };
            // A package with a build script is compiled twice.
            *crates.entry(key).or_default() += seconds;
        }
        Ok(crates)
    }

    /// Of the program, in bytes.
    fn size(&self) -> io::Result<u64> {
        Ok(fs::metadata(self.0.join("target/release/echo"))?.len())
    }
}

impl Drop for Package {
    fn drop(&mut self) {
        // The next one removes what is left.
        let _ = self.remove();
    }
}

/// Cargo's own profile, but stripped.
fn manifest(dependency: &str) -> String {
    format!(
        "[package]\nname = \"echo\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [profile.release]\nstrip = true\n\n[dependencies]\n{dependency}\n"
    )
}
