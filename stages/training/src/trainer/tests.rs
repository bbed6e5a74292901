//! Trainings whose steps come to nothing.
use super::*;
use crate::data::tests::pack;
use crate::guard::Verdict;
use crate::recipe::Recipe;
use crate::tests::recipe;
use burn::backend::Flex;
use muse_artifacts::checkpoint::Checkpoint;
use muse_model::optim::{OptimizerConfig, OptimizerKind, StateKind};

#[test]
fn steps_that_come_to_nothing_lead_back_to_where_all_was_well() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = pack(folder.path(), 8, &[40, 40], &[16]);
    let recipe = Recipe { steps: 50, batch_tokens: 16, eval_every: 4, ..recipe() };
    let model = Model::new(1, 8, 1, 8);
    let training = Training { recipe: &recipe, model: &model, tokens: &tokens, init: None };
    let mut trainer = Trainer::<Flex>::new(training, Default::default(), None).unwrap();
    (0..4).for_each(|_| assert_eq!(trainer.step(true).unwrap().verdict, Verdict::Apply));
    let loss = trainer.evaluate().unwrap();
    trainer.judged(loss);
    assert_eq!(trainer.state().guard.good(), 4);
    let place = folder.path().join("good");
    trainer.save(&place, loss, true).unwrap();
    let (good, cursor, tokens_then) = (trainer.numbers(), trainer.batches.cursor(), trainer.state().tokens);

    trainer.net = trainer.net.take().map(|net| net.changed(|_, x| x.mul_scalar(f32::NAN)));
    let verdicts: Vec<Verdict> = (0..3).map(|_| trainer.step(true).unwrap().verdict).collect();
    assert_eq!(verdicts, [Verdict::Skip, Verdict::Skip, Verdict::RollBack(4)]);
    assert_eq!(trainer.state().updates, 4, "none of them changed anything");
    trainer.go_back(Some(&Checkpoint::open(&place).unwrap())).unwrap();
    assert_eq!(trainer.numbers(), good);
    let state = trainer.state();
    assert_eq!((state.made, state.updates, state.tokens), (4, 4, tokens_then));
    assert_eq!((trainer.batches.cursor(), state.guard.rate()), (cursor, 0.5));
    let made = trainer.step(true).unwrap();
    assert_eq!((made.verdict, made.rate), (Verdict::Apply, recipe.rate(4) * 0.5));
}

/// How a training in [`made`] differs from others.
type Way = (OptimizerKind, StateKind, Precision);

/// What was done about each of twelve steps, one that would lead back among them, the bits of all weights behind them, and the state,
/// where so many steps are asked for ahead.
fn made(ahead: usize, (kind, state, precision): Way) -> (Vec<(u64, Verdict)>, Vec<Vec<u32>>, String) {
    let folder = tempfile::tempdir().unwrap();
    // The weights of two tokens, each in a sequence of its own, are no numbers.
    let tokens = pack(folder.path(), 8, &[80], &[16]);
    let optimizer = OptimizerConfig { kind, state, ..Default::default() };
    let recipe = Recipe { steps: 12, batch_tokens: 8, eval_every: 5, optimizer, precision, ..recipe() };
    let model = Model { tied: false, ..Model::new(1, 8, 1, 8) };
    let training = Training { recipe: &recipe, model: &model, tokens: &tokens, init: None };
    let mut trainer = Trainer::<Flex>::new(training, Default::default(), None).unwrap();
    trainer.ahead = ahead;
    trainer.net = trainer.net.take().map(|net| {
        net.changed(|at, x| {
            // The embedding stands first.
            if at > 0 {
                return x;
            }
            let row = |token: usize| token * 8..(token + 1) * 8;
            [13, 45].into_iter().fold(x, |x, token| x.slice_fill(row(token), f32::NAN))
        })
    });
    let bits = |trainer: &Trainer<'_, Flex>| -> Vec<Vec<u32>> {
        trainer.numbers().into_iter().map(|x| x.into_iter().map(f32::to_bits).collect()).collect()
    };
    let (mut all, mut before) = (Vec::new(), bits(&trainer));
    while trainer.state().made < recipe.steps {
        let made = trainer.step(true).unwrap();
        assert!(trainer.asked.len() <= ahead);
        // Behind an evaluation's step nothing is under way.
        assert!(!recipe.evaluates(trainer.state().made) || !trainer.is_ahead());
        let now = bits(&trainer);
        let stays = made.verdict != Verdict::Apply;
        assert!(ahead > 0 || (now == before) == stays, "at step {}", trainer.state().made);
        before = now;
        all.push((trainer.state().made, made.verdict));
    }
    (all, before, trainer.state().to_json().to_string())
}

#[test]
fn steps_that_are_asked_for_ahead_come_to_what_they_come_to_one_by_one() {
    use OptimizerKind::{Adamw, Muon, Muonclip, Sgd};
    use StateKind::{Bf16, F32, Int8};
    let wide = [(Adamw, F32), (Adamw, Bf16), (Adamw, Int8), (Muon, F32), (Muonclip, F32), (Sgd, F32)];
    let narrow = [(Adamw, F32), (Muon, Bf16)].map(|(kind, state)| (kind, state, Precision::Bf16Stochastic));
    for way in wide.map(|(kind, state)| (kind, state, Precision::F32)).into_iter().chain(narrow) {
        let right = made(0, way);
        let skipped = right.0.iter().filter(|(_, verdict)| *verdict == Verdict::Skip).count();
        assert_eq!((right.0.len(), skipped), (13, 2), "otherwise this tests nothing: {:?}", right.0);
        for ahead in [1, 2, 7] {
            assert_eq!(made(ahead, way), right, "{way:?}");
        }
    }
}
