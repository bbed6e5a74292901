//! The weights that training starts from: normal, by a hash of the seed, the weight's name and the place in it, so that
//! neither device nor threads nor other weights move them.
use super::{Part, Role, Weight};
use crate::config::{Model, Shape};
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::fill;
use std::f64::consts::FRAC_PI_4;

/// What a weight begins as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// All its numbers are this one.
    Same(f32),
    /// Its numbers are normal, with this standard deviation.
    Normal(f64),
}

impl Start {
    /// What each weight of a model begins as, in the order of [`Weight::all`].
    pub fn all(model: &Model, shape: &Shape) -> Vec<(Weight, Self)> {
        let mut before: Option<usize> = None;
        let of = |weight: Weight| {
            let start = Self::of(model, &weight, before);
            before = weight.shape.last().copied();
            (weight, start)
        };
        Weight::all(shape).into_iter().map(of).collect()
    }

    /// That of one weight. Of the one before it is told how many numbers a row has: the second of two begins by what comes into the first.
    fn of(model: &Model, weight: &Weight, before: Option<usize>) -> Self {
        let normed = model.embedding.is_none_or(|embedding| embedding.normed);
        let columns = weight.shape.last().map_or(1.0, |side| *side as f64);
        match (weight.role, Part::of(&weight.name)) {
            // The cosine is flat at zero, and half-way to its own zero moves well.
            (Role::Norm, Some(Part::Phase)) => Self::Same(FRAC_PI_4 as f32),
            // Chains begin with memories of many lengths.
            (Role::Norm, _) if weight.name.ends_with(".eta.weight") => Self::Normal(1.0),
            (Role::Loads, _) => Self::Same(0.0),
            (Role::Norm, _) if weight.name.ends_with(".bias") || of_space(&weight.name) => Self::Same(0.0),
            (Role::Norm, _) => Self::Same(1.0),
            // Rows are to be as large as those of a table: each number is made of two, and counts by a cosine.
            (Role::Embedding | Role::Head, Some(_)) if !normed => {
                Self::Normal((model.init_std / FRAC_PI_4.cos()).sqrt())
            }
            (Role::Embedding | Role::Head | Role::Gate, _) => Self::Normal(model.init_std),
            // Numbers between both are as large as those that come in, and those that come out as with one matrix.
            (Role::Matrix, Some(Part::First)) => Self::Normal(columns.sqrt().recip()),
            (Role::Matrix, Some(_)) => {
                let input = before.map_or(columns, |input| input as f64);
                Self::Normal(deviation(model, weight) * (input / columns).sqrt())
            }
            (Role::Matrix, None) => Self::Normal(deviation(model, weight)),
        }
    }

    /// Its numbers, by the seed, the name and the place.
    pub fn numbers(self, weight: &Weight, seed: u64) -> Vec<f32> {
        let deviation = match self {
            Self::Same(number) => return vec![number; weight.len()],
            Self::Normal(deviation) => deviation,
        };
        let mut numbers = vec![0.0_f32; weight.len()];
        let begin = name_seed(seed, &weight.name);
        fill(&mut numbers, |first, part| {
            for (place, number) in (first as u64..).zip(part) {
                *number = (normal(begin, place) * deviation) as f32;
            }
        });
        numbers
    }
}

/// The standard deviation of a matrix of a block that is one.
fn deviation(model: &Model, weight: &Weight) -> f64 {
    let residual = weight.name.contains(".o_proj.") || weight.name.contains(".down_proj.");
    if residual { model.residual_std() } else { model.init_std }
}

/// Whether it says what a head's space is like, behind softplus.
fn of_space(name: &str) -> bool {
    name.ends_with(".curvature.weight") || name.ends_with(".sharpness.weight")
}

/// Normal numbers with this standard deviation.
pub(crate) fn drawn<B: Backend>(
    weight: &Weight,
    deviation: f64,
    seed: u64,
    device: &B::Device,
) -> Tensor<B, 2> {
    let data = TensorData::new(Start::Normal(deviation).numbers(weight, seed), weight.shape.clone());
    Tensor::from_data(data, (device, DType::F32))
}

/// Stirs 64 bits (the last step of splitmix64).
fn stirred(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn name_seed(seed: u64, name: &str) -> u64 {
    name.bytes().fold(stirred(seed ^ 0x9e37_79b9_7f4a_7c15), |so_far, byte| stirred(so_far ^ u64::from(byte)))
}

/// A normal number by Box and Muller.
fn normal(seed: u64, place: u64) -> f64 {
    let uniform = |which: u64| {
        let bits = stirred(seed.wrapping_add((2 * place + which).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        // Never zero, since its logarithm is taken.
        ((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    };
    (-2.0 * uniform(0).ln()).sqrt() * (std::f64::consts::TAU * uniform(1)).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;
    use muse_kernels::with_threads;

    #[test]
    fn drawn_numbers_are_normal_and_differ_by_name_and_seed() {
        let draw = |seed, name| (0..40_000).map(|at| normal(name_seed(seed, name), at)).collect::<Vec<_>>();
        let one = draw(1, "a");
        let mean = one.iter().sum::<f64>() / one.len() as f64;
        let square = one.iter().map(|x| x * x).sum::<f64>() / one.len() as f64;
        let fourth = one.iter().map(|x| x.powi(4)).sum::<f64>() / one.len() as f64;
        assert!(mean.abs() < 0.02 && (square - 1.0).abs() < 0.03 && (fourth - 3.0).abs() < 0.2);
        for other in [draw(2, "a"), draw(1, "b")] {
            let product = one.iter().zip(&other).map(|(a, b)| a * b).sum::<f64>() / one.len() as f64;
            assert!(product.abs() < 0.02, "{product}");
        }
    }

    #[test]
    fn every_place_has_its_number_however_many_threads_draw() {
        let model = Model::new(1, 64, 4, 64);
        let weight = Weight { name: "a".into(), shape: vec![300, 100], role: Role::Matrix };
        let number = |at| (normal(name_seed(5, "a"), at) * model.init_std) as f32;
        let right: Vec<f32> = (0..30_000).map(number).collect();
        for threads in [1, 3] {
            let draw = || drawn::<Flex>(&weight, model.init_std, 5, &Default::default());
            let got = with_threads(threads, draw).into_data().to_vec::<f32>().unwrap();
            assert!(got == right, "{threads} threads");
        }
    }
}
