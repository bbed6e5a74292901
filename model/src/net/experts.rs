//! A block's experts: a gate that chooses some for each token, and what these give put together.
use super::Mlp;
use super::linear::project_dealt;
use super::mixer::Site;
use crate::config::{self, Gate};
use burn::module::Param;
use burn::prelude::*;
use burn::tensor::DType;
use burn::tensor::activation::sigmoid;
use muse_kernels::{Choice, Dealing, Ops, choose};

/// Keeps the division by scores from nothing.
pub(crate) const LEAST_SCORE: f64 = 1e-20;

/// The experts of a block.
#[derive(Module, Debug)]
pub struct Experts<B: Backend> {
    /// `[experts, width]`
    pub(super) gate: Param<Tensor<B, 2>>,
    /// `[experts]`: what is added to scores where experts are chosen. What comes back to it is no gradient, but how many chose each.
    pub(super) bias: Option<Param<Tensor<B, 1>>>,
    pub(super) experts: Vec<Mlp<B>>,
    /// What every token goes through.
    pub(super) shared: Option<Mlp<B>>,
    #[module(skip)]
    pub(super) config: config::Experts,
}

/// To which experts tokens go, and what each counts.
struct Routed<B: Backend> {
    /// `[rows, chosen]`
    shares: Tensor<B, 2>,
    dealing: Dealing<B>,
}

impl config::Experts {
    /// How tokens choose.
    pub(crate) fn choice(self) -> Choice {
        let config::Experts { count, chosen, groups, .. } = self;
        Choice { count, chosen, groups, chosen_groups: self.chosen_groups() }
    }
}

impl<B: Ops> Experts<B> {
    /// x, and what experts add to it behind the block's norm; and how many tokens chose each.
    ///
    /// # Shapes
    /// x `[rows, width]` -> `[rows, width]`
    pub(super) fn forward(
        &self,
        x: Tensor<B, 2>,
        epsilon: f64,
        site: &Site<'_, B>,
    ) -> (Tensor<B, 2>, Vec<u32>) {
        let (normed, dropped) = (B::rms_norm(x.clone(), site.norm.clone(), epsilon), site.dropped_of_mlp());
        let Routed { shares, dealing } = self.routed(normed.clone(), site.setting.of_a_row);
        // What is dropped of both is the same, so it is dropped of their sum.
        let x = match &self.shared {
            None => x,
            Some(shared) => shared.onto(x, normed.clone(), dropped),
        };
        let rows = B::dealt(normed, &dealing);
        let both = self.experts.iter().map(|expert| vec![&expert.gate, &expert.up]).collect();
        let gated = B::swiglu(project_dealt(rows, both, &dealing.ends));
        let down = self.experts.iter().map(|expert| vec![&expert.down]).collect();
        let given = project_dealt(gated, down, &dealing.ends);
        let sum = B::gathered(given, shares, &dealing);
        (B::add(x, B::dropout(sum, dropped)), dealing.loads)
    }

    /// The choice is made on the host, by scores in f32: so it is the same wherever these are.
    fn routed(&self, normed: Tensor<B, 2>, of_a_row: f64) -> Routed<B> {
        let config::Experts { chosen, count, .. } = self.config;
        let logits = B::project(normed.cast(DType::F32), vec![self.gate.val()]);
        let scores = match self.config.gate {
            Gate::Softmax => softmax(logits),
            Gate::Sigmoid => sigmoid(logits),
        };
        let numbers = in_f32(&scores);
        let bias = self.bias.as_ref().map(|bias| in_f32(&bias.val()));
        let experts = choose(&numbers, bias.as_deref(), &self.config.choice());
        let ([rows, _], device) = (scores.dims(), scores.device());
        let dealing = Dealing::new(&experts, chosen, count, B::PLACES, &device);

        let ids: Vec<i32> = experts.into_iter().map(|expert| expert as i32).collect();
        let ids = Tensor::from_data(TensorData::new(ids, [rows, chosen]), (&device, DType::I32));
        let shares = scores.clone().gather(1, ids);
        let shares = if self.config.normed() { of_their_sum(shares) } else { shares };
        let shares = shares.mul_scalar(self.config.scale);
        let shares = self.balanced(shares, scores, &dealing, of_a_row);
        Routed { shares, dealing }
    }

    /// The same shares; on the way back scores get the gradient of the balancing loss, and the bias how many chose each.
    fn balanced(
        &self,
        shares: Tensor<B, 2>,
        scores: Tensor<B, 2>,
        dealing: &Dealing<B>,
        of_a_row: f64,
    ) -> Tensor<B, 2> {
        let (loads, count, device) = (&dealing.loads, self.config.count, shares.device());
        let row = |times: f64| {
            let row: Vec<f32> = loads.iter().map(|load| (f64::from(*load) * times) as f32).collect();
            Tensor::<B, 1>::from_data(TensorData::new(row, [count]), (&device, DType::F32))
        };
        let choices: u32 = loads.iter().sum();
        let shares = if self.config.balance * of_a_row > 0.0 {
            // count · Σ (load / choices) · mean of p, where each row counts as much as in all of the step.
            let probabilities = match self.config.gate {
                Gate::Softmax => scores,
                Gate::Sigmoid => of_their_sum(scores),
            };
            let slope = self.config.balance * count as f64 / f64::from(choices) * of_a_row;
            B::beside(shares, probabilities, row(slope))
        } else {
            shares
        };
        match &self.bias {
            None => shares,
            Some(bias) => B::beside(shares, bias.val().unsqueeze(), row(1.0)),
        }
    }
}

/// Numbers that are in f32, on the host.
fn in_f32<B: Backend, const D: usize>(x: &Tensor<B, D>) -> Vec<f32> {
    x.to_data().into_vec().expect("scores are in f32")
}

/// Each row's shares of one. Burn's own is another on a tape than beside one, by a rounding.
fn softmax<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let all = (x.clone() - x.detach().max_dim(1)).exp();
    let sum = all.clone().sum_dim(1);
    all / sum
}

/// Each row divided by its sum.
fn of_their_sum<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    x.clone() / x.sum_dim(1).add_scalar(LEAST_SCORE)
}
