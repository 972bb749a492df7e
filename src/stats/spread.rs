//! A few values in three figures.

/// The middle and the ends of a few values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Half of the values are at or below it; the mean of the two middle ones where their number is even.
    pub median: f64,
    /// The smallest.
    pub low: f64,
    /// The largest.
    pub high: f64,
    /// How many there are.
    pub count: usize,
}

impl Spread {
    /// The spread of `values`, among which may be +∞; none where there are none, or one of them is no number.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        if values.iter().any(|value| value.is_nan()) {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let (&low, &high) = (values.first()?, values.last()?);
        let upper = values[values.len() / 2];
        let lower = values[(values.len() - 1) / 2];
        Some(Self {
            median: if lower == upper {
                lower
            } else {
                lower.midpoint(upper)
            },
            low,
            high,
            count: values.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_middle_of_a_few_values() {
        let infinite = f64::INFINITY;
        for (values, median) in [
            (vec![3.0], 3.0),
            (vec![4.0, 1.0], 2.5),
            (vec![9.0, 1.0, 2.0], 2.0),
            (vec![1.0, infinite, 2.0], 2.0),
            (vec![1.0, infinite], infinite),
            (vec![infinite, infinite], infinite),
        ] {
            assert_eq!(
                Spread::of(values.clone()).unwrap().median,
                median,
                "{values:?}"
            );
        }
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([1.0, f64::NAN]), None);
    }

    proptest! {
        #[test]
        fn half_of_the_values_are_on_each_side_of_the_middle(values in prop::collection::vec(0.0f64..1e12, 1..40)) {
            let spread = Spread::of(values.iter().copied()).unwrap();
            let below = values.iter().filter(|&&value| value < spread.median).count();
            let above = values.iter().filter(|&&value| value > spread.median).count();
            prop_assert!(below * 2 <= values.len() && above * 2 <= values.len());
            prop_assert!(values.iter().all(|value| (spread.low..=spread.high).contains(value)));
        }
    }
}
