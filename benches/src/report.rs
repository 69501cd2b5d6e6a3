//! The report: tables for the terminal, and `RESULTS.md`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::loads::{Figure, Load};
use crate::peers::Peer;
use crate::results::{Outcome, Record, Results, Run};
use crate::targets::{Reached, TARGETS};
use crate::units::{more_is_better, show, show_ratio};

const HEAD: &str = "\
# ekio beside its peers

Written by `cargo run --release --manifest-path benches/Cargo.toml -- --write LOAD...`; not by hand. Figures
are medians over rounds in which each peer has its turn, in another order each time. A ratio is the median
of the ratios within the rounds. Times are of one machine on one day, and only ratios mean something
elsewhere. *floor* is a loop around epoll by hand, without any abstraction. The *best peer* is the best on
epoll besides ekio; those on io_uring do other work, and are shown for comparison. Less is better, but for
rates (/s). The samples are in `results.json`.
";

/// All that is on file, as `RESULTS.md`.
pub fn markdown(results: &Results, loads: &[&Load], peers: &[&Peer]) -> String {
    let mut text = HEAD.to_owned();
    text += &targets(results, loads);
    text += "\n## Loads\n";
    for (load, record) in on_file(results, loads) {
        let name = load.name;
        text += &format!(
            "\n### {name}\n\n{}\n\n![{name}](plots/{name}.svg)\n\n",
            load.title
        );
        text += &tables(load, record, peers);
    }
    text += &runs(results, loads);
    text
}

/// In the order of `loads`; one that does not exist any more is left out.
pub fn on_file<'a>(
    results: &'a Results,
    loads: &'a [&Load],
) -> impl Iterator<Item = (&'a Load, &'a Record)> {
    let find = |load: &&'a Load| Some((*load, results.loads.get(load.name)?));
    loads.iter().filter_map(find)
}

const TARGETS_HEAD: &str = "
## Targets

A target in nanoseconds was set on another machine. For those of which the floor's time there is known,
the last three columns hold ekio against the floor of this run as the target was held against the floor of
then: that tells a slow machine from a slow ekio, and does not take the place of the verdict before it.

";

fn targets(results: &Results, loads: &[&Load]) -> String {
    let head = [
        "load",
        "figure",
        "target",
        "ekio",
        "",
        "target beside the floor of then",
        "ekio beside the floor of now",
        "",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for target in TARGETS {
        let load = loads.iter().find(|load| load.name == target.load);
        let Some(figure) = load.and_then(|load| figure_of(load, target.figure)) else {
            continue;
        };
        let record = results.loads.get(target.load);
        let reached = record.and_then(|record| target.reached(record, figure.unit));
        let (reached, verdict) = in_words(reached);
        let mut cells = vec![target.load.to_owned(), target.figure.to_owned()];
        cells.extend([target.wanted(figure.unit), reached, verdict.to_owned()]);
        let (wanted, reached, verdict) = match target.wanted_then(figure.unit) {
            Some(wanted) => {
                let (reached, verdict) =
                    in_words(record.and_then(|record| target.reached_then(record)));
                (wanted, reached, verdict)
            }
            None => (String::new(), String::new(), ""),
        };
        cells.extend([wanted, reached, verdict.to_owned()]);
        rows.push(cells);
    }
    format!("{TARGETS_HEAD}{}", table(&rows))
}

/// The figure and the verdict.
fn in_words(reached: Option<Reached>) -> (String, &'static str) {
    match reached {
        Some(reached) if reached.holds => (reached.figure, "holds"),
        Some(reached) => (reached.figure, "**missed**"),
        None => (String::new(), "not measured"),
    }
}

fn figure_of<'a>(load: &'a Load, name: &str) -> Option<&'a Figure> {
    load.figures.iter().find(|figure| figure.name == name)
}

/// One table of the figure that decides, with spread and ratios, and one of the others, if any.
pub fn tables(load: &Load, record: &Record, peers: &[&Peer]) -> String {
    let first = &load.figures[0];
    let best = record.best_peer(first.name, more_is_better(first.unit));
    let best_title = best.map_or("to the best peer".to_owned(), |best| format!("to {best}"));
    let head = [
        "peer",
        first.name,
        "least to most",
        "to the floor",
        &best_title,
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut failures = String::new();
    for (name, outcome) in in_order(record, peers) {
        if let Some(why) = &outcome.failure {
            let _ = writeln!(failures, "\n{name} was left out: {}", why.trim());
        }
        if let Some(summary) = record.summary(name, first.name) {
            let show = |value| show(value, first.unit);
            let ratio = |other| record.ratio(name, other, first.name).map(show_ratio);
            rows.push(vec![
                emphasised(name),
                show(summary.median),
                format!("{} to {}", show(summary.least), show(summary.most)),
                ratio("floor").unwrap_or_default(),
                best.and_then(ratio).unwrap_or_default(),
            ]);
        }
    }
    let mut text = table(&rows);
    if load.figures.len() > 1 {
        text += "\n";
        text += &other_figures(load, record, peers);
    }
    text + &failures
}

/// Medians, each with its ratio to the floor's.
fn other_figures(load: &Load, record: &Record, peers: &[&Peer]) -> String {
    let others = &load.figures[1..];
    let head = others.iter().map(|figure| figure.name.to_owned());
    let mut rows = vec![std::iter::once("peer".to_owned()).chain(head).collect()];
    for (name, _) in in_order(record, peers) {
        let cell = |figure: &Figure| {
            let Some(summary) = record.summary(name, figure.name) else {
                return String::new();
            };
            let value = show(summary.median, figure.unit);
            match record.ratio(name, "floor", figure.name) {
                Some(ratio) if name != "floor" => format!("{value} ({})", show_ratio(ratio)),
                _ => value,
            }
        };
        let cells = others.iter().map(cell);
        rows.push(std::iter::once(emphasised(name)).chain(cells).collect());
    }
    table(&rows)
}

fn in_order<'a>(
    record: &'a Record,
    peers: &'a [&Peer],
) -> impl Iterator<Item = (&'a str, &'a Outcome)> {
    let find = |peer: &&'a Peer| Some((peer.name, record.peers.get(peer.name)?));
    peers.iter().filter_map(find)
}

fn emphasised(peer: &str) -> String {
    match peer {
        "ekio" => "**ekio**".to_owned(),
        _ => peer.to_owned(),
    }
}

/// Markdown that can be read in a terminal as well: the columns are as wide as they must be.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows[0].len();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text += "|\n";
        if index == 0 {
            for width in &widths {
                let _ = write!(text, "|{:-<1$}", "", width + 2);
            }
            text += "|\n";
        }
    }
    text
}

/// When and where each load was measured, and the versions.
fn runs(results: &Results, loads: &[&Load]) -> String {
    let mut runs: Vec<(&Run, Vec<(&Load, &Record)>)> = Vec::new();
    for (load, record) in on_file(results, loads) {
        match runs.iter_mut().find(|(run, _)| **run == record.run) {
            Some((_, members)) => members.push((load, record)),
            None => runs.push((&record.run, vec![(load, record)])),
        }
    }
    let mut text = "\n## Runs\n".to_owned();
    for (run, members) in runs {
        let machine = &run.machine;
        let names: Vec<&str> = members.iter().map(|(load, _)| load.name).collect();
        let _ = write!(
            text,
            "\n`-- {}` on {}, {}, {} cores, {}, {}\n\n* loads: {}\n* versions: {}\n",
            run.arguments,
            run.date,
            machine.processor,
            machine.cores,
            machine.kernel,
            machine.rustc,
            names.join(", "),
            versions(members.iter().map(|(_, record)| *record)),
        );
    }
    text
}

/// Each package once, though two peers may be the same package with another queue.
fn versions<'a>(records: impl Iterator<Item = &'a Record>) -> String {
    let all: BTreeSet<&str> = records
        .flat_map(|record| record.versions.values())
        .map(String::as_str)
        .collect();
    Vec::from_iter(all).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::PEERS;
    use crate::results::tests::record;

    const LOAD: Load = Load {
        name: "echo-1",
        title: "An echo",
        figures: &[Figure {
            name: "cpu",
            unit: "ns",
        }],
        can: |_| true,
        run: |_, _| unreachable!(),
        rounds: 2,
    };

    #[test]
    fn a_load_has_its_table_and_its_targets_and_its_run() {
        let record = record(&[("ekio", &[5_000.0, 6_000.0])]);
        let results = Results {
            loads: [("echo-1".to_owned(), record)].into(),
        };
        let text = markdown(&results, &[&LOAD], PEERS);
        assert!(
            text.contains("| **ekio** | 5.50 µs | 5.00 µs to 6.00 µs |"),
            "{text}"
        );
        assert!(text.contains("`-- all --write` on 2001-02-03"), "{text}");
        assert!(
            text.contains("| echo-1 | cpu    | ≤ 1.04 of floor |      | not measured |  "),
            "{text}"
        );
    }
}
