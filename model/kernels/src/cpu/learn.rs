//! Heads that learn, token by token: a head's matrix stays in the nearest cache, so this takes less than the products of whole chunks.
//!
//! On the way back a step is taken back by what it added, so that no matrix is kept for any token.
use super::memory::{give_back, to_fill};
use super::numbers::{Floats, Ints, made};
use super::share::each;
use super::vector::{sum_of, wide};
use crate::ops::Learning;
use crate::plain::LEAST;
use burn::backend::Flex;
use burn::prelude::*;

/// Where the numbers of heads stand in rows `[tokens, parts * width]` of all sequences.
#[derive(Clone, Copy)]
struct Layout {
    tokens: usize,
    heads: usize,
    width: usize,
    /// Heads' queries, keys and values, or one view for all three.
    views: usize,
}

impl Layout {
    fn of(x: &Tensor<Flex, 4>, heads: usize) -> Self {
        let [_, tokens, all, width] = x.dims();
        Self { tokens, heads, width, views: all / heads }
    }

    /// One part of all tokens of a sequence, of rows of so many parts.
    fn part<'a>(
        &self,
        x: &'a [f32],
        sequence: usize,
        part: usize,
        parts: usize,
    ) -> impl Iterator<Item = &'a [f32]> {
        let Self { tokens, width, .. } = *self;
        let rows = x[sequence * tokens * parts * width..].chunks_exact(parts * width).take(tokens);
        rows.map(move |row| &row[part * width..][..width])
    }

    /// Puts what each head of each sequence has, `[tokens, width]` of several views, in rows.
    fn rows(&self, batch: usize, views: usize, of_heads: &[Vec<f32>]) -> Vec<f32> {
        let Self { tokens, heads, width, .. } = *self;
        let mut all = to_fill(batch * tokens * views * heads * width);
        for (at, numbers) in of_heads.iter().enumerate() {
            let (sequence, head) = (at / heads, at % heads);
            for (place, row) in numbers.chunks_exact(width).enumerate() {
                let (view, token) = (place / tokens, place % tokens);
                let to = ((sequence * tokens + token) * views + view) * heads + head;
                all[to * width..][..width].copy_from_slice(row);
            }
        }
        all
    }
}

/// One head of one sequence.
struct Head {
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    /// What queries and keys were divided by.
    lengths: [Vec<f32>; 2],
}

/// Turns a matrix where it lies.
fn turn(matrix: &mut [f32], width: usize) {
    for (row, column) in (0..width).flat_map(|row| (0..row).map(move |column| (row, column))) {
        matrix.swap(row * width + column, column * width + row);
    }
}

/// Rows of a length of one, and what they were divided by.
pub(super) fn units<'a>(rows: impl Iterator<Item = &'a [f32]>) -> (Vec<f32>, Vec<f32>) {
    let (mut units, mut lengths) = (Vec::new(), Vec::new());
    for row in rows {
        let length = sum_of(row, row, |a, b| a * b).sqrt().max(LEAST as f32) + LEAST as f32;
        units.extend(row.iter().map(|x| x / length));
        lengths.push(length);
    }
    (units, lengths)
}

impl Head {
    fn of(x: &[f32], layout: &Layout, at: usize) -> Self {
        let (sequence, head) = (at / layout.heads, at % layout.heads);
        let parts = layout.views * layout.heads;
        let view = |which: usize| layout.part(x, sequence, which * layout.heads + head, parts);
        if layout.views == 1 {
            let (key, lengths) = units(view(0));
            return Self { query: key.clone(), value: key.clone(), key, lengths: [lengths.clone(), lengths] };
        }
        let ((query, of_query), (key, of_key)) = (units(view(0)), units(view(1)));
        Self { query, key, value: view(2).flatten().copied().collect(), lengths: [of_query, of_key] }
    }

    /// What it answers, and what each value is off by from what was given for its key; and the matrices at the ends of documents.
    fn learned(&self, begins: &[i32], rate: f32, width: usize) -> [Vec<f32>; 3] {
        let (mut matrix, mut ends) = (vec![0.0; width * width], Vec::new());
        let (mut answers, mut off) = (to_fill(self.key.len()), to_fill(self.key.len()));
        let sources = [&self.query, &self.key, &self.value].map(Vec::as_slice);
        go(sources, begins, rate, &mut matrix, &mut ends, &mut answers, &mut off);
        ends.append(&mut matrix);
        // The way back has a row for a number of values.
        ends.chunks_exact_mut(width * width).for_each(|matrix| turn(matrix, width));
        [answers, off, ends]
    }
}

pub(super) fn learn(x: Tensor<Flex, 4>, learning: &Learning<Flex>) -> Tensor<Flex, 4> {
    let (dtype, [batch, tokens, _, width], heads) = (x.dtype(), x.dims(), learning.heads);
    let (layout, rate) = (Layout::of(&x, heads), learning.rate as f32);
    let (x, begins) = (Floats::of(x), Ints::of(learning.begins.clone()));
    let (x, begins) = (x.get(), begins.get());
    let of_heads = each(batch * heads, |at| {
        let begins = &begins[at / heads * tokens..][..tokens];
        let [answers, ..] = Head::of(x, &layout, at).learned(begins, rate, width);
        answers
    });
    made(layout.rows(batch, 1, &of_heads), [batch, tokens, heads, width], dtype)
}

pub(super) fn learn_back(
    x: Tensor<Flex, 4>,
    learning: &Learning<Flex>,
    grad: Tensor<Flex, 4>,
) -> Tensor<Flex, 4> {
    let (dtype, dims @ [batch, tokens, _, width], heads) = (x.dtype(), x.dims(), learning.heads);
    let (layout, rate) = (Layout::of(&x, heads), learning.rate as f32);
    let (x, grad, begins) = (Floats::of(x), Floats::of(grad), Ints::of(learning.begins.clone()));
    let (x, grad, begins) = (x.get(), grad.get(), begins.get());
    let of_heads = each(batch * heads, |at| {
        let begins = &begins[at / heads * tokens..][..tokens];
        let head = Head::of(x, &layout, at);
        let [_, off, mut ends] = head.learned(begins, rate, width);
        let grad: Vec<f32> = layout.part(grad, at / heads, at % heads, heads).flatten().copied().collect();
        let len = head.key.len();
        let mut all = vec![0.0; 3 * len];
        go_back([&head.query, &head.key, &off, &grad], begins, rate, &mut ends, &mut all);
        let (of_query, rest) = all.split_at_mut(len);
        let (of_key, of_value) = rest.split_at_mut(len);
        if layout.views == 1 {
            for ((key, query), value) in of_key.iter_mut().zip(&*of_query).zip(&*of_value) {
                *key += query + value;
            }
            units_back(&head.key, &head.lengths[1], of_key);
            return of_key.to_vec();
        }
        units_back(&head.query, &head.lengths[0], of_query);
        units_back(&head.key, &head.lengths[1], of_key);
        all
    });
    made(layout.rows(batch, layout.views, &of_heads), dims, dtype)
}

/// From the gradients of rows of a length of one to those of the rows that they were made of.
fn units_back(units: &[f32], lengths: &[f32], grads: &mut [f32]) {
    let width = units.len() / lengths.len().max(1);
    for ((unit, length), grad) in units.chunks_exact(width).zip(lengths).zip(grads.chunks_exact_mut(width)) {
        let along = sum_of(unit, grad, |a, b| a * b) * length / (length - LEAST as f32);
        grad.iter_mut().zip(unit).for_each(|(grad, unit)| *grad = (*grad - unit * along) / length);
    }
}

/// Goes through the tokens of a text that has learned so much already.
pub(super) fn go_on(sources: [&[f32]; 3], rate: f32, matrix: &mut [f32], answers: &mut [f32]) {
    let tokens = answers.len() / matrix.len().isqrt();
    let (mut off, mut ends) = (to_fill(answers.len()), Vec::new());
    go(sources, &vec![-1; tokens], rate, matrix, &mut ends, answers, &mut off);
    give_back(off);
}

wide! {
    /// Goes through tokens: a query is answered by what the matrix has learned, which then comes to give more of the value for the key. Tells
    /// what each value was off by from what was given before, and what the matrix was at the ends of documents but for the last. A row of it is
    /// for a number of keys, so that nothing is summed up across lanes.
    fn go(
        sources: [&[f32]; 3],
        begins: &[i32],
        rate: f32,
        matrix: &mut [f32],
        ends: &mut Vec<f32>,
        answers: &mut [f32],
        off: &mut [f32],
    ) {
        let width = answers.len() / begins.len().max(1);
        for (at, begin) in begins.iter().enumerate() {
            if *begin as usize == at {
                if at > 0 {
                    ends.extend_from_slice(matrix);
                }
                matrix.fill(0.0);
            }
            let row = at * width..(at + 1) * width;
            let [query, key, value] = sources.map(|all| &all[row.clone()]);
            let (answers, off) = (&mut answers[row.clone()], &mut off[row]);
            answers.fill(0.0);
            off.copy_from_slice(value);
            for ((row, query), key) in matrix.chunks_exact(width).zip(query).zip(key) {
                for ((answer, off), number) in answers.iter_mut().zip(&mut *off).zip(row) {
                    *answer += query * number;
                    *off -= key * number;
                }
            }
            for (row, key) in matrix.chunks_exact_mut(width).zip(key) {
                let by = rate * key;
                row.iter_mut().zip(&*off).for_each(|(number, off)| *number += by * off);
            }
        }
    }
}

wide! {
    /// Goes back through tokens, from the matrices at the ends of documents, the last one's last. The sources are queries, keys, what values
    /// were off by, and the gradients of answers; what comes out, the gradients of queries, keys and values.
    fn go_back(sources: [&[f32]; 4], begins: &[i32], rate: f32, ends: &mut Vec<f32>, out: &mut [f32]) {
        let (width, len) = (sources[1].len() / begins.len().max(1), sources[1].len());
        let (of_query, rest) = out.split_at_mut(len);
        let (of_key, of_value) = rest.split_at_mut(len);
        // What the loss asks of the matrix by way of the tokens behind.
        let mut behind = vec![0.0_f32; width * width];
        for at in (0..begins.len()).rev() {
            let place = at * width..(at + 1) * width;
            let [query, key, off, grad] = sources.map(|all| &all[place.clone()]);
            let (of_query, of_key) = (&mut of_query[place.clone()], &mut of_key[place.clone()]);
            let of_value = &mut of_value[place];
            let last = ends.len() - width * width;
            let rows = ends[last..].chunks_exact_mut(width).zip(behind.chunks_exact_mut(width));
            for (which, (row, behind)) in rows.enumerate() {
                let (by, grad) = (rate * off[which], grad[which]);
                let of_off = rate * sum_of(behind, key, |a, b| a * b);
                of_value[which] = of_off;
                // The step is taken back.
                row.iter_mut().zip(key).for_each(|(number, key)| *number -= by * key);
                for ((of_key, behind), before) in of_key.iter_mut().zip(&*behind).zip(&*row) {
                    *of_key += by * behind - of_off * before;
                }
                of_query.iter_mut().zip(&*row).for_each(|(of_query, before)| *of_query += grad * before);
                for ((behind, query), key) in behind.iter_mut().zip(query).zip(key) {
                    *behind += grad * query - of_off * key;
                }
            }
            if begins[at] as usize == at {
                // Before is another document, which has its own.
                behind.fill(0.0);
                ends.truncate(last);
            }
        }
    }
}
