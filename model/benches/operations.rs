//! Milliseconds of each operation on a GPU: `cargo bench -p muse-model --bench operations`.
//!
//! At the sizes of `configs/models/shakespeare_gpu.yaml`, 64 sequences of 256 tokens, in bf16.
#![expect(clippy::print_stdout, reason = "a table for people")]

use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;
use burn::tensor::backend::BackendTypes;
use muse_model::config::Model;
use muse_model::kernels::Turned::{Left, Neither, Right};
use muse_model::kernels::{AdamStep, Dropout, Objective, Ops, Placing, Sight};
use muse_model::net::Setting;
use std::time::Instant;

type B = Cuda;

fn main() {
    let device = <B as BackendTypes>::Device::default();
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
    let all: Tensor<B, 4> = matrix(rows, 3 * model).reshape([sequences, tokens, 3 * heads, width]);
    let both = matrix(rows, 2 * ffn);
    let starts = Tensor::<B, 2, Int>::zeros([sequences, tokens], (&device, DType::I32));
    let ids = Tensor::<B, 1, Int>::arange(0..rows as i64, (&device, DType::I32))
        .remainder_scalar(vocabulary as i32);
    let places =
        Tensor::<B, 1, Int>::arange(0..rows as i64, (&device, DType::I32)).remainder_scalar(tokens as i32);
    let setting = Setting::<B>::new(&Model::new(1, model, heads, ffn), tokens, DType::BF16, &device);
    let sight = |rate| Sight { starts: starts.clone(), scale: 0.1, dropped: Dropout { rate, seed: 1 } };
    let attended = B::attend(all.clone(), heads, &sight(0.0));
    let done = |x: Tensor<B, 2>| drop(x.narrow(0, 0, 1).into_data());
    let time = |name: &str, work: &dyn Fn() -> Tensor<B, 2>| {
        (0..3).for_each(|_| done(work()));
        let begin = Instant::now();
        let many = 20;
        let last = (0..many).map(|_| work()).last().expect("a number above zero");
        done(last);
        println!("{name:34} {:8.3} ms", begin.elapsed().as_secs_f64() * 1e3 / f64::from(many));
    };
    time("product, square", &|| B::product(x.clone(), square.clone(), Right));
    time("product, gate or up", &|| B::product(x.clone(), wide.clone(), Right));
    time("product, down", &|| B::product(inner.clone(), wide.clone(), Neither));
    time("product, weight of gate or up", &|| B::product(inner.clone(), x.clone(), Left));
    time("rms_norm", &|| B::rms_norm(x.clone(), scale.clone(), 1e-6));
    time("rms_norm back", &|| B::rms_norm_back(x.clone(), scale.clone(), 1e-6, x.clone(), None, false).grad);
    let by_row: Tensor<B, 3> = all.clone().reshape([rows, 3 * heads, width]);
    for (norms, with) in [(None, ""), (Some([narrow.clone(), narrow]), " with norms")] {
        let (angles, positions) = (setting.angles.clone(), places.clone());
        let placing = Placing { heads, angles, positions, norms, epsilon: 1e-6 };
        let flat = |x: Tensor<B, 3>| x.reshape([rows, 3 * model]);
        time(&format!("place{with}"), &|| flat(B::place(by_row.clone(), &placing)));
        time(&format!("place{with} back"), &|| {
            flat(B::place_back(Some(by_row.clone()), &placing, by_row.clone()).0)
        });
    }
    for (rate, with) in [(0.0, ""), (0.2, " with dropout")] {
        let sight = sight(rate);
        let given = || all.clone();
        time(&format!("attend{with}"), &|| B::attend(given(), heads, &sight).output.reshape([rows, model]));
        time(&format!("attend{with} back"), &|| {
            B::attend_back(given(), &sight, attended.clone(), q.clone()).reshape([rows, 3 * model])
        });
    }
    time("swiglu", &|| B::swiglu(both.clone()));
    time("swiglu back", &|| B::swiglu_back(both.clone(), inner.clone()).grad);
    time("dropout", &|| B::dropout(x.clone(), Dropout { rate: 0.2, seed: 1 }));
    time("embed", &|| B::embed(head.clone(), ids.clone()));
    time("embed back", &|| B::embed_back(ids.clone(), vocabulary, x.clone()));
    time("head_loss", &|| {
        let made = B::head_loss(x.clone(), head.clone(), ids.clone(), &Objective::PLAIN, 1e-4, true);
        made.back.expect("it was asked for").0
    });
    time("residual", &|| x.clone() + x.clone());
    let flat: Tensor<B, 1> = B::noise(10_600_000, 2, &device);
    let step = AdamStep {
        rate: 1e-3,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        decay: 0.1,
        scale: Tensor::ones([1], &Default::default()),
        step: 3,
    };
    time("adamw of 10.6M", &|| {
        let [weight, _, _] = B::adamw(vec![[0; 4].map(|_| flat.clone())], &step).remove(0);
        weight.reshape([100, 106_000])
    });
}
