//! What the figures depend on besides the code: the machine, its system, the compiler, the versions.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::peers::Peer;

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    pub rustc: String,
}

impl Machine {
    pub fn this() -> io::Result<Machine> {
        let processors = fs::read_to_string("/proc/cpuinfo")?;
        // Not every architecture tells a name.
        let model = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        Ok(Machine {
            processor: model
                .map_or(std::env::consts::ARCH, |(_, name)| name)
                .to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            kernel: format!("Linux {}", kernel.trim()),
            rustc: output_of("rustc", "--version")?,
        })
    }
}

/// As `2001-02-03`, in universal time.
pub fn today() -> io::Result<String> {
    output_of("date", "-u +%F")
}

fn output_of(program: &str, arguments: &str) -> io::Result<String> {
    let output = Command::new(program).args(arguments.split(' ')).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The package of each peer and its version, out of the `Cargo.lock` by which this program is built.
pub fn versions(peers: &[&Peer], package_folder: &Path) -> io::Result<BTreeMap<String, String>> {
    let lock = fs::read_to_string(package_folder.join("Cargo.lock"))?;
    let version = |peer: &&Peer| {
        let version = version_in(&lock, peer.package).unwrap_or("?");
        (peer.name.to_owned(), format!("{} {version}", peer.package))
    };
    Ok(peers.iter().map(version).collect())
}

fn version_in<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let (_, rest) = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found() {
        let lock = "[[package]]\nname = \"smol-2\"\nversion = \"9.9.9\"\n\n[[package]]\n\
                    name = \"smol\"\nversion = \"2.0.2\"\nsource = \"x\"\n";
        assert_eq!(version_in(lock, "smol"), Some("2.0.2"));
        assert_eq!(version_in(lock, "tokio"), None);
    }

    #[test]
    fn this_machine_is_known() {
        let machine = Machine::this().unwrap();
        assert!(machine.cores > 0 && machine.rustc.starts_with("rustc "));
        assert_eq!(today().unwrap().len(), "2001-02-03".len());
    }
}
