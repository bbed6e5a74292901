//! What lets tokens know of each other beside attention: heads that learn, chains, attention by distance.
use super::{B, floats, ints, near, numbers, slope, tensor};
use crate::ops::{Dropout, Learning, Linking, Ops, Sight};
use crate::plain;

/// The first token of each one's document, of documents of these lengths.
fn begins(batch: usize, tokens: usize, documents: &[usize]) -> Vec<i32> {
    let mut row: Vec<i32> = Vec::new();
    for length in documents.iter().cycle() {
        let first = row.len() as i32;
        row.extend(vec![first; (*length).min(tokens)]);
        if row.len() >= tokens {
            break;
        }
    }
    row.truncate(tokens);
    row.repeat(batch)
}

fn weighted(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// Heads that learn, token by token. With one view, keys are queries and values too.
fn learned(x: &[f64], begins: &[i32], rate: f64, sizes: [usize; 4], views: usize) -> Vec<f64> {
    let [batch, tokens, heads, width] = sizes;
    let unit = |x: &[f64]| {
        let length = weighted(x, x).sqrt() + 1e-6;
        x.iter().map(|x| x / length).collect::<Vec<f64>>()
    };
    let mut out = vec![0.0; batch * tokens * heads * width];
    for (b, h) in (0..batch).flat_map(|b| (0..heads).map(move |h| (b, h))) {
        let mut matrix = vec![0.0; width * width];
        for t in 0..tokens {
            if begins[b * tokens + t] as usize == t {
                matrix.fill(0.0);
            }
            let view = |which: usize| &x[(((b * tokens + t) * views + which) * heads + h) * width..][..width];
            let (query, key) = (unit(view(0)), unit(view(views / 2)));
            let value = if views == 1 { key.clone() } else { view(2).to_vec() };
            let times = |matrix: &[f64], x: &[f64]| {
                matrix.chunks(width).map(|row| weighted(row, x)).collect::<Vec<f64>>()
            };
            let answer = times(&matrix, &query);
            out[((b * tokens + t) * heads + h) * width..][..width].copy_from_slice(&answer);
            let gives = times(&matrix, &key);
            for (row, (value, gives)) in matrix.chunks_mut(width).zip(value.iter().zip(gives)) {
                row.iter_mut().zip(&key).for_each(|(number, key)| *number += rate * (value - gives) * key);
            }
        }
    }
    out
}

#[test]
fn heads_learn_by_chunks_what_they_learn_token_by_token() {
    // Shorter than a chunk, and chunks that are no power of two; documents that begin and end within one and behind several.
    for (sizes, documents, rate, views) in [
        ([2, 9, 2, 3], vec![usize::MAX], 0.1, 3),
        ([1, 12, 1, 4], vec![5, 4], 1.0, 3),
        ([1, 330, 2, 4], vec![usize::MAX], 0.3, 3),
        ([2, 200, 1, 4], vec![70, 3, 128], 0.5, 3),
        ([1, 260, 1, 4], vec![64], 0.1, 1),
    ] {
        let [batch, tokens, heads, width] = sizes;
        let x = numbers(batch * tokens * views * heads * width, 1);
        let starts = begins(batch, tokens, &documents);
        let right = learned(&x, &starts, rate, sizes, views);
        let learning = Learning { heads, begins: ints(&starts, [batch, tokens]), rate };
        let shape = [batch, tokens, views * heads, width];
        near("answers, plain", &floats(plain::learn::<B>(tensor(&x, shape), &learning)), &right, 2e-5);
        near("answers, CPU", &floats(B::learn(tensor(&x, shape), &learning)), &right, 2e-5);
        let grad = numbers(right.len(), 2);
        let asked = || tensor(&grad, [batch, tokens, heads, width]);
        let of_plain = floats(plain::learn_back::<B>(tensor(&x, shape), &learning, asked()));
        let of_cpu = floats(B::learn_back(tensor(&x, shape), &learning, asked()));
        near("x, both bodies", &of_cpu, &of_plain, 1e-4);
        if tokens > 20 {
            continue;
        }
        let of_x = slope(&x, &grad, |x| learned(x, &starts, rate, sizes, views));
        near("x", &of_cpu, &of_x, 1e-4);
    }
}

#[test]
fn a_token_that_comes_again_is_known_ever_better() {
    let one = numbers(4, 5).repeat(5);
    let learning = Learning { heads: 1, begins: ints(&[0; 5], [1, 5]), rate: 0.1 };
    let answers = floats(B::learn(tensor(&one, [1, 5, 1, 4]), &learning));
    let lengths: Vec<f64> = answers.chunks(4).map(|row| weighted(row, row).sqrt()).collect();
    near("1 - 0.9^n", &lengths, &[0.0, 0.1, 0.19, 0.271, 0.3439], 1e-5);
}

#[test]
fn the_way_back_of_a_long_document_goes_through_all_chunks() {
    let (tokens, width) = (150, 3);
    let x = numbers(tokens * 3 * width, 3);
    let learning = Learning { heads: 1, begins: ints(&vec![0; tokens], [1, tokens]), rate: 0.05 };
    // The loss is what the last token is answered.
    let mut grad = vec![0.0; tokens * width];
    grad[(tokens - 1) * width..].copy_from_slice(&[1.0, -2.0, 0.5]);
    let forward = |x: &[f64]| learned(x, &vec![0; tokens], 0.05, [1, tokens, 1, width], 3);
    let right = slope(&x, &grad, forward);
    let back =
        B::learn_back(tensor(&x, [1, tokens, 3, width]), &learning, tensor(&grad, [1, tokens, 1, width]));
    near("x", &floats(back), &right, 1e-4);
    assert!(right[..9 * width].iter().any(|slope| slope.abs() > 1e-6), "the first tokens count");
}

type Complex = [f64; 2];

fn times([a, b]: Complex, [c, d]: Complex) -> Complex {
    [a * c - b * d, a * d + b * c]
}

fn over_one([a, b]: Complex) -> Complex {
    let size = a * a + b * b;
    [a / size, -b / size]
}

/// The matrix of a chain that ends behind so many tokens, less `i eta`, inverted by Gauss and Jordan.
fn inverted(potential: &[f64], coupling: &[f64], eta: f64, len: usize) -> Vec<Complex> {
    let mut rows = vec![[0.0; 2]; len * 2 * len];
    for at in 0..len {
        rows[at * 2 * len + at] = [potential[at], -eta];
        rows[at * 2 * len + len + at] = [1.0, 0.0];
        if at + 1 < len {
            let root = coupling[at].sqrt();
            rows[at * 2 * len + at + 1] = [root, 0.0];
            rows[(at + 1) * 2 * len + at] = [root, 0.0];
        }
    }
    for at in 0..len {
        let pivot = over_one(rows[at * 2 * len + at]);
        for column in 0..2 * len {
            rows[at * 2 * len + column] = times(rows[at * 2 * len + column], pivot);
        }
        for row in (0..len).filter(|row| *row != at) {
            let factor = rows[row * 2 * len + at];
            for column in 0..2 * len {
                let [re, im] = times(factor, rows[at * 2 * len + column]);
                let [was_re, was_im] = rows[row * 2 * len + column];
                rows[row * 2 * len + column] = [was_re - re, was_im - im];
            }
        }
    }
    (0..len * len).map(|at| rows[at / len * 2 * len + len + at % len]).collect()
}

/// One chain token by token.
fn linked(potential: &[f64], coupling: &[f64], eta: f64, begins: &[i32]) -> Vec<Complex> {
    let mut handed = [0.0; 2];
    (0..potential.len())
        .map(|at| {
            if begins[at] as usize == at {
                handed = [0.0; 2];
            }
            let found = over_one([potential[at] - handed[0], -eta - handed[1]]);
            handed = found.map(|part| part * coupling[at]);
            found
        })
        .collect()
}

/// Potentials and couplings of so many tokens and chains, as a row has them.
fn links(batch: usize, tokens: usize, chains: usize) -> Vec<f64> {
    let potential = numbers(batch * tokens * chains, 1);
    let coupling = numbers(batch * tokens * chains, 2).into_iter().map(|x| x.abs() + 0.1);
    let coupling: Vec<f64> = coupling.collect();
    let rows = potential.chunks(chains).zip(coupling.chunks(chains));
    rows.flat_map(|(potential, coupling)| [potential, coupling].concat()).collect()
}

/// All chains of all sequences, as a row has them.
fn all_linked(links: &[f64], eta: &[f64], begins: &[i32], tokens: usize) -> Vec<f64> {
    let (chains, mut out) = (eta.len(), vec![0.0; links.len()]);
    for sequence in 0..links.len() / (2 * chains * tokens) {
        let place = |at: usize| (sequence * tokens + at) * 2 * chains;
        for (chain, eta) in eta.iter().enumerate() {
            let of =
                |first: usize| (0..tokens).map(|at| links[place(at) + first + chain]).collect::<Vec<_>>();
            let found = linked(&of(0), &of(chains), *eta, &begins[sequence * tokens..][..tokens]);
            for (at, [re, im]) in found.into_iter().enumerate() {
                (out[place(at) + chain], out[place(at) + chains + chain]) = (re, im);
            }
        }
    }
    out
}

#[test]
fn chains_are_the_inverse_of_their_matrix_from_the_left() {
    let tokens = 256;
    let (potential, eta) = (numbers(tokens, 4), 0.3);
    let coupling: Vec<f64> = numbers(tokens, 5).into_iter().map(|x| x.abs() + 0.05).collect();
    let rows: Vec<f64> = potential.iter().zip(&coupling).flat_map(|(a, k)| [*a, *k]).collect();
    let linking = Linking { begins: ints(&vec![0; tokens], [1, tokens]) };
    let got = floats(B::link(tensor(&rows, [1, tokens, 2]), tensor(&[eta], [1]), &linking));
    for len in [1, 2, 40, 256] {
        let inverse = inverted(&potential, &coupling, eta, len);
        // What was found at the last token is the last number on the diagonal.
        near("found", &got[2 * (len - 1)..2 * len], &inverse[len * len - 1], 1e-4);
        // Both ways: the diagonal of the whole matrix by pivots from the left and from the right.
        let left = linked(&potential[..len], &coupling, eta, &vec![0; len]);
        let back = |x: &[f64]| x[..len].iter().rev().copied().collect::<Vec<f64>>();
        let reversed: Vec<f64> =
            (0..len).map(|at| if at + 1 < len { coupling[len - 2 - at] } else { 0.0 }).collect();
        let right = linked(&back(&potential), &reversed, eta, &vec![0; len]);
        for at in 0..len {
            let ([p, pi], [q, qi]) = (over_one(left[at]), over_one(right[len - 1 - at]));
            let whole = over_one([p + q - potential[at], pi + qi + eta]);
            near("both ways", &whole, &inverse[at * len + at], 1e-9);
            let size = weighted(&whole, &whole).sqrt();
            assert!(size <= 1.0 / eta + 1e-12, "no more than 1 over eta");
            // Ward's identity.
            let row = inverse[at * len..][..len].iter().map(|x| weighted(x, x)).sum::<f64>();
            assert!((whole[1] - eta * row).abs() < 1e-9, "{} {}", whole[1], eta * row);
        }
    }
    assert!(got.chunks(2).all(|found| weighted(found, found).sqrt() <= 1.0 / eta * (1.0 + 1e-6)));
}

#[test]
fn chains_have_the_values_of_known_ones() {
    let (potential, b, c) = ([0.5, -1.0, 2.0, 0.25], [1.0, 0.5, 2.0], [1.0, 1.5, 0.5]);
    let coupling: Vec<f64> = b.iter().zip(c).map(|(b, c)| b * c).chain([0.0]).collect();
    let rows: Vec<f64> = potential.iter().zip(&coupling).flat_map(|(a, k)| [*a, *k]).collect();
    let linking = Linking { begins: ints(&[0; 4], [1, 4]) };
    let right = [
        [0.4, 0.8],
        [-0.2692307692, 0.3461538462],
        [0.3421740755, 0.1957415017],
        [-0.0640857073, 0.8313610908],
    ];
    let got = floats(B::link(tensor(&rows, [1, 4, 2]), tensor(&[1.0], [1]), &linking));
    near("found", &got, right.as_flattened(), 1e-6);
}

#[test]
fn chains_and_their_way_back_in_documents() {
    for ([batch, tokens, chains], documents) in
        [([1, 1, 1], vec![1]), ([2, 7, 3], vec![usize::MAX]), ([2, 9, 2], vec![4, 1])]
    {
        let (links, begins) = (links(batch, tokens, chains), begins(batch, tokens, &documents));
        let eta: Vec<f64> = numbers(chains, 3).into_iter().map(|x| x.abs() + 0.2).collect();
        let right = all_linked(&links, &eta, &begins, tokens);
        let grad = numbers(right.len(), 6);
        let of_links = slope(&links, &grad, |links| all_linked(links, &eta, &begins, tokens));
        let of_eta = slope(&eta, &grad, |eta| all_linked(&links, eta, &begins, tokens));
        let shape = [batch, tokens, 2 * chains];
        let linking = Linking { begins: ints(&begins, [batch, tokens]) };
        let given = || (tensor::<3>(&links, shape), tensor::<1>(&eta, [chains]));
        let asked = || tensor::<3>(&grad, shape);
        let (links, eta) = given();
        let found = plain::link::<B>(links.clone(), eta.clone(), &linking);
        near("found, plain", &floats(found.clone()), &right, 1e-5);
        near("found, on the CPU", &floats(B::link(links.clone(), eta, &linking)), &right, 1e-5);
        let bodies = [
            ("plain", plain::link_back::<B>(links.clone(), found.clone(), &linking, asked())),
            ("CPU", B::link_back(links, found, &linking, asked())),
        ];
        for (name, (back, back_eta)) in bodies {
            near(&format!("links, {name}"), &floats(back), &of_links, 1e-4);
            near(&format!("eta, {name}"), &floats(back_eta), &of_eta, 1e-4);
        }
    }
}

/// Where one comes to from the middle of the ball.
fn out_from_the_middle(u: &[f64], curvature: f64) -> Vec<f64> {
    let length = weighted(u, u).sqrt();
    let (far, root) = (length.min(5.0), curvature.sqrt());
    u.iter().map(|x| (root * far).tanh() / root * x / length).collect()
}

/// The distance of two points of the ball.
fn distance(x: &[f64], y: &[f64], curvature: f64) -> f64 {
    let apart: f64 = x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum();
    let rim = |x: &[f64]| 1.0 - curvature * weighted(x, x);
    let delta = 2.0 * curvature * apart / (rim(x) * rim(y));
    (delta + (delta * (delta + 2.0)).sqrt()).ln_1p() / curvature.sqrt()
}

/// The same by Möbius's sum.
fn by_moebius(x: &[f64], y: &[f64], c: f64) -> f64 {
    let x: Vec<f64> = x.iter().map(|x| -x).collect();
    let (xy, xx, yy) = (weighted(&x, y), weighted(&x, &x), weighted(y, y));
    let (of_x, of_y) = (1.0 + 2.0 * c * xy + c * yy, 1.0 - c * xx);
    let below = 1.0 + 2.0 * c * xy + c * c * xx * yy;
    let sum: Vec<f64> = x.iter().zip(y).map(|(x, y)| (of_x * x + of_y * y) / below).collect();
    2.0 / c.sqrt() * (c.sqrt() * weighted(&sum, &sum).sqrt()).atanh()
}

#[test]
fn distances_are_those_of_hyperbolic_space() {
    let (u, w, c) = ([0.3, -0.4], [1.0, 0.5], 2_f64.ln());
    let [x, y] = [u, w].map(|way| out_from_the_middle(&way, c));
    near("u", &x, &[0.2837937334, -0.3783916446], 1e-9);
    near("w", &y, &[0.7853017625, 0.3926508812], 1e-9);
    near("d", &[distance(&x, &y, c), by_moebius(&x, &y, c)], &[2.4724744199; 2], 1e-9);
    near("from the middle", &[distance(&[0.0, 0.0], &x, c)], &[1.0], 1e-9);
    assert_eq!(distance(&x, &y, c), distance(&y, &x, c));
    let flat = [u, w].map(|way| out_from_the_middle(&way, 1e-8));
    near("flat", &[distance(&flat[0], &flat[1], 1e-8)], &[2.28035085], 1e-6);
    for seed in 0..20 {
        let points = numbers(6, seed);
        let points: Vec<_> = points.chunks(2).map(|way| out_from_the_middle(way, c)).collect();
        let d = |a: usize, b: usize| distance(&points[a], &points[b], c);
        assert!(d(0, 2) <= d(0, 1) + d(1, 2) + 1e-12, "no way is shorter by way of another point");
    }
}

/// Sizes of attention by distance.
type Sizes = [usize; 5];

fn near_by(
    x: &[f64],
    spaces: &[f64],
    starts: &[i32],
    scale: f64,
    [batch, tokens, heads, kv, width]: Sizes,
) -> Vec<f64> {
    let all = heads + 2 * kv;
    let mut out = vec![0.0; batch * tokens * heads * width];
    for (b, t, h) in
        (0..batch).flat_map(|b| (0..tokens).flat_map(move |t| (0..heads).map(move |h| (b, t, h))))
    {
        let row = |t: usize, part: usize| &x[((b * tokens + t) * all + part) * width..][..width];
        let point =
            |row: &[f64]| out_from_the_middle(&row.iter().map(|x| x * scale).collect::<Vec<_>>(), spaces[h]);
        let query = point(row(t, h));
        let shared = h / (heads / kv);
        let seen: Vec<usize> = (starts[b * tokens + t] as usize..=t).collect();
        let score =
            |j: &usize| -spaces[heads + h] * distance(&query, &point(row(*j, heads + shared)), spaces[h]);
        let scores: Vec<f64> = seen.iter().map(score).collect();
        let sum: f64 = scores.iter().map(|x| x.exp()).sum();
        for (j, score) in seen.iter().zip(scores) {
            for at in 0..width {
                out[((b * tokens + t) * heads + h) * width + at] +=
                    score.exp() / sum * row(*j, heads + kv + shared)[at];
            }
        }
    }
    out
}

#[test]
fn attention_by_distance_and_its_way_back() {
    for (sizes, documents, window) in [
        ([2, 5, 2, 2, 3], vec![usize::MAX], None),
        ([1, 9, 4, 2, 4], vec![4, 3], None),
        ([1, 11, 2, 1, 4], vec![5, 9], Some(3)),
        // Several blocks of queries.
        ([1, 300, 2, 1, 4], vec![290], None),
        ([1, 300, 1, 1, 4], vec![usize::MAX], Some(20)),
    ] {
        let [batch, tokens, heads, kv, width] = sizes;
        let x = numbers(batch * tokens * (heads + 2 * kv) * width, 1);
        let spaces: Vec<f64> = numbers(2 * heads, 2).into_iter().map(|x| x.abs() + 0.3).collect();
        let begins = begins(batch, tokens, &documents);
        let first = |(at, begin): (usize, &i32)| {
            (*begin).max((at % tokens) as i32 + 1 - window.unwrap_or(tokens) as i32)
        };
        let starts: Vec<i32> = begins.iter().enumerate().map(first).collect();
        let scale = 0.8;
        let right = near_by(&x, &spaces, &starts, scale, sizes);
        let sight = Sight { starts: ints(&starts, [batch, tokens]), scale, dropped: Dropout::NONE };
        let shape = [batch, tokens, heads + 2 * kv, width];
        let given = || (tensor::<4>(&x, shape), tensor::<2>(&spaces, [2, heads]));
        let (of_x, of_spaces) = given();
        near("answers", &floats(B::attend_near(of_x, of_spaces, &sight, window)), &right, 1e-4);
        let grad = numbers(right.len(), 3);
        let asked = tensor(&grad, [batch, tokens, heads, width]);
        let (of_x, of_spaces) = given();
        let (back_x, back_spaces) = B::attend_near_back(of_x, of_spaces, &sight, window, asked);
        let of_spaces = slope(&spaces, &grad, |spaces| near_by(&x, spaces, &starts, scale, sizes));
        near("spaces", &floats(back_spaces), &of_spaces, 2e-3);
        if tokens > 20 {
            // A few numbers of each part stand for all.
            let got = floats(back_x);
            for at in (0..x.len()).step_by(x.len() / 37) {
                let moved = |by: f64| {
                    let mut x = x.clone();
                    x[at] += by;
                    weighted(&near_by(&x, &spaces, &starts, scale, sizes), &grad)
                };
                let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                assert!((got[at] - slope).abs() < 2e-3 * (1.0 + slope.abs()), "x[{at}]: {} {slope}", got[at]);
            }
            continue;
        }
        let of_x = slope(&x, &grad, |x| near_by(x, &spaces, &starts, scale, sizes));
        near("x", &floats(back_x), &of_x, 1e-3);
    }
}

#[test]
fn links_are_bounded_and_their_way_back_is_their_slope() {
    const CHAINS: usize = 3;
    let by_loops = |both: &[f64], biases: &[f64]| -> Vec<f64> {
        let one = |(at, x): (usize, &f64)| {
            let x = x + biases[at % (2 * CHAINS)];
            if at % (2 * CHAINS) < CHAINS { 0.8 * (x / 0.8).tanh() } else { x.exp().ln_1p() }
        };
        both.iter().enumerate().map(one).collect()
    };
    let (both, biases, grad) = (numbers(30, 1), numbers(6, 2), numbers(30, 3));
    let given = || {
        let halves = [&biases[..CHAINS], &biases[CHAINS..]].map(|half| tensor::<1>(half, [CHAINS]));
        (tensor::<2>(&both, [5, 6]), halves)
    };
    let (x, halves) = given();
    near("bounded", &floats(B::bounded(x, halves, 0.8)), &by_loops(&both, &biases), 1e-6);
    let (x, halves) = given();
    let (of_both, of_biases) = B::bounded_back(x, halves, 0.8, tensor(&grad, [5, 6]));
    near("of both", &floats(of_both), &slope(&both, &grad, |both| by_loops(both, &biases)), 1e-5);
    let of_biases = of_biases.map(floats).concat();
    near("of biases", &of_biases, &slope(&biases, &grad, |biases| by_loops(&both, biases)), 1e-5);
}
