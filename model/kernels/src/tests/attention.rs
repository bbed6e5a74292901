//! Attention: causal, in documents, in a window, with shared keys, over one block and several.
use super::naive::{self, Sizes};
use super::{B, floats, ints, near, numbers, slope, tensor};
use crate::ops::{Attended, Dropout, Ops, Sight};
use crate::plain;
use burn::prelude::*;

/// Where each token's sight begins: documents of these lengths, seen through a window.
fn starts(batch: usize, tokens: usize, documents: &[usize], window: usize) -> Vec<i32> {
    let mut row = Vec::new();
    for length in documents.iter().cycle() {
        let begin = row.len();
        row.extend((0..*length).map(|at| (begin + at - at.min(window - 1)) as i32));
        if row.len() >= tokens {
            break;
        }
    }
    row.truncate(tokens);
    row.repeat(batch)
}

/// A body's name, what it gives and what it gives back.
type Body = (&'static str, Attended<B>, Tensor<B, 4>);

const FAR: usize = usize::MAX;

#[test]
fn attention_and_its_way_back() {
    for ([batch, tokens, heads, kv, width], documents, window, rate) in [
        ([2, 5, 2, 2, 3], vec![FAR - 1], FAR, 0.0),
        ([1, 9, 4, 2, 4], vec![4, 3], FAR, 0.0),
        ([2, 7, 3, 1, 5], vec![FAR - 1], 3, 0.0),
        ([1, 11, 2, 1, 4], vec![5, 9], 2, 0.0),
        ([2, 5, 2, 2, 3], vec![FAR - 1], FAR, 0.4),
        ([1, 9, 4, 2, 4], vec![4, 3], FAR, 0.2),
    ] {
        let sizes: Sizes = [batch, tokens, heads, kv, width];
        let documents: Vec<usize> = documents.into_iter().map(|length| length.min(tokens)).collect();
        let starts = starts(batch, tokens, &documents, window);
        let (of_query, of_keys) = (batch * tokens * heads * width, batch * tokens * kv * width);
        let [query, grad] = [1, 2].map(|seed| numbers(of_query, seed));
        let [key, value] = [3, 4].map(|seed| numbers(of_keys, seed));
        let (scale, dropped) = (0.7, Dropout { rate, seed: 7 });
        let ones = Tensor::ones([batch * heads * tokens, tokens], &Default::default());
        let stays = floats(B::dropout(ones, dropped));
        let forward =
            |q: &[f64], k: &[f64], v: &[f64]| naive::attend([q, k, v], &starts, scale, &stays, sizes);
        let (right, peak) = forward(&query, &key, &value);
        let slopes = [
            slope(&query, &grad, |q| forward(q, &key, &value).0),
            slope(&key, &grad, |k| forward(&query, k, &value).0),
            slope(&value, &grad, |v| forward(&query, &key, v).0),
        ];
        let shape = [batch, tokens, heads, width];
        let [query, grad] = [query, grad].map(|x| tensor(&x, shape));
        let [key, value] = [key, value].map(|x| tensor(&x, [batch, tokens, kv, width]));
        let x = Tensor::cat(vec![query, key, value], 2);
        let sight = Sight { starts: ints(&starts, [batch, tokens]), scale, dropped };
        let of_plain = plain::attend(x.clone(), heads, &sight);
        let of_cpu = B::attend(x.clone(), heads, &sight);
        let bodies: [Body; 2] = [
            ("plain", of_plain.clone(), plain::attend_back(x.clone(), &sight, of_plain, grad.clone())),
            ("cpu", of_cpu.clone(), B::attend_back(x, &sight, of_cpu, grad)),
        ];
        for (body, attended, got) in bodies {
            near(&format!("{body} attention"), &floats(attended.output), &right, 1e-5);
            near(&format!("{body} largest logits"), &floats(attended.peak), &peak, 1e-5);
            let got = plain::parts(got, heads);
            for ((got, right), what) in got.into_iter().zip(&slopes).zip(["query", "key", "value"]) {
                near(&format!("{body} back to {what}"), &floats(got), right, 2e-5);
            }
        }
    }
}

#[test]
fn blocks_meet_without_a_seam() {
    // Longer than a block of queries; both bodies must agree.
    for (tokens, documents, window, rate) in [
        (64, 64, FAR, 0.0),
        (65, 65, FAR, 0.3),
        (200, 73, FAR, 0.0),
        (200, 73, FAR, 0.3),
        (200, 200, 50, 0.0),
        (130, 40, 7, 0.1),
    ] {
        let [batch, heads, kv, width] = [2, 4, 2, 8];
        let starts = ints(&starts(batch, tokens, &[documents], window), [batch, tokens]);
        let [x, grad] = [(heads + 2 * kv, 1), (heads, 2)].map(|(heads, seed)| {
            let shape: [usize; 4] = [batch, tokens, heads, width];
            tensor(&numbers(shape.iter().product(), seed), shape)
        });
        let sight = Sight { starts, scale: 0.3, dropped: Dropout { rate, seed: 2 } };
        let right = plain::attend(x.clone(), heads, &sight);
        let got = B::attend(x.clone(), heads, &sight);
        near("output", &floats(got.output.clone()), &floats(right.output.clone()), 1e-5);
        near("lse", &floats(got.lse.clone()), &floats(right.lse.clone()), 1e-5);
        near("peak", &floats(got.peak.clone()), &floats(right.peak.clone()), 1e-5);
        let right = plain::attend_back(x.clone(), &sight, right, grad.clone());
        let got = B::attend_back(x, &sight, got, grad);
        near("back", &floats(got), &floats(right), 2e-5);
    }
}
