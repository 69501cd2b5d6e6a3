//! What is made of samples: medians, how far they spread, and ratios between peers.

/// What is told of one figure over all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Summary {
    /// `None` of nothing.
    pub fn of(samples: &[f64]) -> Option<Summary> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Summary {
            median: middle(&sorted)?,
            least: *sorted.first()?,
            most: *sorted.last()?,
        })
    }
}

/// The median of the ratios within each round. What else the machine does for a while meets both
/// sides of a round, and so leaves their ratio alone; the ratio of two medians would compare
/// different moments. Rounds that one of the two does not have are left out.
pub fn paired_ratio(ours: &[f64], theirs: &[f64]) -> Option<f64> {
    let rounds = ours.iter().zip(theirs);
    let mut ratios: Vec<f64> = rounds
        .filter(|(_, theirs)| **theirs != 0.0)
        .map(|(ours, theirs)| ours / theirs)
        .collect();
    ratios.sort_by(f64::total_cmp);
    middle(&ratios)
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        len if len % 2 == 1 => Some(sorted[half]),
        _ => Some(sorted[half - 1].midpoint(sorted[half])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_lies_between_the_two_in_the_middle() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(
            (summary.least, summary.median, summary.most),
            (1.0, 2.5, 4.0)
        );
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn a_ratio_is_taken_within_rounds() {
        // The machine is twice as slow in the second round, for both.
        assert_eq!(paired_ratio(&[3.0, 6.0, 3.0], &[2.0, 4.0, 2.0]), Some(1.5));
        // The last round is missing on one side, and another cannot be divided by.
        assert_eq!(paired_ratio(&[3.0, 6.0, 9.0], &[2.0, 0.0]), Some(1.5));
        assert_eq!(paired_ratio(&[1.0], &[]), None);
    }
}
