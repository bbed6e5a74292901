//! Several devices do what one does: the CPU several times, by way of the host's memory.
use super::*;
use crate::data::tests::pack;
use crate::guard::Verdict;
use crate::recipe::Recipe;
use crate::tests::recipe;
use burn::backend::Flex;
use muse_artifacts::tokens::Tokens;
use muse_model::config::{Linear, Model};
use muse_model::lora::LoraConfig;
use muse_model::optim::{OptimizerConfig, OptimizerKind};
use muse_model::schedule::Schedule;
use std::path::Path;
use tempfile::TempDir;

const STEPS: u64 = 12;

/// What a training is made of, and a folder for what it keeps.
struct Place {
    recipe: Recipe,
    model: Model,
    tokens: Tokens,
    folder: TempDir,
}

impl Place {
    fn new(change: impl Fn(&mut Recipe, &mut Model)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tokens = pack(folder.path(), 8, &[40, 60, 70], &[30, 34]);
        // Seven sequences a step: no number of devices shares them evenly.
        let mut recipe = Recipe { steps: STEPS, batch_tokens: 56, lr: 0.01, seed: 3, ..recipe() };
        let mut model = Model::new(2, 16, 2, 24);
        change(&mut recipe, &mut model);
        Self { recipe, model, tokens, folder }
    }

    fn training(&self) -> Training<'_> {
        Training { recipe: &self.recipe, model: &self.model, tokens: &self.tokens, init: None }
    }

    fn with<T>(
        &self,
        devices: usize,
        work: impl FnOnce(&mut Team<'_, Flex>) -> Result<T, StageError>,
    ) -> Result<T, StageError> {
        Team::<Flex>::with(self.training(), vec![Default::default(); devices], 1, work)
    }

    /// Losses, norms and evaluations of a training from where `from` is, if anywhere, up to so many steps. It is kept at `to`.
    fn curve(&self, devices: usize, from: Option<&Path>, steps: u64, to: &str) -> Vec<f64> {
        let made = self.with(devices, |team| {
            let mut curve = Vec::new();
            if let Some(from) = from {
                team.load(&Checkpoint::open(from)?)?;
            }
            while team.first().state().made < steps {
                let made = team.step(true)?;
                assert_eq!(made.verdict, Verdict::Apply);
                curve.extend([made.loss, made.norm]);
                if team.first().state().made.is_multiple_of(4) {
                    let loss = team.evaluate()?;
                    team.judged(loss);
                    curve.extend(loss);
                }
            }
            team.first().save(&self.folder.path().join(to), None, true)?;
            Ok(curve)
        });
        made.unwrap()
    }
}

#[track_caller]
fn near(got: &[f64], right: &[f64]) {
    assert_eq!(got.len(), right.len());
    for (at, (got, right)) in got.iter().zip(right).enumerate() {
        assert!((got - right).abs() <= 1e-5 * right.abs(), "number {at} is {got}, and should be {right}");
    }
}

#[test]
fn any_number_of_devices_learns_the_same() {
    let kind = |kind| OptimizerConfig { kind, ..Default::default() };
    type Change = Box<dyn Fn(&mut Recipe, &mut Model)>;
    let changes: [Change; 6] = [
        Box::new(|_, _| ()),
        // What is dropped depends on the number of the micro-batch.
        Box::new(|recipe, model| {
            recipe.micro_batch = Some(2);
            model.dropout = 0.1;
        }),
        Box::new(move |recipe, _| recipe.optimizer = kind(OptimizerKind::Muon)),
        Box::new(move |recipe, model| {
            recipe.optimizer = OptimizerConfig { threshold: Some(0.001), ..kind(OptimizerKind::Muonclip) };
            (model.qk_norm, model.tied) = (false, true);
        }),
        Box::new(|recipe, _| recipe.lora = Some(LoraConfig { rank: 4, alpha: None, targets: None })),
        Box::new(|_, model| model.linear = Some(Linear { low_rank: Some(3), round: None })),
    ];
    for change in changes {
        let place = Place::new(change);
        let right = place.curve(1, None, STEPS, "one");
        assert_eq!(right.len(), 2 * 12 + 3);
        for devices in [2, 3] {
            near(&place.curve(devices, None, STEPS, &format!("{devices}")), &right);
        }
    }
}

#[test]
fn a_training_goes_on_with_another_number_of_devices() {
    let place = Place::new(|_, _| ());
    let right = place.curve(1, None, STEPS, "whole");
    place.curve(2, None, 6, "half");
    let half = place.folder.path().join("half");
    let rest = right.len() - (6 * 2 + 1);
    for devices in [1, 3, 2] {
        let to = format!("rest-{devices}");
        near(&place.curve(devices, Some(&half), STEPS, &to), &right[right.len() - rest..]);
    }
    // And with the same number, to the bit.
    let whole = place.curve(2, None, STEPS, "two");
    assert_eq!(place.curve(2, Some(&half), STEPS, "rest"), whole[whole.len() - rest..]);
    let read = |name: &str| {
        let checkpoint = Checkpoint::open(&place.folder.path().join(name)).unwrap();
        let names: Vec<String> = checkpoint.model().iter().map(|tensor| tensor.name.clone()).collect();
        names.iter().map(|name| checkpoint.model().read(name).unwrap()).collect::<Vec<_>>()
    };
    assert!(read("two") == read("rest"));
}

/// Weights that grow until there are no more numbers: it goes back and on with half of the rate.
#[test]
fn all_go_back_together() {
    let place = Place::new(|recipe, _| {
        let mut optimizer =
            OptimizerConfig { kind: OptimizerKind::Sgd, momentum: Some(0.0), ..Default::default() };
        optimizer.weight_decay.matrices = Some(36.0);
        let schedule = Schedule { warmup: 2.0, ..Schedule::default() };
        *recipe = Recipe { steps: 60, lr: 0.1, clip: 0.0, optimizer, schedule, ..recipe.clone() };
    });
    let run = |devices: usize| {
        let done = place.with(devices, |team| {
            let (mut verdicts, mut kept) = (Vec::new(), None);
            while team.first().state().made < 60 {
                let made = team.step(true)?;
                verdicts.push((made.verdict, made.rate));
                if let Verdict::RollBack(_) = made.verdict {
                    team.go_back(kept.as_ref())?;
                } else if team.first().state().made == 20 {
                    let loss = team.evaluate()?;
                    team.judged(loss);
                    let at = place.folder.path().join(format!("good-{devices}"));
                    team.first().save(&at, loss, true)?;
                    kept = Some(Checkpoint::open(&at)?);
                }
            }
            team.evaluate()?;
            Ok(verdicts)
        });
        done.unwrap()
    };
    let right = run(1);
    assert!(right.iter().any(|(verdict, _)| *verdict == Verdict::RollBack(20)), "{right:?}");
    assert_eq!(run(2), right);
}

#[test]
fn one_that_fails_ends_all_and_says_why() {
    let place = Place::new(|_, _| ());
    let done = place.with(3, |team| {
        team.step(true)?;
        team.others[1].send(Order::Load("nowhere".into())).unwrap();
        for _ in 0..9 {
            team.step(true)?;
        }
        Ok(())
    });
    let Err(StageError::Failed { message, .. }) = done else { panic!("{done:?}") };
    assert!(message.contains("nowhere"), "{message}");
}

#[test]
fn a_checkpoint_into_which_a_failure_came_is_none_and_the_one_before_is_whole() {
    let place = Place::new(|_, _| ());
    let [before, with] = ["before", "with"].map(|name| place.folder.path().join(name));
    let done = place.with(2, |team| {
        team.step(true)?;
        team.first().save(&before, None, true)?;
        team.step(true)?;
        team.others[0].send(Order::Load("nowhere".into())).unwrap();
        while team.first().checked().is_ok() {
            std::thread::yield_now();
        }
        team.first().save(&with, None, true)
    });
    let Err(StageError::Failed { message, .. }) = done else { panic!("{done:?}") };
    assert!(message.contains("nowhere"), "{message}");
    assert!(Checkpoint::open(&with).is_err());
    let weights = place.with(1, |team| {
        team.load(&Checkpoint::open(&before)?)?;
        Ok(team.first().state().made)
    });
    assert_eq!(weights.unwrap(), 1);
}

#[test]
fn all_have_the_same_weights_and_one_that_has_not_is_found() {
    let place = Place::new(|_, _| ());
    let run = |spoils: bool| -> Vec<Result<Vec<Vec<f32>>, StageError>> {
        let work = |member: &Member| {
            let mut trainer =
                Trainer::<Flex>::new(place.training(), Default::default(), Some(member.clone()))?;
            for _ in 0..5 {
                trainer.step(true)?;
            }
            if spoils && member.rank() == 1 {
                trainer.spoil();
            }
            trainer.evaluate()?;
            Ok(trainer.numbers())
        };
        std::thread::scope(|scope| {
            let start = |member: Member| scope.spawn(move || work(&member));
            let threads: Vec<_> = Member::all(3).into_iter().map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    };
    let all: Vec<_> = run(false).into_iter().map(Result::unwrap).collect();
    assert!(all[0] == all[1] && all[0] == all[2]);
    for done in run(true) {
        let Err(StageError::Failed { message, .. }) = done else { panic!("it went on") };
        assert!(message.contains("other weights"), "{message}");
    }
}
