//! What the rows for tokens are: a matrix, or two cores that they are made of.
use super::{Model, Problem, Round};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// No rank is higher.
const MOST_RANK: usize = 4096;

/// What the embedding is, and the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Embedding {
    /// Rows are not kept but made: of so many outer products of a row of one core and a row of another. With `V` tokens and a width
    /// of `D` both cores together have some `2 · rank · √(V · D)` numbers in the place of `V · D`.
    #[schemars(range(min = 1, max = 4096))]
    pub tensor_train: usize,
    /// What both cores are rounded to whenever they are used. Training changes them as they are, behind that. Left out, nothing is
    /// rounded.
    #[serde(default)]
    pub round: Option<Round>,
    /// Each part of a row of a core is divided by its norm when it is used, so that rows are of one size, which the phase says. With `false`
    /// they have the sizes that they have: what a table that was trained is taken apart to.
    #[serde(default = "normed")]
    pub normed: bool,
}

fn normed() -> bool {
    true
}

impl Embedding {
    /// Cores of so many ranks, with norms of one and nothing rounded.
    pub fn of_rank(tensor_train: usize) -> Self {
        Self { tensor_train, round: None, normed: normed() }
    }

    /// The sizes of both cores for so many rows of that width.
    pub fn cores(self, rows: usize, width: usize) -> [[usize; 2]; 2] {
        let ([m, n], [a, b]) = (halves(rows), halves(width));
        [[m, self.tensor_train * a], [n, self.tensor_train * b]]
    }
}

/// Two numbers near to each other whose product is large enough.
fn halves(number: usize) -> [usize; 2] {
    let root = number.isqrt();
    let first = if root * root == number { root } else { root + 1 }.max(1);
    [first, number.div_ceil(first).max(1)]
}

impl Model {
    /// What is wrong with the rows for its tokens, whatever else there is.
    pub(super) fn check_embedding(&self, problems: &mut Vec<Problem>) {
        let Some(Embedding { tensor_train, .. }) = self.embedding else { return };
        if self.head_bias {
            let message = "`head_bias` is for heads that are a matrix, and this one is made of cores";
            problems.push(Problem::new("/head_bias", message, "leave it out, or `embedding`"));
        }
        // The cores of more ranks than that have more numbers than any table that they stand for.
        let most = self.width.min(MOST_RANK);
        if !(1..=most).contains(&tensor_train) {
            let message = format!("a rank of {tensor_train}, and rows are {} wide", self.width);
            let help = format!("1 to {most}");
            problems.push(Problem::new("/embedding/tensor_train", message, help));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_have_sides_near_to_the_roots() {
        assert_eq!(halves(50_257), [225, 224]);
        assert_eq!(halves(32_000), [179, 179]);
        assert_eq!(halves(4096), [64, 64]);
        assert_eq!([1, 2, 3, 5, 65, 128].map(halves), [[1, 1], [2, 1], [2, 2], [3, 2], [9, 8], [12, 11]]);
        let count = |rank, rows, width| -> usize {
            let cores = Embedding::of_rank(rank).cores(rows, width);
            cores.iter().map(|[rows, width]| rows * width).sum()
        };
        assert_eq!(count(64, 50_257, 5120), 2_068_992);
        assert_eq!((count(16, 32_000, 4096), count(64, 32_000, 4096)), (366_592, 1_466_368));
    }

    #[test]
    fn a_rank_is_within_the_width() {
        for (rank, right) in [(0, false), (1, true), (64, true), (65, false)] {
            let embedding = Some(Embedding::of_rank(rank));
            let found = Model { embedding, ..Model::new(2, 64, 4, 128) }.check();
            assert_eq!(found.is_empty(), right, "{rank}: {found:?}");
        }
    }
}
