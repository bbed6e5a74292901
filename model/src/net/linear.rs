//! A matrix of a block, `[out, in]`: whole, or the product of two with few numbers between them; as it is, or rounded.
use burn::module::Param;
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::{Dropout, Ops, Rounding};

/// A matrix of a block.
#[derive(Module, Debug)]
pub struct Linear<B: Backend> {
    /// `[out, in]`; or `[rank, in]`, where there is a second.
    pub(super) first: Param<Tensor<B, 2>>,
    /// `[out, rank]`
    pub(super) second: Option<Param<Tensor<B, 2>>>,
    /// What both are rounded to.
    #[module(skip)]
    pub(super) rounding: Option<Rounding>,
}

impl<B: Backend> Linear<B> {
    /// How many numbers come out.
    pub(super) fn out(&self) -> usize {
        self.second.as_ref().unwrap_or(&self.first).dims()[0]
    }

    /// Multiplies what comes out by factors `[out]`.
    pub(super) fn scale_rows(&mut self, factors: Tensor<B, 1>) {
        let rows = self.second.as_mut().unwrap_or(&mut self.first);
        let (weight, dtype) = (rows.val(), rows.val().dtype());
        let scaled = weight.cast(DType::F32) * factors.cast(DType::F32).unsqueeze_dim(1);
        *rows = Param::initialized(rows.id, scaled.cast(dtype));
    }
}

/// The factors of heads `[heads]` for each of their numbers.
pub(super) fn of_heads<B: Backend>(factors: Tensor<B, 1>, width: usize) -> Tensor<B, 1> {
    let [heads] = factors.dims();
    factors.unsqueeze_dim::<2>(1).repeat_dim(1, width).reshape([heads * width])
}

impl<B: Ops> Linear<B> {
    /// The first as it acts.
    fn first(&self) -> Tensor<B, 2> {
        self.acting(self.first.val())
    }

    /// The second as it acts.
    fn second(&self) -> Option<Tensor<B, 2>> {
        Some(self.acting(self.second.as_ref()?.val()))
    }

    fn acting(&self, weight: Tensor<B, 2>) -> Tensor<B, 2> {
        match self.rounding {
            Some(to) => B::rounded(weight, to),
            None => weight,
        }
    }

    /// Whether what it is multiplied by is rounded too.
    fn rounds_rows(&self) -> bool {
        self.rounding == Some(Rounding::Ternary)
    }

    /// Rows as they are multiplied.
    fn taken(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        if self.rounds_rows() { B::rounded_rows(x) } else { x }
    }

    /// `sum + x wᵀ`, of which the product may be dropped in part.
    ///
    /// # Shapes
    /// sum `[rows, out]`, x `[rows, in]` -> `[rows, out]`
    pub(super) fn onto(&self, sum: Tensor<B, 2>, x: Tensor<B, 2>, dropped: Dropout) -> Tensor<B, 2> {
        let (x, first) = (self.taken(x), self.first());
        match self.second() {
            None => B::project_onto(sum, x, first, dropped),
            Some(second) => {
                let inner = self.taken(B::project(x, vec![first]));
                B::project_onto(sum, inner, second, dropped)
            }
        }
    }

    /// The same of what SwiGLU makes of gate and up, which the way back makes again, where that is not rounded.
    ///
    /// # Shapes
    /// sum `[rows, out]`, both `[rows, 2 in]` -> `[rows, out]`
    pub(super) fn gated_onto(&self, sum: Tensor<B, 2>, both: Tensor<B, 2>, dropped: Dropout) -> Tensor<B, 2> {
        if self.rounds_rows() {
            return self.onto(sum, B::swiglu(both), dropped);
        }
        let first = self.first();
        let Some(second) = self.second() else { return B::project_gated_onto(sum, both, first, dropped) };
        let nothing = Tensor::zeros([both.dims()[0], first.dims()[0]], (&both.device(), both.dtype()));
        let inner = B::project_gated_onto(nothing, both, first, Dropout::NONE);
        B::project_onto(sum, inner, second, dropped)
    }
}

/// What several matrices make of rows behind their norm, where there is one, side by side. All are of one kind.
///
/// # Shapes
/// x `[rows, in]` -> `[rows, sum of outs]`
pub(super) fn project_behind<B: Ops>(
    x: Tensor<B, 2>,
    norm: Option<Tensor<B, 1>>,
    epsilon: f64,
    linears: &[&Linear<B>],
) -> Tensor<B, 2> {
    let firsts = linears.iter().map(|linear| linear.first()).collect();
    let inner = match norm {
        Some(norm) if linears[0].rounds_rows() => {
            B::project(B::rounded_rows(B::rms_norm(x, norm, epsilon)), firsts)
        }
        Some(norm) => B::project_normed(x, norm, epsilon, firsts),
        None => B::project(linears[0].taken(x), firsts),
    };
    let seconds: Vec<_> = linears.iter().filter_map(|linear| linear.second()).collect();
    if seconds.is_empty() {
        return inner;
    }
    // Each part of a row is rounded by itself.
    let ([rows, all], parts) = (inner.dims(), linears.len());
    let inner = linears[0].taken(inner.reshape([rows * parts, all / parts])).reshape([rows, all]);
    B::project_apart(inner, seconds)
}

/// What matrices of experts make of the rows that are dealt to each, side by side: as many of each expert. All are of one kind.
///
/// # Shapes
/// x `[places, in]` -> `[places, sum of outs of one expert]`
pub(super) fn project_dealt<B: Ops>(
    x: Tensor<B, 2>,
    linears: Vec<Vec<&Linear<B>>>,
    ends: &[usize],
) -> Tensor<B, 2> {
    let (one, parts) = (linears[0][0], linears[0].len());
    let firsts = linears.iter().map(|own| own.iter().map(|linear| linear.first()).collect()).collect();
    let inner = B::project_dealt(one.taken(x), firsts, ends);
    if one.second.is_none() {
        return inner;
    }
    let wide = inner.dims()[1] / parts;
    let of_part = |part: usize| {
        let seconds = linears.iter().map(|own| own[part].second().into_iter().collect()).collect();
        B::project_dealt(one.taken(inner.clone().narrow(1, part * wide, wide)), seconds, ends)
    };
    Tensor::cat((0..parts).map(of_part).collect(), 1)
}
