//! The same steps on a GPU: `cargo test -p muse-model --lib cuda -- --ignored`.
use super::*;
use burn::backend::Cuda;

/// The weights after some steps, and the state.
fn run<B: Ops>(config: &OptimizerConfig, dtype: DType, device: &B::Device) -> Vec<(String, Vec<f32>)> {
    let tensor = |numbers: Vec<f32>| Tensor::<B, 1>::from_floats(numbers.as_slice(), device);
    let mut optimizer = Optimizer::<B>::in_pieces(config, weights(), device, 512).unwrap();
    let start = |(at, weight): (usize, Weight)| tensor(numbers(weight.len(), at as u64)).cast(dtype);
    let mut values: Vec<_> = weights().into_iter().enumerate().map(start).collect();
    for step in 1..=5 {
        optimizer.begin(step, 0.02, 0.5);
        for (at, value) in values.iter_mut().enumerate() {
            let grad = tensor(numbers(value.dims()[0], 1000 * step + at as u64));
            *value = optimizer.update(at, value.clone(), grad);
        }
    }
    let floats = |data: TensorData| data.iter::<f32>().collect();
    let values = weights().into_iter().zip(values).map(|(weight, x)| (weight.name, floats(x.into_data())));
    let state = optimizer.layout().into_iter().map(|tensor| {
        let numbers = floats(optimizer.state(&tensor));
        (tensor.name, numbers)
    });
    values.chain(state).collect()
}

#[test]
#[ignore = "needs a GPU"]
fn a_gpu_makes_the_same_steps() {
    for kind in KINDS {
        for state in STATES {
            for dtype in [DType::F32, DType::BF16] {
                let config = config(kind, state);
                let here = run::<B>(&config, dtype, &Default::default());
                let there = run::<Cuda>(&config, dtype, &Default::default());
                for ((name, here), (_, there)) in here.iter().zip(&there) {
                    // What is rounded at random may go the other way where its last bit differs, and seldom does.
                    let size = (here.iter().map(|x| x * x).sum::<f32>() / here.len() as f32).sqrt();
                    let off = here.iter().zip(there).map(|(a, b)| (a - b).powi(2)).sum::<f32>();
                    let off = (off / here.len() as f32).sqrt() / size.max(1e-30);
                    // Newton and Schulz make small singular values up to 484 times larger, and what was rounded with them.
                    let bound = match (kind, state, dtype) {
                        (OptimizerKind::Adamw | OptimizerKind::Sgd, StateKind::F32, DType::F32) => 1e-5,
                        (_, StateKind::F32, DType::F32) => 1e-3,
                        _ => 2e-2,
                    };
                    assert!(off < bound, "{kind:?} {state:?} {dtype:?} {name}: {off}");
                }
            }
        }
    }
}
