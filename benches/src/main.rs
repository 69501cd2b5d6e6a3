//! ekio beside its peers: `cargo run --release --manifest-path benches/Cargo.toml -- NAME...`
//!
//! Every contender of a bench takes its turn in every round, so that whatever else the machine does
//! meets them all; the figures are medians over the rounds.

mod executors;
mod timers;

/// How often each contender has its turn.
const ROUNDS: usize = 7;

const BENCHES: [(&str, fn()); 3] = [
    ("spawn-join", executors::spawn_join),
    ("yield", executors::yield_now),
    ("timer", timers::timer),
];

fn main() {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let known = |name: &String| BENCHES.iter().any(|(bench, _)| bench == name);
    if names.is_empty() || !names.iter().all(known) {
        let all = BENCHES.map(|(name, _)| name).join(" ");
        eprintln!("usage: ekio-benches NAME...\nbenches: {all}");
        std::process::exit(2);
    }
    for (name, bench) in BENCHES {
        if names.iter().any(|wanted| wanted == name) {
            bench();
        }
    }
}

/// One runtime's way to do the same thing; answers the nanoseconds of one operation.
struct Contender {
    name: &'static str,
    run: fn() -> f64,
}

/// Runs the contenders, the first of which is ours, and prints their medians and our ratio to the
/// best of the others.
fn compare(title: &str, contenders: &[Contender]) {
    let mut figures = vec![Vec::new(); contenders.len()];
    for _ in 0..ROUNDS {
        for (figures, contender) in figures.iter_mut().zip(contenders) {
            figures.push((contender.run)());
        }
    }
    println!("{title} ({ROUNDS} rounds, interleaved)");
    let medians: Vec<f64> = figures.iter_mut().map(|figures| median(figures)).collect();
    for ((contender, median), figures) in contenders.iter().zip(&medians).zip(&figures) {
        let (least, most) = (figures[0], figures[figures.len() - 1]);
        let name = contender.name;
        println!("  {name:<40} {median:>8.1} ns   ({least:.1} to {most:.1})");
    }
    let best = medians[1..].iter().copied().fold(f64::INFINITY, f64::min);
    println!(
        "  ratio to the best of the others          {:>8.2}\n",
        medians[0] / best
    );
}

/// Sorts, and answers the middle.
fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
