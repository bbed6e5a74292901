//! What a pipeline says of its optimizer reaches the right weights, and what makes no sense is an error.
use super::*;
use crate::config::{Mixer, Mixers, Model};
use crate::optim::{Group, WeightDecay};
use serde_json::{Value, json};

fn read(value: Value) -> OptimizerConfig {
    serde_json::from_value(value).unwrap()
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = read(json!({}));
    assert_eq!(config, OptimizerConfig::default());
    assert_eq!((config.kind, config.state), (OptimizerKind::Adamw, StateKind::F32));
    assert_eq!((config.betas(), config.epsilon()), ([0.9, 0.95], 1e-8));
    assert_eq!((config.threshold(), config.decay(Role::Matrix), config.decay(Role::Head)), (None, 0.1, 0.1));
    assert_eq!((config.decay(Role::Embedding), config.decay(Role::Norm)), (0.0, 0.0));
    let clip = read(json!({ "kind": "muonclip" }));
    assert_eq!((clip.threshold(), clip.momentum(), clip.nesterov()), (Some(100.0), 0.95, true));
    let sgd = read(json!({ "kind": "sgd", "weight_decay": { "head": 0.5 } }));
    assert_eq!((sgd.momentum(), sgd.nesterov()), (0.9, false));
    assert_eq!((sgd.decay(Role::Matrix), sgd.decay(Role::Head)), (0.0, 0.5));
    // What the schema says of defaults is what is read, so that a default that is written out moves no key.
    let schema = schemars::schema_for!(OptimizerConfig);
    for (name, field) in schema.get("properties").and_then(Value::as_object).unwrap() {
        let default = field.get("default").unwrap_or(&Value::Null);
        assert_eq!(&serde_json::to_value(&config).unwrap()[name], default, "{name}");
    }
    assert_eq!(schema.get("additionalProperties"), Some(&json!(false)));
}

#[test]
fn a_field_of_another_kind_is_an_error() {
    let fields = [
        ("betas", json!([0.8, 0.9]), [true, true, true, false]),
        ("epsilon", json!(1e-6), [true, true, true, false]),
        ("momentum", json!(0.5), [false, true, true, true]),
        ("nesterov", json!(false), [false, true, true, true]),
        ("adamw_rate", json!(0.5), [false, true, true, false]),
        ("threshold", json!(50), [false, false, true, false]),
    ];
    for (field, value, right) in fields {
        for (kind, right) in KINDS.into_iter().zip(right) {
            let config = read(json!({ "kind": kind, field: value }));
            let fields: Vec<_> = config.check().iter().map(|problem| problem.field()).collect();
            assert_eq!(fields, if right { vec![] } else { vec![field] }, "{field} for {kind:?}");
        }
    }
    let problem = read(json!({ "kind": "sgd", "betas": [0.8, 0.9] })).check().remove(0);
    assert_eq!(problem.message, "`betas` means nothing to `kind: sgd`");
    assert_eq!(problem.help, "leave it out: it belongs to `adamw`, `muon`, `muonclip`");
}

#[test]
fn numbers_out_of_bounds_are_errors() {
    let wrong = json!({
        "kind": "muonclip", "betas": [1.0, -0.1], "epsilon": 0.0, "momentum": 1.0, "adamw_rate": -1.0, "threshold": 0.0,
        "weight_decay": { "matrices": -0.1, "head": 1e9, "embeddings": -1.0, "norms": -1.0 },
        "groups": [{ "weights": ["*"], "rate": -1.0 }],
    });
    let fields: Vec<_> = read(wrong).check().iter().map(|problem| problem.field()).collect();
    let decay = ["matrices", "head", "embeddings", "norms"].map(|kind| format!("weight_decay.{kind}"));
    let all = ["betas", "betas", "epsilon", "momentum", "adamw_rate", "threshold"].map(str::to_owned);
    assert_eq!(fields, [all.as_slice(), &decay, &["groups".to_owned()]].concat());
    let error = Optimizer::<B>::new(&read(json!({ "epsilon": 0.0 })), weights(), &Default::default());
    assert_eq!(error.err().unwrap().to_string(), "`epsilon` is 0: 1e-30 to 1");
}

#[test]
fn muonclip_is_refused_where_it_would_change_nothing() {
    let config = config(OptimizerKind::Muonclip, StateKind::F32);
    let model = |qk_norm| Model { qk_norm, ..Model::new(2, 64, 4, 128) };
    assert!(config.check_model(&model(false)).is_none());
    let problem = config.check_model(&model(true)).unwrap();
    assert_eq!(problem.field(), "kind");
    assert_eq!(problem.help, "write `kind: muon`, or `qk_norm: false` in the model");
    assert!(super::config(OptimizerKind::Muon, StateKind::F32).check_model(&model(true)).is_none());
    let chains = Model { mixers: Some(Mixers::all(Mixer::Bk)), ..model(true) };
    assert_eq!(config.check_model(&chains).unwrap().help, "write `kind: muon`");
}

/// The rate and the decay that each weight meets, from a first step of AdamW: there, a step is the sign of the gradient.
fn met(config: &OptimizerConfig) -> Vec<(f32, f32)> {
    let one = |grad: f32| -> Vec<f32> {
        let mut optimizer = Optimizer::<B>::new(config, weights(), &Default::default()).unwrap();
        let all = |number: f32| weights().into_iter().map(move |weight| tensor(&vec![number; weight.len()]));
        optimizer.begin(1, 0.1, tensor(&[1.0]), all(grad).collect());
        optimizer.update(all(1.0).collect()).into_iter().map(|value| floats(value)[0]).collect()
    };
    let tidy = |x: f32| (x * 1e4).round() / 1e4;
    let (still, moved) = (one(0.0), one(1.0));
    let rates = still.iter().zip(&moved).map(|(still, moved)| tidy(still - moved));
    rates.zip(still.iter().map(|still| tidy(1.0 - still))).collect()
}

#[test]
fn groups_and_decay_reach_the_right_weights() {
    let mut config = config(OptimizerKind::Adamw, StateKind::F32);
    config.weight_decay = WeightDecay { matrices: Some(0.2), head: Some(0.3), embeddings: 0.4, norms: 0.5 };
    assert_eq!(met(&config), [(0.1, 0.04), (0.1, 0.05), (0.1, 0.02), (0.1, 0.02), (0.1, 0.03)]);

    let group = |pattern: &str| Group {
        weights: vec![pattern.to_owned()],
        rate: 1.0,
        weight_decay: None,
        frozen: false,
    };
    config.groups = vec![
        Group { frozen: true, ..group("layers.0.norm") },
        Group { rate: 0.5, weight_decay: Some(1.0), ..group("layers.0.*") },
        Group { weights: vec!["head".to_owned(), "*tall".to_owned()], rate: 2.0, ..group("") },
    ];
    assert_eq!(met(&config), [(0.1, 0.04), (0.0, 0.0), (0.05, 0.05), (0.2, 0.04), (0.2, 0.06)]);
    let optimizer = Optimizer::<B>::new(&config, weights(), &Default::default()).unwrap();
    assert_eq!([0, 1, 2].map(|at| optimizer.is_frozen(at)), [false, true, false]);
    assert!(optimizer.layout().iter().all(|tensor| !tensor.name.starts_with("layers.0.norm")));
}

#[test]
fn muon_takes_matrices_and_leaves_the_rest_to_adamw() {
    let config = OptimizerConfig { adamw_rate: Some(0.5), ..config(OptimizerKind::Muon, StateKind::F32) };
    let optimizer = Optimizer::<B>::new(&config, weights(), &Default::default()).unwrap();
    let names: Vec<_> = optimizer.layout().into_iter().map(|tensor| tensor.name).collect();
    assert_eq!(
        names,
        [
            "embed.mean",
            "embed.square",
            "layers.0.norm.mean",
            "layers.0.norm.square",
            "layers.0.wide.momentum",
            "layers.1.tall.momentum",
            "head.mean",
            "head.square"
        ]
    );
    let rates: Vec<_> = met(&config).into_iter().map(|(rate, _)| rate).collect();
    assert_eq!([rates[0], rates[1], rates[4]], [0.05; 3]);
    // A matrix of ones has one direction, which Muon makes as long as it is wide.
    let step = 0.1 * 0.2 * 40_f32.sqrt() / (24.0_f32 * 40.0).sqrt();
    for rate in &rates[2..4] {
        assert!((0.65..1.25).contains(&(rate / step)), "{rates:?}, {step}");
    }
}

#[test]
fn groups_that_are_for_nothing_are_errors() {
    let new = |groups: Value| {
        Optimizer::<B>::new(&read(json!({ "groups": groups })), weights(), &Default::default()).err().unwrap()
    };
    let error = new(json!([{ "weights": ["embed", "layer.*"] }]));
    assert_eq!(
        error.to_string(),
        "no weight is named like `layer.*`: there is `embed`, and `*` stands for any part of a name"
    );
    let error = new(json!([{ "weights": ["*"], "frozen": true }])).to_string();
    assert!(error.contains("every weight is frozen"), "{error}");
    let vector = vec![weight("vector", [5], Role::Matrix)];
    let error = Optimizer::<B>::new(&OptimizerConfig::default(), vector, &Default::default()).err().unwrap();
    assert_eq!(error.to_string(), "`vector` is a matrix by its role, and has the shape [5]");
}
