//! Queries and keys with their norms, turned by their places, and the way back.
use super::kernel::{Kernel, Source, Words};
use super::sums::sum_rows;
use super::tensor::Numbers;
use super::{each, narrow};
use crate::ops::Placing;
use crate::plain::wide;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;
use cubecl::server::Binding;

const SOURCE: Source = &[include_str!("source/numbers.cu"), include_str!("source/place.cu")];
const THREADS: usize = 256;
/// Heads that a thread turns by the same angles.
const TOGETHER: usize = 2;
/// How many blocks share the rows on the way back: each writes a row of sums.
const SHARES: usize = 512;

/// Sizes of a call, and what all kernels read.
pub(crate) struct How {
    dims: [usize; 3],
    dtype: DType,
    heads: usize,
    turned: usize,
    /// Threads of a head.
    lanes: usize,
    cos: Numbers,
    sin: Numbers,
    positions: Numbers,
    norms: Option<[Numbers; 2]>,
    epsilon: f64,
}

impl How {
    /// None where no kernel does it.
    pub(crate) fn of(x: &Tensor<Cuda, 3>, placing: &Placing<Cuda>) -> Option<Self> {
        let (dims @ [rows, all, width], dtype, heads) = (x.dims(), x.dtype(), placing.heads);
        let Placing { angles, positions, norms, epsilon, .. } = placing;
        let each = each(dtype)?;
        let fits = |table: &Tensor<Cuda, 2>| table.dtype() == DType::F32 && table.dims()[1] == width / 2;
        let tables = fits(&angles.cos) && fits(&angles.sin);
        let ints = positions.dtype() == DType::I32 && positions.dims() == [rows];
        let whole = width.is_multiple_of(2 * each) && rows > 0 && (1..all).contains(&heads);
        let lanes = width / 2 / each;
        // Threads of a head ask each other.
        let together = lanes.is_power_of_two() && lanes <= 32;
        let norms_fit =
            norms.iter().flatten().all(|norm| norm.dims() == [width]) && (norms.is_none() || together);
        if !tables || !ints || !whole || !norms_fit || !(all - heads).is_multiple_of(2) {
            return None;
        }
        Some(Self {
            dims,
            dtype,
            heads,
            turned: heads + (all - heads) / 2,
            lanes,
            cos: Numbers::of(angles.cos.clone()),
            sin: Numbers::of(angles.sin.clone()),
            positions: Numbers::of_ints(positions.clone()),
            norms: norms.clone().map(|norms| norms.map(|norm| Numbers::of(wide(norm)))),
            epsilon: *epsilon,
        })
    }

    /// Starts a kernel on so many blocks.
    fn start(&self, entry: &'static str, blocks: usize, x: &Numbers, more: &[&Numbers], sign: f64) {
        let [rows, all, width] = self.dims;
        let defines = vec![narrow(self.dtype), ("WIDTH", width), ("TOGETHER", TOGETHER)];
        let kernel = Kernel::of(entry, SOURCE, defines, THREADS as u32, 0);
        let words = Words::default().int(rows).int(self.heads).int(self.turned).int(all);
        let given = [x, &self.cos, &self.sin, &self.positions].into_iter().chain(more.iter().copied());
        let buffers: Vec<Binding> = given.map(Numbers::at).collect();
        kernel.start(x.client(), [blocks, 1, 1], buffers, words.float(self.epsilon).float(sign));
    }

    /// Turns in place what may be written over, else a copy.
    fn turned(&self, x: Tensor<Cuda, 3>, sign: f64) -> Tensor<Cuda, 3> {
        let x = Numbers::of(x).own();
        let threads = self.dims[0] * self.turned.div_ceil(TOGETHER) * self.lanes;
        self.start("turn_heads", threads.div_ceil(THREADS), &x, &[], sign);
        x.tensor()
    }
}

pub(crate) fn place(x: Tensor<Cuda, 3>, how: &How) -> Tensor<Cuda, 3> {
    let Some([of_query, of_key]) = &how.norms else {
        return how.turned(x, 1.0);
    };
    let x = Numbers::of(x);
    let ([rows, all, _], y) = (how.dims, Numbers::room(&x, how.dims, how.dtype));
    let blocks = (rows * all * how.lanes).div_ceil(THREADS);
    how.start("place_heads", blocks, &x, &[of_query, of_key, &y], 1.0);
    y.tensor()
}

type Back = (Tensor<Cuda, 3>, Option<[Tensor<Cuda, 1>; 2]>);

/// The gradient is written over where nothing else holds it.
pub(crate) fn place_back(x: Option<&Tensor<Cuda, 3>>, how: &How, grad: Tensor<Cuda, 3>) -> Back {
    let (Some(x), Some([of_query, of_key])) = (x, &how.norms) else {
        return (how.turned(grad, -1.0), None);
    };
    let (x, grad) = (Numbers::of(x.clone()), Numbers::of(grad).own());
    let [rows, _, width] = how.dims;
    let blocks = (rows * how.turned * how.lanes).div_ceil(THREADS).min(SHARES);
    let parts = Numbers::room(&x, [blocks, 2 * width], DType::F32);
    how.start("place_heads_back", blocks, &x, &[of_query, of_key, &grad, &parts], 1.0);
    let sums: Tensor<Cuda, 1> = sum_rows(&parts, blocks, 2 * width).tensor();
    let norms = [0, width].map(|first| sums.clone().narrow(0, first, width));
    (grad.tensor(), Some(norms))
}
