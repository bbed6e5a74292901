//! The loss: every objective, masked labels, its gradients, and values that are known.
use super::{B, floats, ints, naive, near, numbers, slope, tensor};
use crate::ops::{HeadLoss, NO_LABEL, Objective, Ops};
use crate::plain;

const MULTI: Objective =
    Objective { cross_entropy: 0.6, focal: 0.3, gamma: 2.0, smooth: 0.1, epsilon: 0.1, z: 0.0 };

#[test]
fn the_loss_and_its_gradients() {
    let objectives = [
        Objective::PLAIN,
        Objective { cross_entropy: 0.0, focal: 1.0, gamma: 2.0, ..Objective::PLAIN },
        Objective { cross_entropy: 0.0, focal: 1.0, gamma: 0.5, ..Objective::PLAIN },
        Objective { cross_entropy: 0.0, smooth: 1.0, epsilon: 0.2, ..Objective::PLAIN },
        Objective { z: 0.01, ..Objective::PLAIN },
        Objective { z: 0.02, ..MULTI },
    ];
    for ([rows, width, vocabulary], objective) in
        [[1, 3, 2], [9, 4, 7], [40, 6, 33]].into_iter().flat_map(|s| objectives.map(|o| (s, o)))
    {
        let (x, weight) = (numbers(rows * width, 1), numbers(vocabulary * width, 2));
        let label = |row: usize| if row % 5 == 3 { NO_LABEL } else { (row * 3 % vocabulary) as i32 };
        let labels: Vec<i32> = (0..rows).map(label).collect();
        let share = 0.125;
        let right = |x: &[f64], weight: &[f64]| naive::loss(x, weight, &labels, width, &objective);
        let (loss, entropy) = right(&x, &weight);
        let of_x = slope(&x, &[share], |x| vec![right(x, &weight).0]);
        let of_weight = slope(&weight, &[share], |weight| vec![right(&x, weight).0]);
        let (x, weight) = (tensor(&x, [rows, width]), tensor(&weight, [vocabulary, width]));
        let labels = ints(&labels, [rows]);
        let made: [(&str, HeadLoss<B>); 2] = [
            ("plain", plain::head_loss(x.clone(), weight.clone(), labels.clone(), &objective, share, true)),
            ("cpu", B::head_loss(x.clone(), weight.clone(), labels.clone(), &objective, share, true)),
        ];
        for (body, made) in made {
            let what = format!("{body} {objective:?}");
            near(&what, &floats(made.loss), &[loss * share], 1e-5);
            near(&what, &floats(made.plain), &[entropy * share], 1e-5);
            let (back_x, [back_weight]) = made.back.unwrap();
            near(&format!("{what} back to x"), &floats(back_x), &of_x, 3e-5);
            near(&format!("{what} back to weight"), &floats(back_weight), &of_weight, 3e-5);
        }
        assert!(B::head_loss(x, weight, labels, &objective, share, false).back.is_none());
    }
}

/// What a loss gives, as numbers.
fn all(made: HeadLoss<B>) -> [Vec<f64>; 4] {
    let (of_x, [of_weight]) = made.back.unwrap();
    [floats(made.loss), floats(made.plain), floats(of_x), floats(of_weight)]
}

/// A body, told how many tokens to take at once.
type ByChunk<'a> = &'a dyn Fn(usize) -> HeadLoss<B>;

#[test]
fn chunks_meet_without_a_seam() {
    let [rows, width, vocabulary] = [23, 5, 11];
    let (x, weight) = (numbers(rows * width, 1), numbers(vocabulary * width, 2));
    let (x, weight) = (tensor(&x, [rows, width]), tensor(&weight, [vocabulary, width]));
    // One chunk of three has no label at all.
    let label = |row: usize| if row % 5 == 3 || row / 3 == 2 { NO_LABEL } else { (row * 3 % 11) as i32 };
    let labels = ints(&(0..rows).map(label).collect::<Vec<_>>(), [rows]);
    let objective = Objective { z: 0.02, ..MULTI };
    let by_plain = |chunk| {
        plain::head_loss_by(chunk, x.clone(), weight.clone(), labels.clone(), &objective, 0.125, true)
    };
    let by_cpu = |chunk| {
        crate::cpu::head_loss_by(chunk, x.clone(), weight.clone(), labels.clone(), &objective, 0.125, true)
    };
    let bodies: [(&str, ByChunk<'_>); 2] = [("plain", &by_plain), ("cpu", &by_cpu)];
    for (body, by) in bodies {
        let run = |chunk| all(by(chunk));
        let whole = run(rows);
        // Zero stands for one; with eight the last chunk is shorter.
        for chunk in [0, 1, 3, 8, 22] {
            for (at, (got, right)) in run(chunk).iter().zip(&whole).enumerate() {
                near(&format!("{body} {at} by {chunk}"), got, right, 1e-6);
            }
        }
    }
}

#[test]
fn no_rows_give_no_loss_and_no_gradient() {
    let weight = tensor(&numbers(10, 2), [5, 2]);
    let (x, labels) = (tensor(&[], [0, 2]), ints(&[], [0]));
    for made in [
        plain::head_loss(x.clone(), weight.clone(), labels.clone(), &MULTI, 1.0, true),
        B::head_loss(x.clone(), weight.clone(), labels.clone(), &MULTI, 1.0, true),
    ] {
        let (of_x, [of_weight]) = made.back.clone().unwrap();
        assert_eq!((of_x.dims(), of_weight.dims()), ([0, 2], [5, 2]));
        assert_eq!(all(made), [vec![0.0], vec![0.0], vec![], vec![0.0; 10]]);
    }
    assert!(plain::head_loss::<B>(x, weight, labels, &MULTI, 1.0, false).back.is_none());
}

#[test]
fn uniform_logits_give_what_is_known() {
    for (vocabulary, objective, right) in [
        (10, Objective::PLAIN, 10_f64.ln()),
        (10, MULTI, 2.171_338),
        (1000, MULTI, 6.903_613),
        (1000, Objective { z: 1.0, cross_entropy: 0.0, ..Objective::PLAIN }, 1000_f64.ln().powi(2)),
    ] {
        let (x, weight) = (tensor(&[0.0; 4], [2, 2]), tensor(&numbers(vocabulary * 2, 1), [vocabulary, 2]));
        let labels = ints(&[0, vocabulary as i32 - 1], [2]);
        for made in [
            plain::head_loss(x.clone(), weight.clone(), labels.clone(), &objective, 0.5, true),
            B::head_loss(x.clone(), weight.clone(), labels.clone(), &objective, 0.5, true),
        ] {
            near(&format!("{vocabulary} {objective:?}"), &floats(made.loss), &[right], 1e-6);
        }
    }
}

#[test]
fn nothing_to_learn_is_no_loss_and_no_gradient() {
    let (x, weight) = (tensor(&numbers(6, 1), [3, 2]), tensor(&numbers(10, 2), [5, 2]));
    let labels = ints(&[NO_LABEL; 3], [3]);
    for made in [
        plain::head_loss(x.clone(), weight.clone(), labels.clone(), &MULTI, 1.0, true),
        B::head_loss(x.clone(), weight.clone(), labels.clone(), &MULTI, 1.0, true),
    ] {
        let all = all(made).concat();
        assert!(all.iter().all(|x| *x == 0.0), "{all:?}");
    }
}

#[test]
fn certainty_makes_no_number_that_is_none() {
    // The right token is certain to the last bit, and a wrong one, too.
    let (x, weight) = (tensor(&[300.0], [1, 1]), tensor(&[1.0, -1.0, 0.0], [3, 1]));
    for label in [0, 1] {
        let labels = ints(&[label], [1]);
        for gamma in [0.0, 0.5, 2.0] {
            let objective = Objective { gamma, ..MULTI };
            for made in [
                plain::head_loss(x.clone(), weight.clone(), labels.clone(), &objective, 1.0, true),
                B::head_loss(x.clone(), weight.clone(), labels.clone(), &objective, 1.0, true),
            ] {
                let all = all(made).concat();
                assert!(all.iter().all(|x| x.is_finite()), "{label} {gamma}: {all:?}");
            }
        }
    }
}
