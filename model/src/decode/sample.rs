//! Which token comes next: logits, made flatter or steeper, cut to the likely ones, and chance.
use muse_kernels::{likeliest, weights};
use std::cmp::Ordering;

/// How the next token is chosen. The steps are taken in the order of the fields, as Hugging Face's `transformers` takes them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Logits of tokens that stood there already are divided by this where they are above 0, and multiplied below: 1 for nothing.
    pub repetition_penalty: f64,
    /// Taken off the logits of tokens that were generated already.
    pub presence_penalty: f64,
    /// Taken off them for each time that they were.
    pub frequency_penalty: f64,
    /// What logits are divided by; 0 takes the likeliest token, and leaves nothing to chance.
    pub temperature: f64,
    /// Only so many of the likeliest; 0 for all.
    pub top_k: usize,
    /// Only the likeliest that have this share together.
    pub top_p: f64,
    /// Only those that have this share of what the likeliest has.
    pub min_p: f64,
    /// What chance depends on.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            seed: 0,
        }
    }
}

impl Sampling {
    /// Whether the likeliest token is taken, as the model says it.
    pub fn takes_likeliest(&self) -> bool {
        self.temperature <= 0.0 && !self.penalizes()
    }

    /// Whether it matters what stood there already.
    fn penalizes(&self) -> bool {
        self.repetition_penalty != 1.0 || self.presence_penalty != 0.0 || self.frequency_penalty != 0.0
    }
}

/// Chooses tokens of one text, each by chance of its own.
#[derive(Clone, Debug)]
pub struct Sampler {
    sampling: Sampling,
    chosen: u64,
}

/// A token and its weight.
type Candidate = (u32, f32);

impl Sampler {
    /// For one text.
    pub fn new(sampling: Sampling) -> Self {
        Self { sampling, chosen: 0 }
    }

    /// The next token, behind a prompt and what was generated so far.
    pub fn next(&mut self, logits: &[f32], prompt: &[u32], generated: &[u32]) -> u32 {
        let number = self.chosen;
        self.chosen += 1;
        let mut penalized = Vec::new();
        let logits = if self.sampling.penalizes() {
            penalized.extend_from_slice(logits);
            self.penalize(&mut penalized, prompt, generated);
            &penalized
        } else {
            logits
        };
        let Sampling { temperature, top_k, top_p, min_p, seed, .. } = self.sampling;
        if temperature <= 0.0 {
            return likeliest(logits) as u32;
        }
        let mut weights = weights(logits, temperature as f32);
        if (1..weights.len()).contains(&top_k) || top_p < 1.0 {
            cut(&mut weights, top_k, top_p);
        }
        // The likeliest weighs 1.
        if min_p > 0.0 {
            weights.iter_mut().filter(|weight| f64::from(**weight) < min_p).for_each(|weight| *weight = 0.0);
        }
        drawn(&weights, uniform(seed, number))
    }

    fn penalize(&self, logits: &mut [f32], prompt: &[u32], generated: &[u32]) {
        let Sampling { repetition_penalty, presence_penalty, frequency_penalty, .. } = self.sampling;
        if repetition_penalty != 1.0 {
            let mut seen: Vec<u32> = prompt.iter().chain(generated).copied().collect();
            seen.sort_unstable();
            seen.dedup();
            let penalty = repetition_penalty as f32;
            for id in seen {
                if let Some(logit) = logits.get_mut(id as usize) {
                    *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
                }
            }
        }
        if presence_penalty != 0.0 || frequency_penalty != 0.0 {
            let mut own = generated.to_vec();
            own.sort_unstable();
            for run in own.chunk_by(|a, b| a == b) {
                if let Some(logit) = logits.get_mut(run[0] as usize) {
                    *logit -= (presence_penalty + frequency_penalty * run.len() as f64) as f32;
                }
            }
        }
    }
}

/// The likelier one first; of equals the one with the lower number.
fn likelier(a: &Candidate, b: &Candidate) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Leaves weight to the `top_k` likeliest, where that is not 0, and of these to those that have a share together.
fn cut(weights: &mut [f32], top_k: usize, top_p: f64) {
    let mut candidates: Vec<Candidate> =
        (0..).zip(weights.iter().copied()).filter(|(_, weight)| *weight > 0.0).collect();
    if (1..candidates.len()).contains(&top_k) {
        candidates.select_nth_unstable_by(top_k, likelier);
        candidates.truncate(top_k);
    }
    if top_p < 1.0 {
        cut_to_share(&mut candidates, top_p);
    }
    weights.fill(0.0);
    candidates.into_iter().for_each(|(id, weight)| weights[id as usize] = weight);
}

/// Cuts to the likeliest candidates that have this share together, the one with which it is reached among them.
fn cut_to_share(candidates: &mut Vec<Candidate>, share: f64) {
    let enough = share * candidates.iter().map(|(_, weight)| f64::from(*weight)).sum::<f64>();
    // The likeliest few have it, mostly: to sort all of a vocabulary takes longer than the model does.
    let mut sorted = 0;
    let mut sum = 0.0;
    while sorted < candidates.len() {
        let rest = &mut candidates[sorted..];
        let next = (sorted * 4).max(64).min(rest.len());
        if next < rest.len() {
            rest.select_nth_unstable_by(next - 1, likelier);
        }
        rest[..next].sort_unstable_by(likelier);
        for candidate in &rest[..next] {
            sum += f64::from(candidate.1);
            sorted += 1;
            if sum >= enough {
                return candidates.truncate(sorted);
            }
        }
    }
}

/// Weights that are added up together.
const TOGETHER: usize = 256;

/// The token at a share of the way through all, by their weights.
fn drawn(weights: &[f32], share: f64) -> u32 {
    let sums: Vec<f64> = weights.chunks(TOGETHER).map(sum).collect();
    let mut left = share * sums.iter().sum::<f64>();
    for (sum, (part, first)) in sums.iter().zip(weights.chunks(TOGETHER).zip((0..).step_by(TOGETHER))) {
        if left >= *sum {
            left -= sum;
            continue;
        }
        for (weight, id) in part.iter().zip(first..) {
            left -= f64::from(*weight);
            if left < 0.0 {
                return id;
            }
        }
    }
    // Sums in another order may end a little before.
    weights.iter().rposition(|weight| *weight > 0.0).map_or(0, |id| id as u32)
}

/// A sum in eight lanes.
fn sum(weights: &[f32]) -> f64 {
    let (eights, rest) = weights.as_chunks::<8>();
    let mut lanes = [0.0_f64; 8];
    for eight in eights {
        lanes.iter_mut().zip(eight).for_each(|(lane, weight)| *lane += f64::from(*weight));
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|weight| f64::from(*weight)).sum::<f64>()
}

/// A number in `[0, 1)` that depends on a seed and on how many were drawn before: SplitMix64.
fn uniform(seed: u64, number: u64) -> f64 {
    let mut x = seed.wrapping_add((number.wrapping_add(1)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How often each token comes.
    fn counts(sampling: Sampling, logits: &[f32]) -> Vec<u32> {
        let mut sampler = Sampler::new(sampling);
        let mut counts = vec![0; logits.len()];
        (0..20_000).for_each(|_| counts[sampler.next(logits, &[], &[]) as usize] += 1);
        counts
    }

    fn logits(shares: &[f64]) -> Vec<f32> {
        shares.iter().map(|share| share.ln() as f32).collect()
    }

    const SHARES: [f64; 5] = [0.1, 0.4, 0.05, 0.3, 0.15];

    #[test]
    fn tokens_come_as_often_as_their_shares_say() {
        let near = |sampling, shares: [f64; 5]| {
            for (count, share) in counts(sampling, &logits(&SHARES)).into_iter().zip(shares) {
                let got = f64::from(count) / 20_000.0;
                assert!(
                    (got - share).abs() < 0.012 && (share > 0.0 || count == 0),
                    "{sampling:?}: {got} {share}"
                );
            }
        };
        let plain = Sampling { seed: 3, ..Sampling::default() };
        near(plain, SHARES);
        near(Sampling { top_k: 2, ..plain }, [0.0, 4.0 / 7.0, 0.0, 3.0 / 7.0, 0.0]);
        // 0.4 and 0.3 are 0.7; the one with which 0.71 is reached is in, too.
        near(Sampling { top_p: 0.69, ..plain }, [0.0, 4.0 / 7.0, 0.0, 3.0 / 7.0, 0.0]);
        near(Sampling { top_p: 0.71, ..plain }, [0.0, 0.4 / 0.85, 0.0, 0.3 / 0.85, 0.15 / 0.85]);
        near(Sampling { min_p: 0.5, ..plain }, [0.0, 4.0 / 7.0, 0.0, 3.0 / 7.0, 0.0]);
        // Squares of the shares.
        let sum: f64 = SHARES.iter().map(|share| share * share).sum();
        near(Sampling { temperature: 0.5, ..plain }, SHARES.map(|share| share * share / sum));
        near(Sampling { temperature: 0.0, ..plain }, [0.0, 1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn penalties_change_what_stood_there() {
        let mut greedy = Sampler::new(Sampling { temperature: 0.0, ..Sampling::default() });
        assert_eq!(greedy.next(&[2.0, 3.0, -1.0], &[], &[]), 1);
        greedy.sampling.repetition_penalty = 2.0;
        assert_eq!(greedy.next(&[2.0, 3.0, -1.0], &[1], &[]), 0);
        assert_eq!(greedy.next(&[-1.5, -1.0, -9.0], &[], &[1]), 0, "below nothing it multiplies");
        greedy.sampling = Sampling { temperature: 0.0, frequency_penalty: 0.6, ..Sampling::default() };
        assert_eq!(greedy.next(&[2.0, 3.0, -1.0], &[1, 1, 1], &[1]), 1, "a prompt does not count");
        assert_eq!(greedy.next(&[2.0, 3.0, -1.0], &[], &[1, 0, 1, 1]), 0);
        greedy.sampling = Sampling { temperature: 0.0, presence_penalty: 1.1, ..Sampling::default() };
        assert_eq!(greedy.next(&[2.0, 3.0, -1.0], &[], &[1]), 0);
        assert_eq!(greedy.next(&[2.0, 3.0], &[7], &[8]), 1, "what no model knows changes nothing");
    }

    #[test]
    fn one_seed_gives_one_text() {
        let text = |seed| {
            let mut sampler = Sampler::new(Sampling { seed, ..Sampling::default() });
            (0..50).map(|_| sampler.next(&logits(&SHARES), &[], &[])).collect::<Vec<_>>()
        };
        assert_eq!(text(1), text(1));
        assert_ne!(text(1), text(2));
    }

    proptest! {
        /// The cut by parts is the cut of a sorted list.
        #[test]
        fn a_share_is_that_of_the_sorted(values in prop::collection::vec((-8.0_f32..8.0).prop_map(f32::exp), 1..2000), share in 0.01_f64..0.999) {
            let mut got: Vec<Candidate> = (0..).zip(values.iter().copied()).collect();
            let mut right = got.clone();
            right.sort_unstable_by(likelier);
            let weight = |c: &Candidate| f64::from(c.1);
            let all: f64 = right.iter().map(weight).sum();
            let mut sum = 0.0;
            let count = right.iter().position(|c| { sum += weight(c); sum >= share * all }).unwrap_or(right.len() - 1) + 1;
            cut_to_share(&mut got, share);
            // The last one may differ where sums in another order do.
            prop_assert!(got.len().abs_diff(count) <= 1);
            got.sort_unstable_by(likelier);
            prop_assert_eq!(&got[..], &right[..got.len()]);
        }

        #[test]
        fn strange_logits_end_in_a_token(values in prop::collection::vec(any::<f32>(), 1..50), temperature in 0.0_f64..3.0, top_p in 0.0_f64..1.2) {
            let mut sampler = Sampler::new(Sampling { temperature, top_p, min_p: 0.1, ..Sampling::default() });
            prop_assert!((sampler.next(&values, &[], &[]) as usize) < values.len());
        }
    }
}
