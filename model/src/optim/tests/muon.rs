//! Newton and Schulz on matrices whose singular values are known, and matrices that find their way together.
use super::*;
use crate::optim::{Group, OptimError};
use muse_kernels::newton_schulz;
use proptest::prelude::*;

/// Columns at right angles to each other, of length one.
fn frame(rows: usize, columns: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut frame: Vec<Vec<f64>> = Vec::new();
    for column in 0..columns {
        let random = numbers(rows, seed * 100 + column as u64);
        let mut new: Vec<f64> = random.into_iter().map(f64::from).collect();
        // Twice, since once leaves what rounding left.
        for other in frame.iter().chain(&frame) {
            let along: f64 = new.iter().zip(other).map(|(a, b)| a * b).sum();
            new.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
        }
        let length = new.iter().map(|x| x * x).sum::<f64>().sqrt();
        frame.push(new.into_iter().map(|x| x / length).collect());
    }
    frame
}

/// Eigenvalues of a symmetric matrix, by rotations that empty one place after the other.
fn eigenvalues(mut a: Vec<Vec<f64>>) -> Vec<f64> {
    let side = a.len();
    for _ in 0..30 {
        for p in 0..side {
            for q in p + 1..side {
                if a[p][q].abs() < 1e-300 {
                    continue;
                }
                let slope = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let tangent = slope.signum() / (slope.abs() + (slope * slope + 1.0).sqrt());
                let cos = 1.0 / (tangent * tangent + 1.0).sqrt();
                let sin = tangent * cos;
                for row in &mut a {
                    (row[p], row[q]) = (cos * row[p] - sin * row[q], sin * row[p] + cos * row[q]);
                }
                let (above, below) = a.split_at_mut(q);
                for (x, y) in above[p].iter_mut().zip(&mut below[0]) {
                    (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
                }
            }
        }
    }
    (0..side).map(|at| a[at][at]).collect()
}

fn singular_values(matrix: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let turned = rows > columns;
    let (side, inner) = (rows.min(columns), rows.max(columns));
    let at = |i: usize, k: usize| if turned { matrix[k * columns + i] } else { matrix[i * columns + k] };
    let entry = |i, j| (0..inner).map(|k| at(i, k) * at(j, k)).sum::<f64>();
    let gram = (0..side).map(|i| (0..side).map(|j| entry(i, j)).collect()).collect();
    eigenvalues(gram).into_iter().map(|value| value.max(0.0).sqrt()).collect()
}

/// A matrix with these singular values.
fn planted(rows: usize, columns: usize, values: &[f64], seed: u64) -> Vec<f64> {
    let (left, right) = (frame(rows, values.len(), seed), frame(columns, values.len(), seed + 1));
    let entry = |i: usize, j: usize| (0..values.len()).map(|k| left[k][i] * values[k] * right[k][j]).sum();
    (0..rows * columns).map(|at| entry(at / columns, at % columns)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn singular_values_come_near_one(
        rows in 1_usize..28,
        columns in 1_usize..28,
        sizes in proptest::collection::vec(0.0_f64..1.0, 28),
        scale in -8_i32..8,
        seed in 1_u64..1_000_000,
    ) {
        // From one to 0.003 of what will be the norm, evenly over magnitudes.
        let mut values: Vec<f64> = sizes[..rows.min(columns)].iter().map(|x| 0.003_f64.powf(*x)).collect();
        values[0] = 1.0;
        for _ in 0..20 {
            let norm = values.iter().map(|x| x * x).sum::<f64>().sqrt();
            values.iter_mut().for_each(|x| *x = x.max(0.00301 * norm));
        }
        // The norm is far above the 1e-7 that keeps the division from nothing.
        let scale = 10_f64.powi(scale.max(-3));
        let scaled: Vec<f64> = values.iter().map(|x| x * scale).collect();
        let matrix: Vec<f32> = planted(rows, columns, &scaled, seed).into_iter().map(|x| x as f32).collect();
        let near = newton_schulz::<B>(tensor(&matrix).reshape([rows, columns]));
        let near: Vec<f64> = floats(near).into_iter().map(f64::from).collect();
        for value in singular_values(&near, rows, columns) {
            prop_assert!((0.65..=1.25).contains(&value), "{value} in {rows} by {columns} of {values:?}");
        }
    }
}

#[test]
fn the_test_finds_the_singular_values_it_planted() {
    let mut found = singular_values(&planted(7, 11, &[3.0, 1.0, 0.5, 0.01], 5), 7, 11);
    found.sort_by(f64::total_cmp);
    for (found, right) in found.iter().rev().zip([3.0, 1.0, 0.5, 0.01, 0.0]) {
        assert!((found - right).abs() < 1e-7, "{found}, but it is {right}");
    }
}

#[test]
fn a_step_is_as_large_as_one_of_adamw() {
    for shape in [[64, 64], [64, 256], [256, 64]] {
        let len = shape[0] * shape[1];
        let mut optimizer = Optimizer::<B>::new(
            &config(OptimizerKind::Muon, StateKind::F32),
            vec![weight("matrix", shape, Role::Matrix)],
            &Default::default(),
        )
        .unwrap();
        optimizer.begin(1, 1.0, tensor(&[1.0]), vec![tensor(&numbers(len, 3))]);
        let step = floats(optimizer.update(vec![tensor(&vec![0.0; len])]).remove(0));
        let mean = (step.iter().map(|x| x * x).sum::<f32>() / len as f32).sqrt();
        assert!((0.13..0.25).contains(&mean), "{mean} for {shape:?}");
    }
}

/// Matrices of two shapes, not in their order, and others between them.
fn many() -> Vec<Weight> {
    let shapes = [[24, 40], [40, 24], [24, 40], [24, 40], [40, 24], [24, 40], [24, 40]];
    let matrix = |(at, shape): (usize, [usize; 2])| weight(&format!("layers.{at}"), shape, Role::Matrix);
    let mut all = weights();
    all.splice(3..3, shapes.into_iter().enumerate().map(matrix));
    all
}

#[test]
fn matrices_of_one_shape_find_their_way_together() {
    let stacks = |together: usize| {
        let config = config(OptimizerKind::Muon, StateKind::F32);
        let optimizer = Optimizer::<B>::in_parts(&config, many(), &Default::default(), 512, together);
        optimizer.unwrap().stacks
    };
    let (wide, tall) = (vec![2, 3, 5, 6, 8, 9], vec![4, 7, 10]);
    assert_eq!(stacks(1 << 20), [wide.clone(), tall.clone()]);
    // Shares that are alike, not four and two.
    assert_eq!(stacks(4 * 24 * 40), [wide[..3].to_vec(), wide[3..].to_vec(), tall.clone()]);
    assert_eq!(stacks(1), [wide, tall].concat().into_iter().map(|at| vec![at]).collect::<Vec<_>>());
}

#[test]
fn together_or_not_they_go_the_same_way() {
    let group = |name: &str, rate, frozen| Group {
        weights: vec![name.to_owned()],
        rate,
        weight_decay: Some(0.3),
        frozen,
    };
    let groups = vec![group("layers.2", 0.5, false), group("layers.5", 1.0, true)];
    for (state, dtype) in STATES.into_iter().flat_map(|state| [(state, DType::F32), (state, DType::BF16)]) {
        let config = OptimizerConfig { groups: groups.clone(), ..config(OptimizerKind::Muon, state) };
        let of = |together| Training::of(&config, dtype, many(), [512, together]);
        let (mut alone, mut together, mut again) = (of(1), of(3 * 24 * 40), of(1 << 20));
        for step in 1..=4 {
            alone.step(step, 0.02);
            together.step(step, 0.02);
            if step > 2 {
                again.step(step, 0.02);
                continue;
            }
            // The last one is taken up from a checkpoint.
            again.values = together.values.clone();
            again.optimizer.load(|tensor| Ok::<_, OptimError>(together.optimizer.state(tensor))).unwrap();
        }
        for other in [together, again] {
            assert!(other.bits() == alone.bits(), "{state:?} {dtype:?}: the weights");
            assert!(other.state_bits() == alone.state_bits(), "{state:?} {dtype:?}: the state");
        }
    }
}

#[test]
fn a_matrix_without_a_gradient_stays_and_holds_up_no_other() {
    let weights = vec![weight("one", [8, 8], Role::Matrix), weight("other", [8, 8], Role::Matrix)];
    let config = config(OptimizerKind::Muon, StateKind::F32);
    let mut training = Training::of(&config, DType::F32, weights, [512, 1 << 20]);
    let before = training.bits();
    training.optimizer.begin(1, 0.1, tensor(&[1.0]), vec![tensor(&numbers(64, 7))]);
    training.values = training.optimizer.update(training.values.clone());
    assert_ne!(training.bits()[0], before[0]);
    assert_eq!(training.bits()[1], before[1]);
}
