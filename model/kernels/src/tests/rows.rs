//! Products, norms, rotations, gates, embeddings.
use super::{B, floats, ints, naive, near, numbers, slope, tensor};
use crate::ops::{Angles, Ops, Turned};
use crate::plain;

#[test]
fn products_are_right_however_they_are_turned_and_cut() {
    // Small, tall, wide, with an odd remainder, and longer within than a slice of the CPU's body. Those that it cuts into
    // parts are tested beside it.
    for [m, k, n] in [
        [1, 1, 1],
        [3, 5, 2],
        [130, 33, 7],
        [5, 40, 300],
        [2, 64, 129],
        [150, 70, 90],
        [1, 300, 257],
        [1, 1300, 9],
        [70, 1300, 80],
    ] {
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let right = naive::product(&a, &b, [m, k, n]);
        for (turned, (left, left_shape), (other, other_shape)) in [
            (Turned::Neither, (a.clone(), [m, k]), (b.clone(), [k, n])),
            (Turned::Left, (naive::turn(&a, [m, k]), [k, m]), (b.clone(), [k, n])),
            (Turned::Right, (a.clone(), [m, k]), (naive::turn(&b, [k, n]), [n, k])),
        ] {
            let (a, b) = (tensor(&left, left_shape), tensor(&other, other_shape));
            for (body, got) in [
                ("plain", plain::product(a.clone(), b.clone(), turned)),
                ("cpu", B::product(a.clone(), b.clone(), turned)),
            ] {
                assert_eq!(got.dims(), [m, n]);
                near(&format!("{body} {turned:?} {m} {k} {n}"), &floats(got), &right, 1e-5);
            }
        }
    }
}

#[test]
fn norms_and_their_way_back() {
    for [rows, width] in [[1, 3], [7, 20], [100, 129]] {
        let (x, weight, grad) = (numbers(rows * width, 1), numbers(width, 2), numbers(rows * width, 3));
        let epsilon = 1e-3;
        let right = naive::rms_norm(&x, &weight, epsilon);
        // The slopes of one row alone, since rows know nothing of each other.
        let of_x: Vec<f64> = x
            .chunks(width)
            .zip(grad.chunks(width))
            .flat_map(|(x, grad)| slope(x, grad, |x| naive::rms_norm(x, &weight, epsilon)))
            .collect();
        let of_weight = slope(&weight, &grad, |weight| naive::rms_norm(&x, weight, epsilon));
        let (x, weight, grad) =
            (tensor(&x, [rows, width]), tensor(&weight, [width]), tensor(&grad, [rows, width]));
        for (body, got, (back_x, back_weight)) in [
            (
                "plain",
                plain::rms_norm(x.clone(), weight.clone(), epsilon),
                plain::rms_norm_back(x.clone(), weight.clone(), epsilon, grad.clone()),
            ),
            (
                "cpu",
                B::rms_norm(x.clone(), weight.clone(), epsilon),
                B::rms_norm_back(x.clone(), weight.clone(), epsilon, grad.clone()),
            ),
        ] {
            near(&format!("{body} norm"), &floats(got), &right, 1e-5);
            near(&format!("{body} norm back to x"), &floats(back_x), &of_x, 2e-5);
            near(&format!("{body} norm back to weight"), &floats(back_weight), &of_weight, 2e-5);
        }
    }
}

#[test]
fn rotations_and_their_way_back() {
    let [rows, heads, width] = [37, 3, 14];
    let positions: Vec<i32> = (0..rows as i32).map(|row| row * 7 % 11).collect();
    let angle = numbers(11 * width / 2, 4);
    let (x, grad) = (numbers(rows * heads * width, 5), numbers(rows * heads * width, 6));
    let right = naive::rotate(&x, &angle, &positions, [heads, width]);
    let of_x = slope(&x, &grad, |x| naive::rotate(x, &angle, &positions, [heads, width]));
    let table = |f: fn(f64) -> f64| tensor(&angle.iter().map(|x| f(*x)).collect::<Vec<_>>(), [11, width / 2]);
    let angles = Angles { cos: table(f64::cos), sin: table(f64::sin) };
    let (x, grad) = (tensor(&x, [rows, heads, width]), tensor(&grad, [rows, heads, width]));
    let positions = ints(&positions, [rows]);
    for (body, got, back) in [
        (
            "plain",
            plain::rotate(x.clone(), &angles, positions.clone(), false),
            plain::rotate(grad.clone(), &angles, positions.clone(), true),
        ),
        (
            "cpu",
            B::rotate(x.clone(), &angles, positions.clone(), false),
            B::rotate(grad.clone(), &angles, positions.clone(), true),
        ),
    ] {
        near(&format!("{body} rotated"), &floats(got), &right, 1e-5);
        near(&format!("{body} rotated back"), &floats(back), &of_x, 1e-5);
    }
}

#[test]
fn gates_and_their_way_back() {
    let [rows, width] = [70, 131];
    let [gate, up, grad] = [1, 2, 3].map(|seed| numbers(rows * width, seed));
    let gate: Vec<f64> = gate.iter().map(|x| x * 8.0).collect();
    let right = naive::swiglu(&gate, &up);
    // Numbers know nothing of each other, so one step serves all.
    let step = 1e-5;
    let moved = |x: &[f64], by: f64| x.iter().map(|x| x + by).collect::<Vec<_>>();
    let difference = |above: Vec<f64>, below: Vec<f64>| -> Vec<f64> {
        above.iter().zip(&below).zip(&grad).map(|((a, b), g)| (a - b) / (2.0 * step) * g).collect()
    };
    let of_gate =
        difference(naive::swiglu(&moved(&gate, step), &up), naive::swiglu(&moved(&gate, -step), &up));
    let of_up = difference(naive::swiglu(&gate, &moved(&up, step)), naive::swiglu(&gate, &moved(&up, -step)));
    let [gate, up, grad] = [gate, up, grad].map(|x| tensor(&x, [rows, width]));
    for (body, got, (back_gate, back_up)) in [
        (
            "plain",
            plain::swiglu(gate.clone(), up.clone()),
            plain::swiglu_back(gate.clone(), up.clone(), grad.clone()),
        ),
        ("cpu", B::swiglu(gate.clone(), up.clone()), B::swiglu_back(gate.clone(), up.clone(), grad.clone())),
    ] {
        near(&format!("{body} gated"), &floats(got), &right, 1e-5);
        near(&format!("{body} back to gate"), &floats(back_gate), &of_gate, 1e-5);
        near(&format!("{body} back to up"), &floats(back_up), &of_up, 1e-5);
    }
}

#[test]
fn embeddings_and_their_way_back() {
    let [rows, vocabulary, width] = [200, 130, 67];
    let ids: Vec<i32> = (0..rows as i32).map(|row| row * row % 77).collect();
    let (weight, grad) = (numbers(vocabulary * width, 1), numbers(rows * width, 2));
    let mut right = Vec::new();
    let mut of_weight = vec![0.0; vocabulary * width];
    for (row, id) in ids.iter().enumerate() {
        let own = *id as usize * width..(*id as usize + 1) * width;
        right.extend_from_slice(&weight[own.clone()]);
        of_weight[own].iter_mut().zip(&grad[row * width..]).for_each(|(to, from)| *to += from);
    }
    let (weight, grad, ids) =
        (tensor(&weight, [vocabulary, width]), tensor(&grad, [rows, width]), ints(&ids, [rows]));
    for (body, got, back) in [
        (
            "plain",
            plain::embed(weight.clone(), ids.clone()),
            plain::embed_back(ids.clone(), vocabulary, grad.clone()),
        ),
        (
            "plain, in parts,",
            plain::embed(weight.clone(), ids.clone()),
            plain::embed_back_by(32, ids.clone(), vocabulary, grad.clone()),
        ),
        ("cpu", B::embed(weight.clone(), ids.clone()), B::embed_back(ids.clone(), vocabulary, grad.clone())),
    ] {
        near(&format!("{body} embedded"), &floats(got), &right, 0.0);
        near(&format!("{body} back to weight"), &floats(back), &of_weight, 1e-6);
    }
}

#[test]
fn a_sum_is_number_by_number_whatever_order_the_numbers_lie_in() {
    // More rows than make a part.
    let [rows, width] = [1500, 12];
    let (x, y) = (numbers(rows * width, 1), numbers(rows * width, 2));
    let right: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x + y).collect();
    let turned = tensor(&naive::turn(&y, [rows, width]), [width, rows]).transpose();
    near("sum", &floats(B::add(tensor(&x, [rows, width]), turned)), &right, 1e-6);
}
