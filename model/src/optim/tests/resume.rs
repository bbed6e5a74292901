//! What a checkpoint holds is all that there is to know.
use super::*;
use crate::optim::OptimError;
use muse_kernels::with_threads;

fn each() -> impl Iterator<Item = (OptimizerConfig, DType)> {
    KINDS.into_iter().flat_map(|kind| {
        let of = move |dtype| STATES.map(|state| (config(kind, state), dtype));
        of(DType::F32).into_iter().chain(of(DType::BF16))
    })
}

#[test]
fn going_on_is_never_having_stopped() {
    for (config, dtype) in each() {
        let mut whole = Training::new(&config, dtype);
        (1..=6).for_each(|step| whole.step(step, 0.02));

        let mut first = Training::new(&config, dtype);
        (1..=3).for_each(|step| first.step(step, 0.02));
        let mut second = Training::new(&config, dtype);
        let mut asked = Vec::new();
        second
            .optimizer
            .load(|tensor| {
                asked.push(tensor.clone());
                let data = first.optimizer.state(tensor);
                assert_eq!(data.shape.to_vec(), tensor.shape);
                // As bytes, which is how files hold it.
                Ok::<_, OptimError>(TensorData::from_bytes_vec(
                    data.as_bytes().to_vec(),
                    data.shape.clone(),
                    data.dtype,
                ))
            })
            .unwrap();
        assert_eq!(asked, first.optimizer.layout());
        second.values = first.values;
        (4..=6).for_each(|step| second.step(step, 0.02));
        assert!(second.bits() == whole.bits(), "{config:?} {dtype:?}: the weights");
        assert!(second.state_bits() == whole.state_bits(), "{config:?} {dtype:?}: the state");
    }
}

#[test]
fn threads_change_nothing() {
    // So large that the threads have several parts of each to do, and Muon's products two.
    let weights = || vec![weight("matrix", [260, 240], Role::Matrix), weight("head", [190, 130], Role::Head)];
    let run = |config: &OptimizerConfig, dtype, threads| {
        with_threads(threads, || {
            let mut training = Training::of(config, dtype, weights(), [20_000, 1]);
            (1..=2).for_each(|step| training.step(step, 0.02));
            (training.bits(), training.state_bits())
        })
    };
    for (config, dtype) in each() {
        assert!(run(&config, dtype, 1) == run(&config, dtype, 3), "{config:?} {dtype:?}");
    }
}

#[test]
fn pieces_change_nothing_that_is_not_rounded_at_random() {
    let config = config(OptimizerKind::Adamw, StateKind::F32);
    let mut pieces = Training::new(&config, DType::F32);
    let mut whole = Training::new(&config, DType::F32);
    whole.optimizer = Optimizer::new(&config, weights(), &Default::default()).unwrap();
    for step in 1..=3 {
        pieces.step(step, 0.02);
        whole.step(step, 0.02);
    }
    assert!(pieces.bits() == whole.bits() && pieces.state_bits() == whole.state_bits());
}

#[test]
fn a_checkpoint_names_what_it_holds() {
    let names = |kind, state| {
        let training = Training::new(&config(kind, state), DType::F32);
        let said = training.optimizer.layout().into_iter();
        said.map(|tensor| format!("{} {:?} {:?}", tensor.name, tensor.dtype, tensor.shape))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(OptimizerKind::Muon, StateKind::Int8),
        [
            "embed.mean U8 [5, 256]",
            "embed.mean.scales F32 [5]",
            "embed.square U8 [5, 256]",
            "embed.square.scales F32 [5]",
            "layers.0.norm.mean F32 [24]",
            "layers.0.norm.square F32 [24]",
            "layers.0.wide.momentum U8 [4, 256]",
            "layers.0.wide.momentum.scales F32 [4]",
            "layers.1.tall.momentum U8 [4, 256]",
            "layers.1.tall.momentum.scales F32 [4]",
            "head.mean U8 [5, 256]",
            "head.mean.scales F32 [5]",
            "head.square U8 [5, 256]",
            "head.square.scales F32 [5]",
        ]
    );
    assert_eq!(names(OptimizerKind::Sgd, StateKind::Bf16)[0], "embed.momentum BF16 [50, 24]");
}

#[test]
fn a_checkpoint_of_another_optimizer_is_refused() {
    let from = Training::new(&config(OptimizerKind::Adamw, StateKind::F32), DType::F32);
    let mut to = Training::new(&config(OptimizerKind::Adamw, StateKind::Bf16), DType::F32);
    let error = to.optimizer.load(|tensor| {
        let there = from.optimizer.layout().into_iter().find(|there| there.name == tensor.name);
        Ok::<_, OptimError>(from.optimizer.state(&there.unwrap()))
    });
    assert_eq!(
        error.unwrap_err().to_string(),
        "the optimizer's `embed.mean` is F32 [50, 24] in the checkpoint, and would be BF16 [50, 24] here: \
         go on with the `kind`, `state` and model that it was written with"
    );
}
