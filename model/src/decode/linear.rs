//! Products of a model in use with matrices of a block: each is one, or two with few numbers between them.
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::{Decode, DeviceResult, Ops, Turned};

/// A matrix `[out, in]` as its weights say it: itself, or the two whose product it is.
pub(super) enum Numbers {
    Whole(Vec<f32>),
    Two { first: Vec<f32>, second: Vec<f32>, rank: usize },
}

impl Numbers {
    /// Takes the weights of a matrix, in their order. Where the device does not hand what comes of one product to the next, both are
    /// made one.
    pub(super) fn read<D: Decode, E>(
        low_rank: Option<usize>,
        next: &mut impl FnMut() -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let first = next()?;
        let Some(rank) = low_rank else { return Ok(Self::Whole(first)) };
        let second = next()?;
        Ok(if D::CHAINS {
            Self::Two { first, second, rank }
        } else {
            Self::Whole(whole(first, second, rank))
        })
    }

    /// The one that numbers go into.
    fn first(&self) -> &[f32] {
        match self {
            Self::Whole(first) | Self::Two { first, .. } => first,
        }
    }
}

/// The product of the two matrices that a matrix is: `second` `[out, rank]`, `first` `[rank, in]`.
pub fn whole(first: Vec<f32>, second: Vec<f32>, rank: usize) -> Vec<f32> {
    let matrix = |numbers: Vec<f32>, shape: [usize; 2]| -> Tensor<Flex, 2> {
        Tensor::from_data(TensorData::new(numbers, shape), (&Default::default(), DType::F32))
    };
    let (rows, columns) = (second.len() / rank, first.len() / rank);
    let product =
        Flex::product(matrix(second, [rows, rank]), matrix(first, [rank, columns]), Turned::Neither);
    product.into_data().iter().collect()
}

/// Matrices that the same numbers are multiplied by, side by side.
pub(super) struct Linear<D: Decode> {
    first: D::Matrix,
    second: Option<D::Matrix>,
}

impl<D: Decode> Linear<D> {
    /// Matrices `[.., width]`.
    pub(super) fn new(device: &mut D, parts: &[Numbers], width: usize) -> DeviceResult<Self> {
        let first = device.matrix(&firsts(parts), width)?;
        let second = match apart(parts) {
            Some((seconds, width)) => Some(device.matrix(&[&seconds.concat()], width)?),
            None => None,
        };
        Ok(Self { first, second })
    }

    /// `x wᵀ`
    pub(super) fn times(&self, device: &mut D, x: &D::Rows) -> DeviceResult<D::Rows> {
        let inner = device.times(x, &self.first)?;
        match &self.second {
            None => Ok(inner),
            Some(second) => device.times(&inner, second),
        }
    }

    /// `sum + x wᵀ`
    pub(super) fn onto(&self, device: &mut D, sum: D::Rows, x: &D::Rows) -> DeviceResult<D::Rows> {
        match &self.second {
            None => device.add_times(sum, x, &self.first),
            Some(second) => {
                let inner = device.times(x, &self.first)?;
                device.add_times(sum, &inner, second)
            }
        }
    }
}

/// The two matrices of a gated layer.
pub(super) struct Gated<D: Decode> {
    /// What goes into the pair, where numbers do not go into it themselves.
    first: Option<D::Matrix>,
    pair: D::Matrix,
}

impl<D: Decode> Gated<D> {
    /// Matrices `[.., width]`.
    pub(super) fn new(device: &mut D, parts: &[Numbers; 2], width: usize) -> DeviceResult<Self> {
        Ok(match apart(parts) {
            None => Self { first: None, pair: device.pair(parts[0].first(), parts[1].first(), width)? },
            Some((seconds, wide)) => Self {
                first: Some(device.matrix(&firsts(parts), width)?),
                pair: device.pair(&seconds[0], &seconds[1], wide)?,
            },
        })
    }

    /// `silu(x gateᵀ) · x upᵀ`
    pub(super) fn of(&self, device: &mut D, x: &D::Rows) -> DeviceResult<D::Rows> {
        match &self.first {
            None => device.gated(x, &self.pair),
            Some(first) => {
                let inner = device.times(x, first)?;
                device.gated(&inner, &self.pair)
            }
        }
    }
}

fn firsts(parts: &[Numbers]) -> Vec<&[f32]> {
    parts.iter().map(Numbers::first).collect()
}

/// The second matrix of each part, as wide as all that the first ones give side by side: zeros stand where what comes is another's. And
/// that width. `None` where parts are whole.
fn apart(parts: &[Numbers]) -> Option<(Vec<Vec<f32>>, usize)> {
    let rank = |part: &Numbers| match part {
        Numbers::Whole(_) => None,
        Numbers::Two { rank, .. } => Some(*rank),
    };
    let width = parts.iter().map(rank).sum::<Option<usize>>()?;
    let mut before = 0;
    let all = parts.iter().map(|part| {
        let Numbers::Two { second, rank, .. } = part else { return Vec::new() };
        let mut wide = vec![0.0; second.len() / rank * width];
        for (wide, row) in wide.chunks_exact_mut(width).zip(second.chunks_exact(*rank)) {
            wide[before..before + rank].copy_from_slice(row);
        }
        before += rank;
        wide
    });
    Some((all.collect(), width))
}
