//! Trained models in small forms.
use super::*;

/// What a checkpoint's matrix is as it is used, of whatever it is made.
fn matrix(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    let (model, tensors) = (model_of(checkpoint), checkpoint.model());
    let shape = model.shape(0, 0);
    let read = |weight: &str| {
        let all = Weight::all(&shape);
        let weight = all.iter().find(|one| one.name == weight).unwrap();
        acting(&model, weight, tensors.read_f32(&weight.name).unwrap())
    };
    if tensors.get(name).is_some() {
        return read(name);
    }
    let [first, second] = muse_model::net::factors(name);
    let phase = muse_model::net::phase(name);
    match tensors.get(&phase) {
        None => acting::whole(read(&first), read(&second), model.low_rank().unwrap()),
        Some(_) => {
            acting::table(model.embedding.unwrap(), &shape, [&first, &second, &phase].map(|one| read(one)))
        }
    }
}

#[test]
fn a_whole_rank_gives_the_matrices_again() {
    let bench = Bench::trained(&small(), Dtype::F32);
    let made = bench.made(json!({ "low_rank": 24 }));
    assert_eq!(model_of(&made).low_rank(), Some(24));
    for weight in Weight::all(&small().shape(0, 0)) {
        let off = distance(&matrix(&made, &weight.name), &matrix(&bench.source(), &weight.name));
        assert!(off < 1e-5, "{}: {off}", weight.name);
    }
    let about = made.about();
    assert_eq!((about.step, about.tokens, about.tokenizer.as_deref()), (10, 640, Some("b3:1234")));
    assert!(about.figures.is_empty(), "no loss was measured of these");
}

#[test]
fn errors_are_those_of_what_is_stored() {
    let forms = [
        json!({ "low_rank": 6 }),
        json!({ "low_rank": 8, "ternary": true }),
        json!({ "tensor_train": 4 }),
        json!({ "low_rank": 6, "tensor_train": 4, "int8": true }),
        json!({ "ternary": true }),
        json!({ "int8": true }),
    ];
    for form in forms {
        let bench = Bench::trained(&small(), Dtype::BF16);
        let made = bench.made(form.clone());
        let report = bench.report();
        let mut worse = 0;
        for row in report["matrices"].as_array().unwrap() {
            let name = row["name"].as_str().unwrap();
            let off = distance(&matrix(&made, name), &matrix(&bench.source(), name));
            match row["error"].as_f64() {
                None => assert_eq!(off, 0.0, "{form} {name}"),
                Some(error) => assert!((off - error).abs() < 1e-5, "{form} {name}: {error} said, {off} is"),
            }
            worse += usize::from(off > 1e-3);
        }
        assert!(worse > 0, "{form}: something was lost");
    }
}

#[test]
fn what_is_not_changed_stays_as_it_was() {
    let bench = Bench::trained(&with_experts(), Dtype::BF16);
    let (made, source) = (bench.made(json!({ "ternary": true })), bench.source());
    let gate = ["weight", "e_score_correction_bias"].map(|name| format!("model.layers.1.mlp.gate.{name}"));
    let others = ["model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"];
    for name in others.into_iter().chain(gate.iter().map(String::as_str)) {
        assert_eq!(made.model().read(name).unwrap(), source.model().read(name).unwrap(), "{name}");
        assert_eq!(made.model().get(name), source.model().get(name));
    }
}

#[test]
fn what_training_rounded_so_already_is_not_off() {
    let rounds = Model { linear: Some(Linear { low_rank: None, round: Some(Round::Ternary) }), ..small() };
    let bench = Bench::trained(&rounds, Dtype::F32);
    let made = bench.made(json!({ "tensor_train": 4 }));
    for row in bench.report()["matrices"].as_array().unwrap() {
        let name = row["name"].as_str().unwrap();
        let table = name.contains("embed_tokens") || name.contains("lm_head");
        assert_eq!(row["error"].is_null(), !table, "{name}");
        let off = distance(&matrix(&made, name), &matrix(&bench.source(), name));
        assert!(table || off < 1e-6, "{name}: {off}");
    }
    let name = "model.layers.0.mlp.up_proj.weight";
    assert!(made.model().stored().any(|tensor| tensor.name == name && tensor.dtype == Dtype::U8));
}

#[test]
fn eight_bits_are_off_by_half_a_step_at_most() {
    let bench = Bench::trained(&small(), Dtype::F32);
    let (made, source) = (bench.made(json!({ "int8": true })), bench.source());
    let name = "model.layers.0.mlp.down_proj.weight";
    let [before, after] = [&source, &made].map(|one| one.model().read_f32(name).unwrap());
    // Rows of 40: a block of 32, and one of eight.
    for (before, after) in before.chunks(40).zip(after.chunks(40)) {
        for (before, after) in before.chunks(32).zip(after.chunks(32)) {
            let scale = before.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / 127.0;
            // The scale is in f16, which moves the largest codes a little.
            let most = 0.5 * scale + 127.0 * scale / 2048.0;
            assert!(before.iter().zip(after).all(|(a, b)| (a - b).abs() <= most));
        }
    }
}

#[test]
fn it_goes_on_from_what_it_made() {
    let bench = Bench::trained(&small(), Dtype::F32);
    bench.made(json!({ "low_rank": 8 }));
    let next = Bench::new();
    fs::create_dir_all(next.0.path().join("in")).unwrap();
    fs::rename(bench.0.path().join("out/checkpoint"), next.0.path().join("in/model")).unwrap();
    let made = next.made(json!({ "ternary": true }));
    assert_eq!(model_of(&made).linear, Some(Linear { low_rank: Some(8), round: Some(Round::Ternary) }));
    let name = "model.layers.0.mlp.up_proj.a.weight";
    assert_eq!(made.model().get(name).unwrap().dtype, Dtype::U8);
    let rounded = acting::rounded(next.source().model().read_f32(name).unwrap(), 24, Rounding::Ternary);
    let read = acting::rounded(made.model().read_f32(name).unwrap(), 24, Rounding::Ternary);
    assert!(distance(&read, &rounded) < 1e-6);
}
