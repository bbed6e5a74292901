//! Products, norms, places, gates, embeddings.
use super::{B, floats, ints, naive, near, numbers, slope, tensor};
use crate::ops::{Angles, Ops, Placing, Turned};
use crate::plain;
use burn::backend::Autodiff;
use burn::prelude::*;

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
fn parts_of_rows_have_weights_of_their_own() {
    let (rows, wide, outs) = (7, 3, [5, 2, 4]);
    let x = numbers(rows * wide * 3, 1);
    let weights: [Vec<f64>; 3] = [0, 1, 2].map(|at| numbers(outs[at] * wide, at as u64 + 2));
    let grad = numbers(rows * 11, 9);
    let right = |x: &[f64], weights: &[f64]| -> Vec<f64> {
        let mut all = Vec::new();
        for row in x.chunks(wide * 3) {
            let mut firsts = weights;
            for (part, out) in row.chunks(wide).zip(outs) {
                let (own, rest) = firsts.split_at(out * wide);
                let product = |weight: &[f64]| weight.iter().zip(part).map(|(w, x)| w * x).sum::<f64>();
                all.extend(own.chunks(wide).map(product));
                firsts = rest;
            }
        }
        all
    };
    let flat = weights.concat();
    let of_x = slope(&x, &grad, |x| right(x, &flat));
    let of_weights = slope(&flat, &grad, |weights| right(&x, weights));
    let each = || weights.iter().zip(outs).map(|(weight, out)| tensor::<2>(weight, [out, wide])).collect();
    let rows_of = |x: &[f64]| tensor::<2>(x, [rows, wide * 3]);
    near("forward", &floats(B::project_apart(rows_of(&x), each())), &right(&x, &flat), 1e-5);
    // Each by itself, and as one.
    for weights in [each(), vec![tensor(&flat, [11, wide])]] {
        let [got_x, got_weights] =
            B::project_apart_back(rows_of(&x), weights, &outs, tensor(&grad, [rows, 11]));
        near("back to x", &floats(got_x), &of_x, 1e-5);
        near("back to the weights", &floats(got_weights), &of_weights, 1e-5);
    }
    type A = Autodiff<B>;
    let leaf = |x: Tensor<B, 2>| Tensor::<A, 2>::from_inner(x).require_grad();
    let (taped, leaves) = (leaf(rows_of(&x)), each().into_iter().map(leaf).collect::<Vec<_>>());
    let sum = A::project_apart(taped.clone(), leaves.clone()) * Tensor::from_inner(tensor(&grad, [rows, 11]));
    let back = sum.sum().backward();
    near("on the tape", &floats(taped.grad(&back).unwrap()), &of_x, 1e-5);
    let got: Vec<f64> = leaves.iter().flat_map(|leaf| floats(leaf.grad(&back).unwrap())).collect();
    near("on the tape", &got, &of_weights, 1e-5);
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
        for (body, norm, norm_back) in [
            (
                "plain",
                plain::rms_norm::<B> as fn(_, _, _) -> _,
                plain::rms_norm_back::<B> as fn(_, _, _, _, _, _) -> _,
            ),
            ("cpu", B::rms_norm, B::rms_norm_back),
        ] {
            let got = norm(x.clone(), weight.clone(), epsilon);
            near(&format!("{body} norm"), &floats(got.clone()), &right, 1e-5);
            let back =
                |so_far, again| norm_back(x.clone(), weight.clone(), epsilon, grad.clone(), so_far, again);
            let alone = back(None, false);
            near(&format!("{body} norm back to x"), &floats(alone.grad), &of_x, 2e-5);
            near(&format!("{body} norm back to weight"), &floats(alone.of_weight), &of_weight, 2e-5);
            assert!(alone.output.is_none());
            // Onto what there is, with what the norm gave beside.
            let beside = back(Some(grad.clone()), true);
            let onto: Vec<f64> =
                of_x.iter().zip(floats(grad.clone())).map(|(own, more)| own + more).collect();
            near(&format!("{body} norm back onto x"), &floats(beside.grad), &onto, 2e-5);
            near(&format!("{body} norm back to weight"), &floats(beside.of_weight), &of_weight, 2e-5);
            assert_eq!(floats(beside.output.unwrap()), floats(got), "{body}: the same bits once more");
        }
    }
}

/// Queries and keys with their norms and turned, as loops.
fn placed(x: &[f64], norms: Option<[&[f64]; 2]>, angle: &[f64], positions: &[i32]) -> Vec<f64> {
    let [heads, kv, width] = PLACED;
    let row = (heads + 2 * kv) * width;
    let mut out = Vec::new();
    for (x, position) in x.chunks(row).zip(positions) {
        let (turned, values) = x.split_at((heads + kv) * width);
        let (queries, keys) = turned.split_at(heads * width);
        let normed = match norms {
            None => turned.to_vec(),
            Some([of_query, of_key]) => {
                [naive::rms_norm(queries, of_query, 1e-3), naive::rms_norm(keys, of_key, 1e-3)].concat()
            }
        };
        out.extend(naive::rotate(&normed, angle, &[*position], [heads + kv, width]));
        out.extend_from_slice(values);
    }
    out
}

/// Heads of queries, heads of keys, width.
const PLACED: [usize; 3] = [3, 2, 14];

#[test]
fn queries_and_keys_are_placed_and_their_way_back() {
    let ([heads, kv, width], rows) = (PLACED, 9);
    let all = heads + 2 * kv;
    let positions: Vec<i32> = (0..rows as i32).map(|row| row * 7 % 11).collect();
    let angle = numbers(11 * width / 2, 4);
    let (x, grad) = (numbers(rows * all * width, 5), numbers(rows * all * width, 6));
    let (of_query, of_key) = (numbers(width, 7), numbers(width, 8));
    let table = |f: fn(f64) -> f64| tensor(&angle.iter().map(|x| f(*x)).collect::<Vec<_>>(), [11, width / 2]);
    for normed in [false, true] {
        let norms = normed.then_some([&of_query[..], &of_key]);
        let right = placed(&x, norms, &angle, &positions);
        let of_x = slope(&x, &grad, |x| placed(x, norms, &angle, &positions));
        let slopes = [
            slope(&of_query, &grad, |norm| placed(&x, norms.map(|[_, key]| [norm, key]), &angle, &positions)),
            slope(&of_key, &grad, |norm| {
                placed(&x, norms.map(|[query, _]| [query, norm]), &angle, &positions)
            }),
        ];
        let placing = Placing {
            heads,
            angles: Angles { cos: table(f64::cos), sin: table(f64::sin) },
            positions: ints(&positions, [rows]),
            norms: norms.map(|norms| norms.map(|norm| tensor(norm, [width]))),
            epsilon: 1e-3,
        };
        let [x, grad] = [&x, &grad].map(|x| tensor(x, [rows, all, width]));
        let given = normed.then(|| x.clone());
        for (body, got, (back, norms)) in [
            (
                "plain",
                plain::place(x.clone(), &placing),
                plain::place_back(given.clone(), &placing, grad.clone()),
            ),
            ("cpu", B::place(x.clone(), &placing), B::place_back(given.clone(), &placing, grad.clone())),
        ] {
            near(&format!("{body} placed"), &floats(got), &right, 1e-5);
            near(&format!("{body} placed back"), &floats(back), &of_x, 2e-5);
            assert_eq!(norms.is_some(), normed);
            for (got, right) in norms.into_iter().flatten().zip(&slopes) {
                near(&format!("{body} placed back to norms"), &floats(got), right, 2e-5);
            }
        }
    }
}

#[test]
fn projections_lie_side_by_side_and_so_do_their_gradients() {
    for (rows, outs) in [(1, vec![3]), (7, vec![5, 2]), (300, vec![130, 70, 65])] {
        let (inner, width) = (90, outs.iter().sum::<usize>());
        let (x, weight) = (numbers(rows * inner, 1), numbers(width * inner, 2));
        let (grad, so_far) = (numbers(rows * width, 3), numbers(rows * inner, 4));
        let turned = |x: &[f64], sizes| naive::turn(x, sizes);
        let right = naive::product(&x, &turned(&weight, [width, inner]), [rows, inner, width]);
        let of_x = naive::product(&grad, &weight, [rows, width, inner]);
        let added: Vec<f64> = of_x.iter().zip(&so_far).map(|(x, y)| x + y).collect();
        let of_weight = naive::product(&turned(&grad, [rows, width]), &x, [width, rows, inner]);
        let [x, so_far] = [x, so_far].map(|x| tensor(&x, [rows, inner]));
        let grad = tensor(&grad, [rows, width]);
        let mut first = 0;
        let cut = |out: &usize| {
            let part = &weight[first * inner..][..out * inner];
            first += out;
            tensor(part, [*out, inner])
        };
        let weights: Vec<_> = outs.iter().map(cut).collect();
        near("plain side by side", &floats(plain::project(x.clone(), weights.clone())), &right, 1e-5);
        near("cpu side by side", &floats(B::project(x.clone(), weights.clone())), &right, 1e-5);
        for (so_far, of_x) in [(None, &of_x), (Some(so_far), &added)] {
            let given = || (x.clone(), weights.clone(), grad.clone(), so_far.clone(), [true; 2]);
            let (x, weights, grad, so_far, wanted) = given();
            let of_plain = plain::project_back(x, weights, grad, so_far, wanted);
            let (x, weights, grad, so_far, wanted) = given();
            let of_cpu = B::project_back(x, weights, grad, so_far, wanted);
            for (body, got) in [("plain", of_plain), ("cpu", of_cpu)] {
                for (got, right) in got.into_iter().zip([of_x, &of_weight]) {
                    near(&format!("{body} back"), &floats(got.unwrap()), right, 1e-5);
                }
            }
        }
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
    let both = Tensor::cat(vec![gate, up], 1);
    for (body, got, back) in [
        ("plain", plain::swiglu(both.clone()), plain::swiglu_back(both.clone(), grad.clone())),
        ("cpu", B::swiglu(both.clone()), B::swiglu_back(both.clone(), grad.clone())),
    ] {
        near(&format!("{body} gated"), &floats(got), &right, 1e-5);
        near(&format!("{body} gated again"), &floats(back.output), &right, 1e-5);
        let of_half = |first| floats(back.grad.clone().narrow(1, first, width));
        near(&format!("{body} back to gate"), &of_half(0), &of_gate, 1e-5);
        near(&format!("{body} back to up"), &of_half(width), &of_up, 1e-5);
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
