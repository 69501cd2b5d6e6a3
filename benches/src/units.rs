//! How a figure is written for people.

/// Three digits and the unit that suits the size; `unit` is one of those of `Figure`.
pub fn show(value: f64, unit: &str) -> String {
    match unit {
        "ns" => scaled(value, &[(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")]),
        "s" => scaled(value * 1e3, &[(1e3, "s"), (1.0, "ms")]),
        "bytes" => scaled(value, &[(1e6, "MB"), (1e4, "KB"), (1.0, "B")]),
        "/s" => scaled(value, &[(1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")]),
        "calls" => format!("{value:.2}"),
        _ => format!("{value:.0}"),
    }
}

/// Whether more of it is better.
pub fn more_is_better(unit: &str) -> bool {
    unit == "/s"
}

/// `steps` are in descending order; KB begin at ten, so that small counts of bytes are exact.
fn scaled(value: f64, steps: &[(f64, &str)]) -> String {
    let fits = steps.iter().find(|(step, _)| value.abs() >= *step);
    let (step, name) = fits.unwrap_or(&steps[steps.len() - 1]);
    let step = if *name == "KB" { 1e3 } else { *step };
    let scaled = value / step;
    let digits = match scaled.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{scaled:.digits$} {name}")
}

/// Three digits behind the point where a target may hang on them.
pub fn show_ratio(ratio: f64) -> String {
    match ratio {
        10.0.. => format!("{ratio:.1}"),
        2.0.. => format!("{ratio:.2}"),
        _ => format!("{ratio:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        assert_eq!(show(5_312.0, "ns"), "5.31 µs");
        assert_eq!(show(36.04, "ns"), "36.0 ns");
        assert_eq!(show(0.5, "ns"), "0.50 ns");
        assert_eq!(show(13.6, "s"), "13.6 s");
        assert_eq!(show(895.0, "bytes"), "895 B");
        assert_eq!(show(412_000.0, "bytes"), "412 KB");
        assert_eq!(show(183_000.0, "/s"), "183 k/s");
        assert_eq!(show(2.041, "calls"), "2.04");
        assert_eq!(show(11.0, "crates"), "11");
        assert_eq!(show_ratio(1.0349), "1.035");
    }
}
