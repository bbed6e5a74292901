//! A training on a device: weights, optimizer and data. `step` makes steps, `init` begins with given weights, `keep` puts it into
//! checkpoints and back, `adapter` writes factors for others,
//! `zeros` counts what three values leave out.
mod adapter;
mod init;
mod keep;
mod step;
mod zeros;

pub(crate) use init::unlike;
pub(crate) use step::{Made, ahead, waited_with};

use crate::data::{Batches, Cursor, HeldOut, Rows, StepSize};
use crate::recipe::Recipe;
use crate::report::Point;
use crate::run::Training;
use crate::state::State;
use burn::prelude::*;
use burn::tensor::DType;
use muse_model::config::{Model, Shape};
use muse_model::count::Precision;
use muse_model::kernels::{DeviceError, Member, Objective, Ops};
use muse_model::lora::{Acting, Lora};
use muse_model::net::{Batch, Net, Setting, Weight};
use muse_model::optim::{Clip, Optimizer, global_norm};
use muse_stage::StageError;
use std::collections::VecDeque;
use std::sync::Arc;
use step::Asked;

/// A training that is under way.
pub(crate) struct Trainer<'a, B: Ops> {
    training: Training<'a>,
    /// The model with the sizes of the data filled in.
    model: Model,
    shape: Shape,
    size: StepSize,
    objective: Objective,
    weights: Vec<Weight>,
    device: B::Device,
    setting: Setting<B>,
    /// None only while a step puts new weights in the place of the old.
    net: Option<Net<B>>,
    /// Factors that are changed in the place of the net, if that was asked for. None likewise.
    lora: Option<Lora<B>>,
    optimizer: Optimizer<B>,
    batches: Batches<'a>,
    clip: Clip<B>,
    /// Steps that the device was asked for and that nobody has looked at: of these `state` knows nothing, while all else is as they
    /// leave it.
    asked: VecDeque<Asked>,
    /// How many there may be beside the one that is looked at next.
    ahead: usize,
    state: State,
    /// How uneven the work of experts was at the last evaluation.
    expert_load: Option<f64>,
    /// Those that train the same on other devices, if there are any.
    member: Option<Member>,
}

impl<'a, B: Ops> Trainer<'a, B> {
    /// A training at its start: with weights that are drawn, or with those of a checkpoint.
    pub(crate) fn new(
        training: Training<'a>,
        device: B::Device,
        member: Option<Member>,
    ) -> Result<Self, StageError> {
        let Training { recipe, model: given, tokens, init } = training;
        let context = tokens.meta().context as usize;
        let shape = given.shape(tokens.meta().vocab_size as usize, context);
        let mut model = given.clone();
        (model.vocab_size, model.context) = (Some(shape.vocab_size), Some(shape.context));
        // Sequences may be shorter than what the model has learned.
        let shape = Shape { context, ..shape };
        let balancing = shape.experts.map_or(0.0, |experts| experts.bias_rate);
        let optimizer = optimizer(recipe, recipe.changes(&shape), &device)?.balancing(balancing);
        let dtype = if recipe.precision == Precision::F32 { DType::F32 } else { DType::BF16 };
        let devices = member.as_ref().map_or(1, Member::count);
        let size = recipe.step_size(context, model.window, devices);
        let mut trainer = Self {
            training,
            setting: Setting::new(&model, context, dtype, &device),
            net: Some(Net::new(&model, &shape, recipe.seed, &device)),
            lora: recipe.lora.as_ref().map(|lora| Lora::new(lora, &shape, recipe.seed, &device)),
            batches: Batches::new(tokens, recipe.seed, size, Cursor::default())?,
            clip: Clip::new(recipe.clip, &device),
            asked: VecDeque::new(),
            ahead: ahead::<B>(member.as_ref()),
            objective: recipe.loss.objective(),
            state: State::default(),
            expert_load: None,
            model,
            weights: Weight::all(&shape),
            shape,
            size,
            device,
            optimizer,
            member,
        };
        trainer.rounded();
        if let Some(init) = init {
            trainer.begin_with(init)?;
        }
        Ok(trainer)
    }

    /// Weights that are kept in bf16 alone become so, but for those few that stay exact.
    fn rounded(&mut self) {
        if self.training.recipe.precision == Precision::Bf16Stochastic {
            let weights = &self.weights;
            self.net = self.net.take().map(|net| {
                net.changed(|at, x| if weights[at].role.is_exact() { x } else { x.cast(DType::BF16) })
            });
        }
    }

    fn net(&self) -> &Net<B> {
        self.net.as_ref().expect("a step puts it back")
    }

    fn acting(&self) -> Acting<'_, B> {
        Acting { net: self.net(), lora: self.lora.as_ref() }
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    #[cfg(test)]
    pub(crate) fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// The weights.
    #[cfg(test)]
    pub(crate) fn numbers(&self) -> Vec<Vec<f32>> {
        self.net().flat().into_iter().map(|x| x.into_data().iter().collect()).collect()
    }

    /// Other weights than those that were learned, by a little.
    #[cfg(test)]
    pub(crate) fn spoil(&mut self) {
        self.net = self.net.take().map(|net| net.changed(|_, x| x.mul_scalar(1.0 + 1e-6)));
    }

    /// Asks the guard, at an evaluation, whether this is a moment to go back to.
    pub(crate) fn judged(&mut self, validation: Option<f64>) {
        if self.state.guard.is_good(self.state.made, validation) {
            self.state.best_when_good = self.state.best;
        }
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    fn batch(&self, rows: &Rows) -> Batch<B> {
        Batch::new(rows.context, rows.columns(), &self.device)
    }

    /// Cross-entropy on what is held back, a mean over its labels. None where there is nothing. Devices share the batches, and
    /// the sum has these in their order.
    pub(crate) fn evaluate(&mut self) -> Result<Option<f64>, StageError> {
        let held_out = HeldOut::new(self.training.tokens, self.size, self.training.recipe.eval_tokens);
        let (rank, devices) = self.place();
        let (mut own, mut loads) = (Vec::new(), Vec::new());
        for rows in held_out.share_of(rank, devices) {
            let rows = rows?.filled_up(self.size.micro_batch);
            let (acting, batch) = (self.acting(), self.batch(&rows));
            let hidden = acting.hidden(&batch, &self.setting);
            add_loads(&mut loads, hidden.loads);
            let loss = acting.loss_of(hidden.state, &batch, &Objective::PLAIN, 1.0);
            own.push((loss.plain.into_scalar().elem::<f64>(), rows.labelled));
        }
        let all = match &self.member {
            Some(member) => {
                self.compared(member)?;
                member.meet(own).map_err(failed)?
            }
            None => Arc::new(vec![own]),
        };
        self.expert_load = unevenness(&loads);
        let longest = all.iter().map(Vec::len).max().unwrap_or(0);
        let in_order = (0..longest).flat_map(|at| all.iter().filter_map(move |of_one| of_one.get(at)));
        let add = |(sum, labels), (loss, more): &(f64, u64)| (sum + loss, labels + more);
        let (sum, labels) = in_order.fold((0.0, 0), add);
        self.checked()?;
        Ok((labels > 0).then(|| sum / labels as f64))
    }

    /// How many tokens the busiest expert of any block had at the last evaluation, as a multiple of the mean: on one device, of the tokens
    /// that it evaluated. None where there are no experts.
    pub(crate) fn expert_load(&self) -> Option<f64> {
        self.expert_load
    }

    /// Whether all devices have the same weights: nothing but a fault makes them differ, and nothing else would tell.
    fn compared(&self, member: &Member) -> Result<(), StageError> {
        let changed = self.lora.as_ref().map_or_else(|| self.net().flat(), Lora::flat);
        let norms = member.meet(global_norm::<B>(&changed, &self.device).to_bits()).map_err(failed)?;
        if norms.iter().any(|norm| *norm != norms[0]) {
            return Err(StageError::new(
                "the GPUs came to other weights than each other, so one of them has a fault",
            )
            .help("run it again: it goes on from the last checkpoint"));
        }
        Ok(())
    }

    /// Notes an evaluation.
    pub(crate) fn evaluated(&mut self, loss: f64) {
        // What is no number does not come back from a checkpoint.
        if !loss.is_finite() {
            return;
        }
        let point = Point { step: self.state.made, loss };
        self.state.losses.add_validation(point.step, loss);
        self.state.evaluated = Some(point);
        if self.state.best.is_none_or(|best| loss < best.loss) {
            self.state.best = Some(point);
        }
    }
}

/// Adds how many tokens each expert of each block had.
fn add_loads(sum: &mut Vec<Vec<u32>>, more: Vec<Vec<u32>>) {
    if sum.is_empty() {
        *sum = more;
        return;
    }
    for (sum, more) in sum.iter_mut().zip(more) {
        sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }
}

/// What the busiest expert of any block has, as a multiple of the mean.
fn unevenness(loads: &[Vec<u32>]) -> Option<f64> {
    let of_block = |loads: &Vec<u32>| {
        let (most, sum) = (loads.iter().max().copied().unwrap_or(0), loads.iter().sum::<u32>());
        f64::from(most) * loads.len() as f64 / f64::from(sum.max(1))
    };
    loads.iter().map(of_block).reduce(f64::max)
}

fn optimizer<B: Ops>(
    recipe: &Recipe,
    weights: Vec<Weight>,
    device: &B::Device,
) -> Result<Optimizer<B>, StageError> {
    Optimizer::new(&recipe.optimizer, weights, device).map_err(|error| StageError::new(error.to_string()))
}

/// What a device says of itself, as a stage does.
pub(crate) fn failed(error: DeviceError) -> StageError {
    let said = StageError::new(error.message);
    match error.help {
        Some(help) => said.help(help),
        None => said,
    }
}

#[cfg(test)]
mod tests;
