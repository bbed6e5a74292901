//! Attention by distance to keys that are kept: what a product of queries and keys becomes.
use super::vector::sum_of;
use crate::plain::{LONGEST, NEAREST};

/// What a head's space is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Space {
    pub(crate) curvature: f32,
    pub(crate) sharpness: f32,
}

/// What twice the way out from the middle is, as a hyperbolic cosine and a sine.
fn way_out(length: f32, root: f32) -> (f32, f32) {
    let twice = 2.0 * root * length.min(LONGEST as f32);
    (twice.cosh(), twice.sinh())
}

/// Products of a query with keys of so many lengths become logits: the less, the farther a key is. Vectors are multiplied by `scale` first.
pub(super) fn by_distance(
    products: &mut [f32],
    query: &[f32],
    length: impl Fn(usize) -> f32,
    space: Space,
    scale: f32,
) {
    let root = space.curvature.sqrt();
    let of_query = sum_of(query, query, |a, b| a * b).sqrt();
    let (cosh, sinh) = way_out(scale * of_query, root);
    for (at, number) in products.iter_mut().enumerate() {
        let of_key = length(at);
        let (cosh_key, sinh_key) = way_out(scale * of_key, root);
        // A vector of no length points nowhere, and is as far from all.
        let both = (of_query * of_key).max(f32::MIN_POSITIVE);
        let apart = (cosh * cosh_key - sinh * sinh_key * *number / both - 1.0).max(NEAREST as f32);
        *number = -space.sharpness / root * (apart + (apart * (apart + 2.0)).sqrt()).ln_1p();
    }
}
