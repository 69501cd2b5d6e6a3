//! The command line: which loads, which peers, how often.

use std::ffi::OsString;

use lexopt::prelude::*;

use crate::loads::{Effort, Load};
use crate::peers::Peer;

/// What was typed.
#[derive(Debug, Default, PartialEq)]
pub struct Wishes {
    /// As typed; empty if none.
    pub loads: Vec<String>,
    /// All of them if `None`.
    pub peers: Option<Vec<String>>,
    /// As many as each load is worth if `None`.
    pub rounds: Option<usize>,
    pub is_short: bool,
    pub shall_write: bool,
    pub wants_help: bool,
}

impl Wishes {
    /// `arguments` without the program's name.
    pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Wishes, lexopt::Error> {
        let mut wishes = Wishes::default();
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next()? {
            match argument {
                Long("short") => wishes.is_short = true,
                Long("write") => wishes.shall_write = true,
                Long("rounds") => wishes.rounds = Some(parser.value()?.parse_with(rounds)?),
                Long("peers") => {
                    let names = parser.value()?.string()?;
                    wishes.peers = Some(names.split(',').map(str::to_owned).collect());
                }
                Short('h') | Long("help") => wishes.wants_help = true,
                Value(name) => wishes.loads.push(name.string()?),
                other => return Err(other.unexpected()),
            }
        }
        // Neither a load nor anything else to do.
        wishes.wants_help |= wishes.loads.is_empty() && !wishes.shall_write;
        Ok(wishes)
    }

    pub fn effort(&self) -> Effort {
        match self.is_short {
            true => Effort::Short,
            false => Effort::Whole,
        }
    }

    /// The chosen ones of `all`, in the order of `all`.
    pub fn loads(&self, all: &[&'static Load]) -> Result<Vec<&'static Load>, String> {
        let names: Vec<&str> = all.iter().map(|load| load.name).collect();
        let chosen = choose(&self.loads, &names, "load")?;
        Ok(chosen.into_iter().map(|index| all[index]).collect())
    }

    /// The same of peers.
    pub fn peers(&self, all: &[&'static Peer]) -> Result<Vec<&'static Peer>, String> {
        let Some(wanted) = &self.peers else {
            return Ok(all.to_vec());
        };
        let names: Vec<&str> = all.iter().map(|peer| peer.name).collect();
        let chosen = choose(wanted, &names, "peer")?;
        Ok(chosen.into_iter().map(|index| all[index]).collect())
    }
}

fn rounds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..) => Ok(count),
        _ => Err("wants a number, 1 or more".to_owned()),
    }
}

/// Indices of those of `names` that are wanted. `all` means each, and `echo` means `echo-1`, `echo-64`
/// and so on, besides what is called `echo` itself.
fn choose(wanted: &[String], names: &[&str], kind: &str) -> Result<Vec<usize>, String> {
    let is_meant = |wanted: &str, name: &str| {
        let rest = name.strip_prefix(wanted);
        wanted == "all" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let unknown = wanted
        .iter()
        .find(|wanted| !names.iter().any(|name| is_meant(wanted, name)));
    if let Some(unknown) = unknown {
        let all = names.join(" ");
        return Err(format!(
            "there is no {kind} `{unknown}`; there are: all {all}"
        ));
    }
    let is_wanted = |name: &str| wanted.iter().any(|wanted| is_meant(wanted, name));
    Ok((0..names.len())
        .filter(|index| is_wanted(names[*index]))
        .collect())
}

/// What is printed when nothing is asked for.
pub fn usage(loads: &[&Load], peers: &[&Peer]) -> String {
    let mut text = "\
ekio beside its peers, in one run.

    cargo run --release --manifest-path benches/Cargo.toml -- [OPTIONS] LOAD...

A LOAD is one of those below, the beginning of some (`echo` is each `echo-...`), or `all`.

    --short          for a glance: all loads of all peers end within five minutes
    --rounds N       how often each peer has its turn (7, 21 for a server, once where a figure does not vary)
    --peers a,b      only these peers
    --write          writes benches/RESULTS.md, the plots and the samples; what is on file of other
                     loads stays. Without a LOAD, writes the report anew of what is on file

Loads:
"
    .to_owned();
    for load in loads {
        text += &format!("    {:<16} {}\n", load.name, load.title);
    }
    text += "\nPeers:\n";
    for peer in peers {
        let note = match (peer.check)() {
            Ok(()) => peer.package.to_owned(),
            Err(why) => format!("{}, not on this machine: {why}", peer.package),
        };
        text += &format!("    {:<16} {note}\n", peer.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Wishes, lexopt::Error> {
        Wishes::parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_and_loads_in_any_order() {
        let wishes = parse("echo-64 --short --rounds=3 --peers ekio,tokio --write churn").unwrap();
        assert_eq!(wishes.loads, ["echo-64", "churn"]);
        assert_eq!(wishes.peers.unwrap(), ["ekio", "tokio"]);
        assert_eq!(wishes.rounds, Some(3));
        assert!(wishes.is_short && wishes.shall_write && !wishes.wants_help);
    }

    #[test]
    fn nothing_asks_for_help_and_write_alone_does_not() {
        assert!(parse("").unwrap().wants_help);
        assert!(parse("--short").unwrap().wants_help);
        assert!(!parse("--write").unwrap().wants_help);
    }

    #[test]
    fn wrong_things_are_refused() {
        for wrong in [
            "--round 3 all",
            "--rounds 0 all",
            "--rounds x all",
            "--peers",
            "--write=x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_beginning_of_a_name_chooses_all_of_them() {
        let names = ["echo-1", "echo-64", "echoes", "churn"];
        let choose = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|name| name.to_string()).collect();
            choose(&wanted, &names, "load")
        };
        assert_eq!(choose(&["churn", "echo"]).unwrap(), [0, 1, 3]);
        assert_eq!(choose(&["all"]).unwrap(), [0, 1, 2, 3]);
        assert!(choose(&["ech"]).unwrap_err().contains("no load `ech`"));
    }
}
