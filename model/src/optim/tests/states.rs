//! Smaller states and weights train as well, and nothing makes them run away.
use super::*;
use crate::optim::WeightDecay;
use muse_kernels::Turned;

const INPUTS: usize = 128;
const OUTPUTS: usize = 12;
const BATCH: usize = 32;
const STEPS: u64 = 400;

/// Learns a linear map from noisy samples, whose inputs are of very different sizes. Gives the error that is left, as a share of
/// what it was.
fn train(config: &OptimizerConfig, rate: f64, dtype: DType) -> f64 {
    let matrix = |rows: usize, columns: usize, seed: u64| {
        tensor(&numbers(rows * columns, seed)).reshape([rows, columns])
    };
    let sizes: Vec<f32> = (0..INPUTS).map(|at| 10_f32.powf(-2.0 * at as f32 / INPUTS as f32)).collect();
    let sizes = tensor(&sizes).reshape([1, INPUTS]);
    // What each input does is of one size.
    let right = matrix(OUTPUTS, INPUTS, 1) / sizes.clone();
    let shape = [OUTPUTS, INPUTS];
    let mut optimizer =
        Optimizer::<B>::new(config, vec![weight("map", shape, Role::Matrix)], &Default::default()).unwrap();
    let mut flat = tensor(&[0.0; OUTPUTS * INPUTS]).cast(dtype);
    let off = |flat: &Tensor<B, 1>| flat.clone().cast(DType::F32).reshape(shape) - right.clone();
    for step in 1..=STEPS {
        let x = matrix(BATCH, INPUTS, 10 + step) * sizes.clone();
        let noise = matrix(BATCH, OUTPUTS, 100_000 + step).mul_scalar(0.3);
        let error = B::product(x.clone(), off(&flat), Turned::Right) + noise;
        let grad = B::product(error, x, Turned::Left).mul_scalar(1.0 / BATCH as f64);
        let left = 1.0 - (step - 1) as f64 / STEPS as f64;
        optimizer.begin(step, rate * left, tensor(&[1.0]), vec![grad.reshape([OUTPUTS * INPUTS])]);
        flat = optimizer.update(vec![flat]).remove(0);
    }
    let size = |x: Tensor<B, 2>| f64::from(floats((x * sizes.clone()).powi_scalar(2).sum())[0]);
    size(off(&flat)) / size(right.clone())
}

fn kind(kind: OptimizerKind, state: StateKind) -> OptimizerConfig {
    let weight_decay = WeightDecay { matrices: Some(0.0), ..Default::default() };
    OptimizerConfig { weight_decay, ..config(kind, state) }
}

#[test]
fn smaller_states_train_as_well() {
    let kinds = [(OptimizerKind::Adamw, 0.3), (OptimizerKind::Muon, 1.0), (OptimizerKind::Sgd, 0.03)];
    for (which, rate) in kinds {
        let [wide, half, byte] = STATES.map(|state| train(&kind(which, state), rate, DType::F32));
        println!("{which:?}: {wide:.4} in f32, {half:.4} in bf16, {byte:.4} in int8");
        assert!(wide < 0.6, "{which:?} learns: {wide}");
        assert!((half / wide - 1.0).abs() < 0.02, "{which:?} in bf16: {half}, and {wide} in f32");
        assert!((byte / wide - 1.0).abs() < 0.05, "{which:?} in int8: {byte}, and {wide} in f32");
    }
    // Where the mean of squares lasts as long as the run.
    let slow = |state| OptimizerConfig { betas: Some([0.9, 0.999]), ..kind(OptimizerKind::Adamw, state) };
    let [wide, half, byte] = STATES.map(|state| train(&slow(state), 0.3, DType::F32));
    assert!((half / wide - 1.0).abs() < 0.02, "{half}, and {wide} in f32");
    assert!((byte / wide - 1.0).abs() < 0.05, "{byte}, and {wide} in f32");
}

#[test]
fn weights_in_bf16_train_as_well() {
    for (which, rate) in [(OptimizerKind::Adamw, 0.3), (OptimizerKind::Muon, 1.0)] {
        let config = kind(which, StateKind::F32);
        let [wide, half] = [DType::F32, DType::BF16].map(|dtype| train(&config, rate, dtype));
        assert!((half / wide - 1.0).abs() < 0.05, "{which:?}: {half}, and {wide} in f32");
    }
}

#[test]
fn changes_far_below_a_number_of_bf16_count() {
    let config = config(OptimizerKind::Sgd, StateKind::F32);
    let weights = vec![weight("vector", [4096], Role::Norm)];
    let mut optimizer = Optimizer::<B>::new(&config, weights, &Default::default()).unwrap();
    let mut value = tensor(&[1.0; 4096]).cast(DType::BF16);
    for step in 1..=300 {
        // With momentum of 0.9, ten times 1e-5 a step: numbers of bf16 are 0.004 apart here.
        optimizer.begin(step, 1e-5, tensor(&[1.0]), vec![tensor(&[1.0; 4096])]);
        value = optimizer.update(vec![value]).remove(0);
    }
    let mean = floats(value).iter().sum::<f32>() / 4096.0;
    assert!((mean - 0.9709).abs() < 3e-4, "{mean}");
}

#[test]
fn gradients_of_nothing_and_huge_ones_leave_finite_numbers() {
    for which in KINDS {
        for state in STATES {
            for dtype in [DType::F32, DType::BF16] {
                let mut training = Training::new(&config(which, state), dtype);
                for (step, size) in [0.0, 1e-38, 1e-20, 1e18, -1e18, 0.0, 1.0].into_iter().enumerate() {
                    let values = training.values.iter();
                    let grads = values.map(|value| value.ones_like().cast(DType::F32).mul_scalar(size));
                    training.optimizer.begin(step as u64 + 1, 0.01, tensor(&[1.0]), grads.collect());
                    training.values = training.optimizer.update(training.values.clone());
                    for value in &training.values {
                        let sound = floats(value.clone()).iter().all(|x| x.is_finite());
                        assert!(sound, "{which:?} {state:?}: a weight after {size}");
                    }
                    for tensor in training.optimizer.layout() {
                        let sound = training.optimizer.state(&tensor).iter::<f32>().all(|x| x.is_finite());
                        assert!(sound, "{which:?} {state:?}: {} after {size}", tensor.name);
                    }
                }
            }
        }
    }
}

#[test]
fn the_memory_of_a_weight_that_nobody_else_holds_is_used_again() {
    for which in KINDS {
        let weights = vec![weight("matrix", [32, 64], Role::Matrix)];
        let config = config(which, StateKind::F32);
        let mut optimizer = Optimizer::<B>::new(&config, weights, &Default::default()).unwrap();
        let given = numbers(2048, 1);
        let place = given.as_ptr().cast::<u8>();
        let mut value = Tensor::from_data(TensorData::new(given, [2048]), &Default::default());
        for step in 1..=3 {
            optimizer.begin(step, 0.01, tensor(&[1.0]), vec![tensor(&numbers(2048, 1 + step))]);
            value = optimizer.update(vec![value]).remove(0);
        }
        assert_eq!(value.into_data().as_bytes().as_ptr(), place, "{which:?}");
    }
}
