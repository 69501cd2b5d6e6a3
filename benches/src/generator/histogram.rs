//! Latencies, counted in buckets that are at most 1 % wide: quantiles need no more, and nothing is
//! allocated while the load runs.

use std::time::Duration;

/// Buckets for each power of two.
const STEPS: u64 = 128;
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// Below `2 * STEPS` nanoseconds, each has a bucket of its own; from there on, `STEPS` buckets for
/// each power of two.
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Histogram {
    pub fn new() -> Histogram {
        Histogram {
            buckets: vec![0; bucket_of(u64::MAX) + 1],
            count: 0,
        }
    }

    pub fn add(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(nanoseconds)] += 1;
        self.count += 1;
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// Nanoseconds that this part of the latencies does not exceed.
    pub fn quantile(&self, part: f64) -> f64 {
        let wanted = (self.count as f64 * part).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return least_of(bucket) as f64;
            }
        }
        f64::NAN
    }
}

fn bucket_of(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
    (u64::from(shift) * STEPS + (value >> shift)) as usize
}

fn least_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / STEPS).saturating_sub(1);
    (bucket - shift * STEPS) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_begins_at_most_a_hundredth_below_its_values() {
        for value in (0..62).flat_map(|bit| [1 << bit, (1_u64 << bit) * 3 / 2, (2 << bit) - 1]) {
            let least = least_of(bucket_of(value));
            assert!(
                least <= value && value - least <= value / 100,
                "{value}: {least}"
            );
            assert_eq!(bucket_of(least), bucket_of(value));
        }
    }

    #[test]
    fn quantiles_are_of_what_was_added() {
        let mut histogram = Histogram::new();
        for micros in 1..=1000 {
            histogram.add(Duration::from_micros(micros));
        }
        for (part, expected) in [(0.5, 500e3), (0.99, 990e3), (0.999, 999e3)] {
            let found = histogram.quantile(part);
            assert!(
                (expected * 0.99..=expected).contains(&found),
                "{part}: {found}"
            );
        }
    }
}
