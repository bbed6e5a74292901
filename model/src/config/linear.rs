//! What the matrices of blocks are: whole, or the product of two with few numbers between them; as they are, or rounded.
use super::{Model, Problem, Shape};
use crate::net::{Role, Weight};
use muse_kernels::Rounding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// No rank is higher: that of the widest model.
const MOST_RANK: usize = 1 << 17;

/// What the matrices of blocks are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Each matrix of attention and of SwiGLU is the product of two, with so many numbers between them: a model of `rank · (in + out)`
    /// parameters in the place of `in · out`, which is as large as it, and no larger. Left out, matrices are whole.
    #[serde(default)]
    #[schemars(range(min = 1, max = 131_072))]
    pub low_rank: Option<usize>,
    /// What their numbers are rounded to whenever they are used. Training changes them as they are, behind that. Left out, nothing is
    /// rounded.
    #[serde(default)]
    pub round: Option<Round>,
}

/// What weights are rounded to while they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Round {
    /// Zero, and the mean size of all numbers of a matrix with either sign: BitNet b1.58. What they are multiplied by is rounded to 8 bits
    /// by the largest number of each token.
    Ternary,
    /// 8 bits, with a scale for every 32 numbers of a row: GGUF's Q8_0.
    Int8,
}

impl From<Round> for Rounding {
    fn from(round: Round) -> Self {
        match round {
            Round::Ternary => Self::Ternary,
            Round::Int8 => Self::Int8,
        }
    }
}

impl Model {
    /// How many numbers stand between the two matrices that each of a block's is, where it is two.
    pub fn low_rank(&self) -> Option<usize> {
        self.linear.and_then(|linear| linear.low_rank)
    }

    /// What the numbers of a block's matrices are rounded to, where they are.
    pub fn round(&self) -> Option<Round> {
        self.linear.and_then(|linear| linear.round)
    }

    /// The same model with each matrix in one, and nothing rounded.
    pub fn whole(&self) -> Self {
        Self { linear: None, embedding: None, ..self.clone() }
    }

    /// What is wrong with the ways of its matrices, whatever else there is.
    pub(super) fn check_linear(&self, problems: &mut Vec<Problem>) {
        let Some(linear) = self.linear else { return };
        if linear == Linear::default() {
            let help = "write `low_rank` or `round`, or leave `linear` out";
            problems.push(Problem::new("/linear", "`linear` says nothing", help));
        }
        if linear.low_rank.is_some() && self.mla.is_some() {
            let message = "blocks of latent attention have ranks of their own";
            problems.push(Problem::new("/linear/low_rank", message, "leave `low_rank` out, or `mla`"));
            return;
        }
        // The least side of any matrix: more numbers between two than that bring nothing.
        let whole = Shape { low_rank: None, ..self.shape(1, 1) };
        let blocks = whole.kinds().into_iter().flat_map(|(at, _)| Weight::of_block(&whole, at));
        let matrices = blocks.filter(|one| one.role == Role::Matrix);
        let least = matrices.flat_map(|one| one.shape).min().unwrap_or(MOST_RANK).min(MOST_RANK);
        if let Some(rank) = linear.low_rank.filter(|rank| !(1..=least).contains(rank)) {
            let message = format!("a rank of {rank}, and the smallest side of a matrix is {least}");
            problems.push(Problem::new("/linear/low_rank", message, format!("1 to {least}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(linear: Linear) -> Vec<String> {
        let model = Model { linear: Some(linear), kv_heads: Some(2), ..Model::new(2, 64, 4, 128) };
        model.check().iter().map(Problem::field).collect()
    }

    #[test]
    fn a_rank_is_within_the_smallest_matrix() {
        for (rank, right) in [(0, false), (1, true), (32, true), (33, false)] {
            let found = fields(Linear { low_rank: Some(rank), round: None });
            assert_eq!(found.is_empty(), right, "{rank}: {found:?}");
        }
        assert_eq!(fields(Linear { low_rank: Some(33), round: None }), ["linear.low_rank"]);
    }

    #[test]
    fn to_say_nothing_is_an_error() {
        assert_eq!(fields(Linear::default()), ["linear"]);
        assert!(fields(Linear { low_rank: None, round: Some(Round::Ternary) }).is_empty());
    }
}
