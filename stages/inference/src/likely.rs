//! How likely tokens were: logarithms of probabilities from a row of logits.

/// A row of logits as probabilities.
pub struct Likely<'a> {
    logits: &'a [f32],
    /// What makes logits logarithms of probabilities.
    total: f64,
}

impl<'a> Likely<'a> {
    /// Of a row of logits.
    pub fn new(logits: &'a [f32]) -> Self {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
        Self { logits, total: f64::from(most) + sum.ln() }
    }

    /// The logarithm of a token's probability.
    pub fn of(&self, id: u32) -> f64 {
        self.logits.get(id as usize).map_or(f64::NEG_INFINITY, |logit| f64::from(*logit) - self.total)
    }

    /// The likeliest token, of equals the one with the lower number.
    pub fn likeliest(&self) -> u32 {
        let first =
            |best: (u32, f32), (id, logit): (u32, &f32)| if *logit > best.1 { (id, *logit) } else { best };
        (0..).zip(self.logits).fold((0, f32::NEG_INFINITY), first).0
    }

    /// The likeliest tokens, the likeliest first.
    pub fn best(&self, count: usize) -> Vec<(u32, f64)> {
        let mut ids: Vec<u32> = (0..self.logits.len() as u32).collect();
        let by = |a: &u32, b: &u32| {
            let logit = |id: &u32| self.logits[*id as usize];
            logit(b).total_cmp(&logit(a)).then(a.cmp(b))
        };
        if count < ids.len() {
            ids.select_nth_unstable_by(count, by);
            ids.truncate(count);
        }
        ids.sort_unstable_by(by);
        ids.into_iter().map(|id| (id, self.of(id))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_the_formula() {
        let likely = Likely::new(&[1.0, 3.0, 2.0, 3.0]);
        let sum = [1.0_f64, 3.0, 2.0, 3.0].map(f64::exp).iter().sum::<f64>();
        for (id, logit) in [(0, 1.0), (1, 3.0), (2, 2.0)] {
            assert!((likely.of(id) - (logit - sum.ln())).abs() < 1e-12);
        }
        assert_eq!(likely.best(3).iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 3, 2]);
        assert_eq!((likely.best(9).len(), likely.likeliest(), likely.of(4)), (4, 1, f64::NEG_INFINITY));
        // Far beyond what the exponential of an f32 can hold.
        assert!((Likely::new(&[1000.0, 1000.0]).of(0) + 2.0_f64.ln()).abs() < 1e-12);
    }
}
