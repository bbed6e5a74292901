//! Rows for the tokens of the vocabulary, as the embedding has them and as the head multiplies by them: a matrix, or two cores
//! (a tensor train, HTT).
use super::{Batch, Setting};
use burn::module::Param;
use burn::prelude::*;
use burn::tensor::DType;
use muse_kernels::{Cores, Objective, Ops, Rounding, Turned};

/// No row of a core is divided by less.
const SMALLEST: f64 = 1e-12;

/// Rows for tokens.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has two at most, and a module cannot stand in a box")]
pub enum Table<B: Backend> {
    /// `[vocabulary, width]`
    Whole(Param<Tensor<B, 2>>),
    /// What the rows are made of.
    Factored(Factored<B>),
}

/// The loss of a batch.
pub struct Losses<B: Backend> {
    /// `[1]`: what is made small.
    pub loss: Tensor<B, 1>,
    /// `[1]`: plain cross-entropy. Nothing flows back from it.
    pub plain: Tensor<B, 1>,
}

/// Two cores and a phase: each part of a row of a core, divided by its norm or as it is, counts by the cosine of its rank's phase.
#[derive(Module, Debug)]
pub struct Factored<B: Backend> {
    /// `[m, ranks * a]`
    pub(crate) first: Param<Tensor<B, 2>>,
    /// `[n, ranks * b]`
    pub(crate) second: Param<Tensor<B, 2>>,
    /// `[ranks]`
    pub(crate) phase: Param<Tensor<B, 1>>,
    pub(crate) rows: usize,
    pub(crate) width: usize,
    /// What both cores are rounded to.
    #[module(skip)]
    pub(crate) rounding: Option<Rounding>,
    #[module(skip)]
    pub(crate) normed: bool,
}

impl<B: Ops> Factored<B> {
    /// The cores as they act, in f32.
    fn acting(&self) -> Cores<B> {
        let [ranks] = self.phase.val().dims();
        let count = self.phase.val().cos().mul_scalar((ranks as f64).sqrt().recip());
        let of = |core: &Param<Tensor<B, 2>>| {
            let core = match self.rounding {
                Some(to) => B::rounded(core.val(), to),
                None => core.val(),
            };
            let [rows, all] = core.dims();
            let wide = all / ranks;
            let parts = core.cast(DType::F32).reshape([rows * ranks, wide]);
            if !self.normed {
                return parts.reshape([rows, ranks, wide]);
            }
            // Sums as products, which add up in the same order every time.
            let ones = Tensor::ones([1, wide], (&parts.device(), DType::F32));
            let squares = B::product(parts.clone() * parts.clone(), ones, Turned::Right);
            (parts / squares.clamp_min(SMALLEST).sqrt()).reshape([rows, ranks, wide])
        };
        let first = of(&self.first) * count.cast(DType::F32).reshape([1, ranks, 1]);
        let flat = |parts: Tensor<B, 3>| {
            let [rows, ranks, part] = parts.dims();
            parts.reshape([rows, ranks * part])
        };
        let (first, second) = (flat(first), flat(of(&self.second)));
        Cores { first, second, ranks, rows: self.rows, width: self.width }
    }

    /// All rows, in f32.
    ///
    /// # Shapes
    /// `[vocabulary, width]`
    pub(crate) fn table(&self) -> Tensor<B, 2> {
        self.acting().table()
    }

    /// The cores in the type that is worked in.
    fn acting_as(&self, dtype: DType) -> Cores<B> {
        let cores = self.acting();
        Cores { first: narrow(cores.first, dtype), second: narrow(cores.second, dtype), ..cores }
    }
}

impl<B: Ops> Table<B> {
    /// The rows of a batch's tokens, in the type that it is worked on in.
    ///
    /// # Shapes
    /// `[rows, width]`
    pub(crate) fn embedded(&self, batch: &Batch<B>, setting: &Setting<B>) -> Tensor<B, 2> {
        let x = match self {
            Self::Whole(weight) => B::embed(weight.val(), batch.ids.clone()),
            Self::Factored(cores) => cores.acting_as(setting.dtype).rows_of(batch.ids.clone()),
        };
        B::dropout(narrow(x, setting.dtype), setting.dropped.of_embedding())
    }

    /// The loss of rows that it is the head of, where a number is added to each logit, or none.
    pub(crate) fn loss(
        &self,
        x: Tensor<B, 2>,
        bias: Option<Tensor<B, 1>>,
        labels: Tensor<B, 1, Int>,
        (objective, share): (&Objective, f64),
        back: bool,
    ) -> Losses<B> {
        let dtype = x.dtype();
        match self {
            Self::Whole(weight) => {
                let weight = narrow(weight.val(), dtype);
                let (x, weight) = match bias {
                    None => (x, weight),
                    Some(bias) => with_bias(x, weight, narrow(bias, dtype)),
                };
                let made = B::head_loss(x, weight, labels, objective, share, back);
                Losses { loss: made.loss, plain: made.plain }
            }
            Self::Factored(cores) => {
                let made = B::cores_loss(x, cores.acting_as(dtype), labels, objective, share, back);
                Losses { loss: made.loss, plain: made.plain }
            }
        }
    }

    /// Logits of rows.
    pub(crate) fn logits(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let table = narrow(self.whole(), x.dtype());
        B::product(x, table, Turned::Right)
    }

    /// All rows.
    ///
    /// # Shapes
    /// `[vocabulary, width]`
    pub(crate) fn whole(&self) -> Tensor<B, 2> {
        match self {
            Self::Whole(weight) => weight.val(),
            Self::Factored(cores) => cores.table(),
        }
    }
}

/// Rows with a one behind them, and the weight's with what is added to their logits. Products of numbers of half the size want widths of whole
/// lines: the rest is zero.
fn with_bias<B: Backend>(
    x: Tensor<B, 2>,
    weight: Tensor<B, 2>,
    bias: Tensor<B, 1>,
) -> (Tensor<B, 2>, Tensor<B, 2>) {
    const LINE: usize = 16;
    let ([rows, _], [vocabulary, _], like) = (x.dims(), weight.dims(), (&x.device(), x.dtype()));
    let one = Tensor::ones([rows, 1], like);
    let nothing = |rows| Tensor::zeros([rows, LINE - 1], like);
    let weight = Tensor::cat(vec![weight, bias.unsqueeze_dim(1), nothing(vocabulary)], 1);
    (Tensor::cat(vec![x, one, nothing(rows)], 1), weight)
}

fn narrow<B: Backend, const D: usize>(x: Tensor<B, D>, dtype: DType) -> Tensor<B, D> {
    if x.dtype() == dtype { x } else { x.cast(dtype) }
}
