//! A training on a device: weights, optimizer and data, a step at a time. `init` begins with given weights, `keep` puts it into
//! checkpoints and back, `adapter` writes factors for others.
mod adapter;
mod init;
mod keep;

use crate::data::{Batches, Cursor, HeldOut, Rows, Step, StepSize};
use crate::guard::Verdict;
use crate::recipe::Recipe;
use crate::report::Point;
use crate::run::Training;
use crate::state::State;
use burn::prelude::*;
use burn::tensor::DType;
use muse_model::buckets::Onto;
use muse_model::config::{Model, Shape};
use muse_model::count::Precision;
use muse_model::kernels::{DeviceError, Member, Objective, Ops};
use muse_model::lora::{Acting, Lora};
use muse_model::net::{Batch, Dropped, Net, Role, Setting, Weight};
use muse_model::optim::{Optimizer, clip_scale, global_norm, qk_clip};
use muse_model::pass::{Pass, pass};
use muse_stage::StageError;
use std::sync::Arc;

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
    state: State,
    /// Those that train the same on other devices, if there are any.
    member: Option<Member>,
}

/// What a step came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    /// The objective's mean.
    pub(crate) loss: f64,
    /// The norm of the gradient before clipping.
    pub(crate) norm: f64,
    /// The learning rate.
    pub(crate) rate: f64,
    /// What was done about it.
    pub(crate) verdict: Verdict,
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
        let optimizer = optimizer(recipe, recipe.changes(&shape), &device)?;
        let dtype = if recipe.precision == Precision::F32 { DType::F32 } else { DType::BF16 };
        let devices = member.as_ref().map_or(1, Member::count);
        let size = recipe.step_size(context, model.window, devices);
        let mut trainer = Self {
            training,
            setting: Setting::new(&model, context, dtype, &device),
            net: Some(Net::new(&model, &shape, recipe.seed, &device)),
            lora: recipe.lora.as_ref().map(|lora| Lora::new(lora, &shape, recipe.seed, &device)),
            batches: Batches::new(tokens, recipe.seed, size, Cursor::default())?,
            objective: recipe.loss.objective(),
            state: State::default(),
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

    /// Weights that are kept in bf16 alone become so. Those of norms are few, and stay exact.
    fn rounded(&mut self) {
        if self.training.recipe.precision == Precision::Bf16Stochastic {
            let weights = &self.weights;
            self.net = self.net.take().map(|net| {
                net.changed(|at, x| if weights[at].role == Role::Norm { x } else { x.cast(DType::BF16) })
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

    /// Makes the next step, but for going back where the guard says so.
    pub(crate) fn step(&mut self) -> Result<Made, StageError> {
        let step = self.batches.step()?;
        let rate = self.training.recipe.rate(self.state.made) * self.state.guard.rate();
        let Pass { loss, grads, peaks, .. } = self.gathered(&step)?;
        let counted = grads.iter().enumerate().filter(|(at, _)| !self.optimizer.is_frozen(*at));
        let norm = global_norm::<B>(counted.map(|(_, grad)| grad));
        let loss = loss.into_scalar().elem::<f64>();
        self.checked()?;
        let verdict = self.state.guard.judge(self.state.made, loss, norm)?;
        if verdict == Verdict::Apply {
            self.state.updates += 1;
            let scale = if self.training.recipe.clip > 0.0 {
                clip_scale(norm, self.training.recipe.clip)
            } else {
                1.0
            };
            let optimizer = &mut self.optimizer;
            optimizer.begin(self.state.updates, rate, scale, grads);
            let change = |at, weight| optimizer.update(at, weight);
            match self.lora.take() {
                Some(lora) => self.lora = Some(lora.changed(change)),
                None => self.net = self.net.take().map(|net| net.changed(change)),
            }
            if let Some(threshold) = self.training.recipe.optimizer.threshold() {
                self.clip_heads(peaks, threshold);
            }
        }
        if !matches!(verdict, Verdict::RollBack(_)) {
            self.state.made += 1;
            self.state.tokens += step.tokens();
            self.state.cursor = self.batches.cursor();
            self.state.losses.add(self.state.made, loss);
        }
        Ok(Made { loss, norm, rate, verdict })
    }

    /// Whether all went well until now, here and with the others.
    fn checked(&self) -> Result<(), StageError> {
        B::checked(&self.device).map_err(failed)?;
        self.member.as_ref().and_then(Member::over).map_or(Ok(()), |error| Err(failed(error)))
    }

    /// The loss and the gradients of a step, added up over its micro-batches: over those of all devices.
    fn gathered(&self, step: &Step) -> Result<Pass<B>, StageError> {
        let (rank, devices) = self.place();
        let mut sum: Option<Pass<B>> = None;
        let mut share = step.share_of(rank, devices).peekable();
        while let Some((number, rows)) = share.next() {
            let dropped = Dropped::of(&self.model, self.training.recipe.seed_of(self.state.made, number));
            let setting = Setting { dropped, ..self.setting.clone() };
            let (before, so_far) = match sum {
                None => (None, None),
                Some(Pass { loss, plain, grads, peaks, .. }) => (Some((loss, plain, peaks)), Some(grads)),
            };
            let last = share.peek().is_none();
            let mut passed = pass(
                self.acting(),
                &self.batch(&rows),
                &setting,
                &self.objective,
                step.share(),
                self.training.recipe.keeps(),
                Onto { so_far, member: self.member.as_ref().filter(|_| last) },
            );
            if let Some((loss, plain, peaks)) = before {
                (passed.loss, passed.plain) = (loss + passed.loss, plain + passed.plain);
                let pairs = peaks.into_iter().zip(passed.peaks);
                passed.peaks = pairs.map(|(most, peak)| most.max_pair(peak)).collect();
            }
            sum = Some(passed);
        }
        let own = sum.ok_or_else(|| StageError::new("a step has no sequence for each device"))?;
        match &self.member {
            Some(member) => own.together(member).map_err(failed),
            None => Ok(own),
        }
    }

    /// Which one this is of how many.
    fn place(&self) -> (usize, usize) {
        self.member.as_ref().map_or((0, 1), |member| (member.rank(), member.count()))
    }

    /// Brings heads whose logits grew too large back to the threshold.
    fn clip_heads(&mut self, peaks: Vec<Tensor<B, 1>>, threshold: f64) {
        let mut peaks = peaks.into_iter();
        self.net = self.net.take().map(|net| {
            net.with_queries_and_keys(|query, key| match peaks.next() {
                Some(peaks) => qk_clip(peaks, threshold, query, key),
                None => (query, key),
            })
        });
    }

    fn batch(&self, rows: &Rows) -> Batch<B> {
        Batch::new(rows.context, rows.columns(), &self.device)
    }

    /// Cross-entropy on what is held back, a mean over its labels. None where there is nothing. Devices share the batches, and
    /// the sum has these in their order.
    pub(crate) fn evaluate(&self) -> Result<Option<f64>, StageError> {
        let held_out = HeldOut::new(self.training.tokens, self.size, self.training.recipe.eval_tokens);
        let (rank, devices) = self.place();
        let mut own = Vec::new();
        for rows in held_out.share_of(rank, devices) {
            let rows = rows?.filled_up(self.size.micro_batch);
            let loss = self.acting().loss(&self.batch(&rows), &self.setting, &Objective::PLAIN, 1.0);
            own.push((loss.plain.into_scalar().elem::<f64>(), rows.labelled));
        }
        let all = match &self.member {
            Some(member) => {
                self.compared(member)?;
                member.meet(own).map_err(failed)?
            }
            None => Arc::new(vec![own]),
        };
        let longest = all.iter().map(Vec::len).max().unwrap_or(0);
        let in_order = (0..longest).flat_map(|at| all.iter().filter_map(move |of_one| of_one.get(at)));
        let add = |(sum, labels), (loss, more): &(f64, u64)| (sum + loss, labels + more);
        let (sum, labels) = in_order.fold((0.0, 0), add);
        self.checked()?;
        Ok((labels > 0).then(|| sum / labels as f64))
    }

    /// Whether all devices have the same weights: nothing but a fault makes them differ, and nothing else would tell.
    fn compared(&self, member: &Member) -> Result<(), StageError> {
        let changed = self.lora.as_ref().map_or_else(|| self.net().flat(), Lora::flat);
        let norms = member.meet(global_norm::<B>(&changed).to_bits()).map_err(failed)?;
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
mod tests {
    use super::*;
    use crate::data::tests::pack;
    use crate::tests::recipe;
    use burn::backend::Flex;
    use muse_artifacts::checkpoint::Checkpoint;

    #[test]
    fn steps_that_come_to_nothing_lead_back_to_where_all_was_well() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = pack(folder.path(), 8, &[40, 40], &[16]);
        let recipe = Recipe { steps: 50, batch_tokens: 16, eval_every: 4, ..recipe() };
        let model = Model::new(1, 8, 1, 8);
        let training = Training { recipe: &recipe, model: &model, tokens: &tokens, init: None };
        let mut trainer = Trainer::<Flex>::new(training, Default::default(), None).unwrap();
        (0..4).for_each(|_| assert_eq!(trainer.step().unwrap().verdict, Verdict::Apply));
        let loss = trainer.evaluate().unwrap();
        trainer.judged(loss);
        assert_eq!(trainer.state().guard.good(), 4);
        let place = folder.path().join("good");
        trainer.save(&place, loss, true).unwrap();
        let (good, cursor, tokens_then) =
            (trainer.numbers(), trainer.batches.cursor(), trainer.state().tokens);

        trainer.net = trainer.net.take().map(|net| net.changed(|_, x| x.mul_scalar(f32::NAN)));
        let verdicts: Vec<Verdict> = (0..3).map(|_| trainer.step().unwrap().verdict).collect();
        assert_eq!(verdicts, [Verdict::Skip, Verdict::Skip, Verdict::RollBack(4)]);
        assert_eq!(trainer.state().updates, 4, "none of them changed anything");
        trainer.go_back(Some(&Checkpoint::open(&place).unwrap())).unwrap();
        assert_eq!(trainer.numbers(), good);
        let state = trainer.state();
        assert_eq!((state.made, state.updates, state.tokens), (4, 4, tokens_then));
        assert_eq!((trainer.batches.cursor(), state.guard.rate()), (cursor, 0.5));
        let made = trainer.step().unwrap();
        assert_eq!((made.verdict, made.rate), (Verdict::Apply, recipe.rate(4) * 0.5));
    }
}
