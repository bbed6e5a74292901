//! The model on a GPU against the same on the CPU: logits, loss and gradients. Needs one, so it runs by hand:
//! `cargo test -p muse-model --test cuda -- --ignored`, or its binary on a machine without Rust.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use burn::backend::{Cuda, Flex};
use burn::prelude::*;
use burn::tensor::DType;
use muse_model::config::Model;
use muse_model::kernels::{Dropout, NO_LABEL, Objective, Ops, Sight};
use muse_model::net::{Batch, Dropped, Net, Setting};
use muse_model::pass::{Recompute, pass};

const TOKENS: usize = 40;
const VOCABULARY: usize = 97;

/// Everything that a pass gives, as numbers: logits, loss, largest logits, gradients.
fn run<B: Ops>(model: &Model, dtype: DType, recompute: Recompute) -> Vec<(String, Vec<f32>)> {
    let device = B::Device::default();
    let shape = model.shape(VOCABULARY, TOKENS);
    let net = Net::<B>::new(model, &shape, 3, &device);
    let ids: Vec<i32> = (0..3 * TOKENS).map(|at| (at * at * 7 % VOCABULARY) as i32).collect();
    let labels: Vec<i32> =
        ids.iter().map(|id| if id % 6 == 0 { NO_LABEL } else { (id * 5 + 1) % VOCABULARY as i32 }).collect();
    // Two documents a row, and a window.
    let positions: Vec<i32> = (0..3).flat_map(|_| (0..15).chain(0..25)).collect();
    let window = model.window.unwrap_or(TOKENS) as i32;
    let starts: Vec<i32> =
        positions.iter().enumerate().map(|(at, p)| (at % TOKENS) as i32 - (*p).min(window - 1)).collect();
    let batch = Batch::<B>::new(TOKENS, [&ids, &labels, &positions, &starts], &device);
    let dropped = Dropped::of(model, 11);
    let plain = Setting::new(model, TOKENS, dtype, &device);
    let setting = Setting { dropped, ..plain.clone() };
    let objective =
        Objective { cross_entropy: 0.6, focal: 0.3, gamma: 2.0, smooth: 0.1, epsilon: 0.1, z: 1e-3 };
    let share = 1.0 / labels.iter().filter(|label| **label != NO_LABEL).count() as f64;
    let passed = pass(&net, &batch, &setting, &objective, share, recompute);
    let numbers = |x: Tensor<B, 1>| x.into_data().convert::<f32>().to_vec::<f32>().unwrap();
    let logits = net.logits(&batch, &plain);
    let len = logits.shape().num_elements();
    let mut all = vec![("logits".to_owned(), numbers(logits.reshape([len])))];
    all.push(("loss".into(), numbers(passed.loss)));
    all.push(("plain".into(), numbers(passed.plain)));
    all.extend(passed.peaks.into_iter().map(|peak| ("peak".to_owned(), numbers(peak))));
    let names = muse_model::net::Weight::all(&shape).into_iter().map(|weight| weight.name);
    all.extend(names.zip(passed.grads.into_iter().map(numbers)));
    all
}

fn apart(got: &[f32], right: &[f32]) -> f32 {
    assert_eq!(got.len(), right.len());
    let size = right.iter().fold(1e-3_f32, |most, x| most.max(x.abs()));
    got.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / size
}

fn model(change: impl FnOnce(&mut Model)) -> Model {
    let mut model = Model::new(2, 48, 4, 96);
    (model.kv_heads, model.init_std) = (Some(2), 0.1);
    change(&mut model);
    model
}

#[test]
#[ignore = "needs a GPU"]
fn a_gpu_gives_what_the_cpu_gives() {
    let mut worst = 0.0_f32;
    for model in [
        model(|_| ()),
        model(|model| (model.tied, model.qk_norm) = (true, false)),
        model(|model| (model.window, model.dropout, model.attention_dropout) = (Some(7), 0.2, 0.3)),
    ] {
        for recompute in [Recompute::Nothing, Recompute::BlockOffloaded] {
            let right = run::<Flex>(&model, DType::F32, recompute);
            for ((name, got), (_, right)) in run::<Cuda>(&model, DType::F32, recompute).iter().zip(&right) {
                let apart = apart(got, right);
                worst = worst.max(apart);
                assert!(apart < 1e-4, "{name} of {model:?}: {apart}");
            }
            for ((name, got), (_, right)) in run::<Cuda>(&model, DType::BF16, recompute).iter().zip(&right) {
                let apart = apart(got, right);
                assert!(apart < 0.1, "{name} of {model:?} in bf16: {apart}");
            }
        }
    }
    assert!(worst > 0.0, "nothing was computed twice");
}

/// Milliseconds of each operation at the sizes of `configs/models/shakespeare_gpu.yaml`, 64 sequences of 256 tokens, in bf16.
#[test]
#[ignore = "needs a GPU"]
#[expect(clippy::print_stderr, reason = "a table for people")]
fn what_operations_cost() {
    type B = Cuda;
    let device = <B as burn::tensor::backend::BackendTypes>::Device::default();
    let [sequences, tokens, heads, width, ffn, vocabulary] = [64, 256, 6, 64, 1024, 322];
    let (rows, model) = (sequences * tokens, heads * width);
    let matrix = |rows: usize, columns: usize| {
        let x = B::noise(rows * columns, 1, &device).sub_scalar(0.5).reshape([rows, columns]);
        Tensor::<B, 2>::cast(x, DType::BF16)
    };
    let (x, inner) = (matrix(rows, model), matrix(rows, ffn));
    let (square, wide, head) = (matrix(model, model), matrix(ffn, model), matrix(vocabulary, model));
    let scale = Tensor::<B, 1>::ones([model], (&device, DType::F32));
    let narrow = Tensor::<B, 1>::ones([width], (&device, DType::F32));
    let q: Tensor<B, 4> = x.clone().reshape([sequences, tokens, heads, width]);
    let starts = Tensor::<B, 2, Int>::zeros([sequences, tokens], (&device, DType::I32));
    let ids = Tensor::<B, 1, Int>::arange(0..rows as i64, (&device, DType::I32))
        .remainder_scalar(vocabulary as i32);
    let places =
        Tensor::<B, 1, Int>::arange(0..rows as i64, (&device, DType::I32)).remainder_scalar(tokens as i32);
    let setting = Setting::<B>::new(&Model::new(1, model, heads, ffn), tokens, DType::BF16, &device);
    let sight = |rate| Sight { starts: starts.clone(), scale: 0.1, dropped: Dropout { rate, seed: 1 } };
    let sources = || [q.clone(), q.clone(), q.clone()];
    let attended = B::attend(sources(), &sight(0.0));
    let by_head: Tensor<B, 2> = x.clone().reshape([rows * heads, width]);
    use muse_model::kernels::Turned::{Left, Neither, Right};
    let done = |x: Tensor<B, 2>| drop(x.narrow(0, 0, 1).into_data());
    let time = |name: &str, work: &dyn Fn() -> Tensor<B, 2>| {
        (0..3).for_each(|_| done(work()));
        let begin = std::time::Instant::now();
        let many = 20;
        let last = (0..many).map(|_| work()).last().unwrap();
        done(last);
        eprintln!("{name:34} {:8.3} ms", begin.elapsed().as_secs_f64() * 1e3 / f64::from(many));
    };
    time("product, square", &|| B::product(x.clone(), square.clone(), Right));
    time("product, gate or up", &|| B::product(x.clone(), wide.clone(), Right));
    time("product, down", &|| B::product(inner.clone(), wide.clone(), Neither));
    time("product, weight of gate or up", &|| B::product(inner.clone(), x.clone(), Left));
    time("rms_norm", &|| B::rms_norm(x.clone(), scale.clone(), 1e-6));
    time("rms_norm back", &|| B::rms_norm_back(x.clone(), scale.clone(), 1e-6, x.clone()).0);
    time("rms_norm of heads", &|| B::rms_norm(by_head.clone(), narrow.clone(), 1e-6));
    time("rms_norm of heads back", &|| {
        B::rms_norm_back(by_head.clone(), narrow.clone(), 1e-6, by_head.clone()).0
    });
    let turned = || q.clone().reshape([rows, heads, width]);
    time("rotate", &|| B::rotate(turned(), &setting.angles, places.clone(), false).reshape([rows, model]));
    for (rate, with) in [(0.0, ""), (0.2, " with dropout")] {
        let sight = sight(rate);
        time(&format!("attend{with}"), &|| B::attend(sources(), &sight).output.reshape([rows, model]));
        time(&format!("attend{with} back"), &|| {
            let [of_query, ..] = B::attend_back(sources(), &sight, attended.clone(), q.clone());
            of_query.reshape([rows, model])
        });
    }
    time("swiglu", &|| B::swiglu(inner.clone(), inner.clone()));
    time("swiglu back", &|| B::swiglu_back(inner.clone(), inner.clone(), inner.clone()).0);
    time("dropout", &|| B::dropout(x.clone(), Dropout { rate: 0.2, seed: 1 }));
    time("embed", &|| B::embed(head.clone(), ids.clone()));
    time("embed back", &|| B::embed_back(ids.clone(), vocabulary, x.clone()));
    time("head_loss", &|| {
        let made = B::head_loss(x.clone(), head.clone(), ids.clone(), &Objective::PLAIN, 1e-4, true);
        made.back.unwrap().0
    });
    time("residual", &|| x.clone() + x.clone());
    let flat: Tensor<B, 1> = B::noise(10_600_000, 2, &device);
    let step = muse_model::kernels::AdamStep {
        rate: 1e-3,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        decay: 0.1,
        scale: 1.0,
        step: 3,
    };
    time("adamw of 10.6M", &|| {
        B::adamw(flat.clone(), flat.clone(), (flat.clone(), flat.clone()), &step).0.reshape([100, 106_000])
    });
}
