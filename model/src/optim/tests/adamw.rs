//! AdamW's weights side by side.
use super::*;
use crate::optim::Group;

/// What becomes of weights in two steps, of which the last has no gradient.
fn stepped(config: &OptimizerConfig, of: &[usize], dtypes: &[DType]) -> Vec<Vec<f32>> {
    let weights: Vec<Weight> = of.iter().map(|at| weights().swap_remove(*at)).collect();
    let lens: Vec<usize> = weights.iter().map(Weight::len).collect();
    let start = |(at, len): (&usize, &usize)| tensor(&numbers(*len, *at as u64)).cast(dtypes[*at]);
    let mut values: Vec<_> = of.iter().zip(&lens).map(start).collect();
    // A group that names no weight is an error.
    let names = |group: &Group| weights.iter().any(|weight| weight.name.starts_with(&group.weights[0][..7]));
    let groups = config.groups.iter().filter(|group| names(group)).cloned().collect();
    let config = OptimizerConfig { groups, ..config.clone() };
    let mut optimizer = Optimizer::<B>::new(&config, weights, &Default::default()).unwrap();
    for step in 1..=2 {
        let grads = of.iter().zip(&lens).filter(|(at, _)| **at < 4);
        let grads = grads.map(|(at, len)| tensor(&numbers(*len, 10 * step + *at as u64)));
        optimizer.begin(step, 0.1, tensor(&[0.5]), grads.collect());
        values = optimizer.update(values);
    }
    values.into_iter().map(floats).collect()
}

#[test]
fn each_goes_as_if_it_were_alone() {
    let group = Group { weights: vec!["layers.*".into()], rate: 0.5, weight_decay: Some(0.3), frozen: false };
    let config = OptimizerConfig { groups: vec![group], ..config(OptimizerKind::Adamw, StateKind::F32) };
    let mut dtypes = [DType::F32; 5];
    let together = stepped(&config, &[0, 1, 2, 3, 4], &dtypes);
    for (at, together) in together.iter().enumerate() {
        assert_eq!(&stepped(&config, &[at], &dtypes)[0], together, "weight {at}");
    }
    // What has no gradient stays.
    assert_eq!(together[4], floats(tensor(&numbers(1200, 4))));
    // One that is rounded is none of them, and leaves the others as they were.
    dtypes[2] = DType::BF16;
    let rounded = stepped(&config, &[0, 1, 2, 3, 4], &dtypes);
    for at in [0, 1, 3, 4] {
        assert_eq!(rounded[at], together[at], "weight {at}");
    }
    let off = rounded[2].iter().zip(&together[2]).map(|(a, b)| (a - b).abs() / b.abs().max(0.1));
    let most = off.fold(0.0, f32::max);
    assert!(most > 0.0 && most < 0.02, "{most}");
}
