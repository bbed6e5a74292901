//! Experts in use: each is run for those tokens alone that choose it.
use super::linear::{Gated, Linear, Source};
use super::weights::{InOrder, Weights};
use crate::config::{self, Gate, Shape};
use crate::net::LEAST_SCORE;
use muse_kernels::{Decode, DeviceResult, Parts, Picked, choose};

/// A SwiGLU.
pub(super) struct Mlp<D: Decode> {
    gate_and_up: Gated<D>,
    down: Linear<D>,
}

impl<D: Decode> Mlp<D> {
    /// Takes its weights in their order.
    pub(super) fn new<W: Weights>(
        device: &mut D,
        shape: &Shape,
        inner: usize,
        weights: &mut InOrder<'_, W>,
    ) -> Result<Self, W::Error> {
        let sources = [0; 2].map(|_| Source::next(shape, weights));
        let gate_and_up = Gated::new(device, shape, &sources, shape.width)?;
        let down = Linear::new(device, shape, &[Source::next(shape, weights)], inner)?;
        Ok(Self { gate_and_up, down })
    }

    /// `sum`, and what comes of x.
    pub(super) fn onto(&self, device: &mut D, sum: D::Rows, x: &D::Rows) -> DeviceResult<D::Rows> {
        let gated = self.gate_and_up.of(device, x)?;
        self.down.onto(device, sum, &gated)
    }

    fn of(&self, device: &mut D, x: &D::Rows) -> DeviceResult<D::Rows> {
        let gated = self.gate_and_up.of(device, x)?;
        self.down.times(device, &gated)
    }
}

/// The experts of a block.
pub(super) struct Experts<D: Decode> {
    gate: D::Matrix,
    bias: Option<Vec<f32>>,
    experts: Vec<Mlp<D>>,
    /// What every token goes through.
    shared: Option<Mlp<D>>,
    config: config::Experts,
}

impl<D: Decode> Experts<D> {
    /// Takes their weights in their order.
    pub(super) fn new<W: Weights>(
        device: &mut D,
        shape: &Shape,
        config: config::Experts,
        weights: &mut InOrder<'_, W>,
    ) -> Result<Self, W::Error> {
        // A choice is all or nothing, so what it goes by is not rounded.
        let gate = device.matrix(&Parts { exact: true, ..Parts::of(&[weights.plain()], shape.width) })?;
        let bias = if config.has_bias() { Some(weights.plain().all()?) } else { None };
        let inner = shape.of_experts();
        let experts = (0..config.count).map(|_| Mlp::new(device, shape, inner, weights));
        let experts = experts.collect::<Result<_, _>>()?;
        let shared = match config.shared {
            0 => None,
            shared => Some(Mlp::new(device, shape, shared * inner, weights)?),
        };
        Ok(Self { gate, bias, experts, shared, config })
    }

    /// `sum`, and what experts make of x.
    pub(super) fn onto(&self, device: &mut D, sum: D::Rows, x: &D::Rows) -> DeviceResult<D::Rows> {
        let logits = device.times(x, &self.gate)?;
        let mut scores = device.read(&logits)?;
        scores.chunks_exact_mut(self.config.count).for_each(|row| scored(self.config.gate, row));
        let chosen = choose(&scores, self.bias.as_deref(), &self.config.choice());

        let mut of_experts: Vec<Vec<Picked>> = vec![Vec::new(); self.config.count];
        let rows = scores.chunks_exact(self.config.count).zip(chosen.chunks_exact(self.config.chosen));
        for (row, (scores, chosen)) in rows.enumerate() {
            let score = |expert: &u32| f64::from(scores[*expert as usize]);
            let sum: f64 =
                if self.config.normed() { chosen.iter().map(score).sum::<f64>() + LEAST_SCORE } else { 1.0 };
            for expert in chosen {
                let share = (score(expert) / sum * self.config.scale) as f32;
                of_experts[*expert as usize].push(Picked { row: row as u32, share });
            }
        }
        let mut sum = match &self.shared {
            None => sum,
            Some(shared) => shared.onto(device, sum, x)?,
        };
        for (expert, picked) in self.experts.iter().zip(&of_experts).filter(|(_, picked)| !picked.is_empty())
        {
            let own = device.picked(x, picked)?;
            let given = expert.of(device, &own)?;
            sum = device.add_picked(sum, &given, picked)?;
        }
        Ok(sum)
    }
}

/// Logits to scores.
fn scored(gate: Gate, row: &mut [f32]) {
    match gate {
        Gate::Sigmoid => row.iter_mut().for_each(|x| *x = 1.0 / (1.0 + (-*x).exp())),
        Gate::Softmax => {
            let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter_mut().for_each(|x| *x = (*x - most).exp());
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|x| *x /= sum);
        }
    }
}
