//! A model in use: weights that stay, in every way to keep them, and attention to what is kept.
use super::{B, floats, naive, near, numbers, tensor};
use crate::cpu::{Cache, Cpu, How, attend_kept};
use crate::decode::{CacheSize, Decode, Feed, Kept, Step};
use crate::ops::{Ops, Rounding};
use crate::parts::{InMemory, Parts};
use crate::plain;
use burn::prelude::*;

/// What a weight's numbers are once they are kept in 8 bits, by the rule of GGUF's Q8_0.
fn eight_bits(numbers: &[f64], width: usize) -> Vec<f64> {
    in_codes(numbers, width, |scale| half::f16::from_f32(scale).to_f64())
}

/// Numbers in codes of 8 bits with a scale for each 32.
fn in_codes(numbers: &[f64], width: usize, kept: impl Fn(f32) -> f64) -> Vec<f64> {
    let block = |block: &[f64]| -> Vec<f64> {
        let largest = block.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        let scale = kept((largest / 127.0) as f32);
        let code = |x: &f64| if largest > 0.0 { (x * 127.0 / largest).round() } else { 0.0 };
        block.iter().map(|x| code(x) * scale).collect()
    };
    numbers.chunks(width).flat_map(|row| row.chunks(32)).flat_map(block).collect()
}

fn kept_as(numbers: &[f64], width: usize, kept: Kept) -> (Cpu, <Cpu as Decode>::Matrix) {
    let numbers: Vec<f32> = numbers.iter().map(|x| *x as f32).collect();
    let mut cpu = Cpu::new(kept);
    let matrix = cpu.matrix(&Parts::of(&[InMemory::new(&numbers, width)], width)).unwrap();
    (cpu, matrix)
}

fn looked_up(cpu: &mut Cpu, matrix: &<Cpu as Decode>::Matrix, ids: &[u32]) -> Tensor<B, 2> {
    cpu.looked_up(&Step { feeds: &[], ids, wanted: &[] }, matrix).unwrap()
}

fn as_kept(numbers: &[f64], width: usize, kept: Kept) -> Vec<f64> {
    match kept {
        Kept::F32 => numbers.to_vec(),
        Kept::Bf16 => numbers.iter().map(|x| half::bf16::from_f32(*x as f32).to_f64()).collect(),
        Kept::Int8 => eight_bits(numbers, width),
    }
}

#[test]
fn products_with_weights_that_stay() {
    // Widths that end within a block and within a lane; more rows than a part has; few rows of x, and many.
    for [rows, width] in [[3, 5], [70, 33], [300, 256], [130, 100]] {
        for count in [1, 2, 8, 9, 40] {
            let (weight, x) = (numbers(rows * width, 1), numbers(count * width, 2));
            for kept in [Kept::F32, Kept::Bf16, Kept::Int8] {
                let (mut cpu, fixed) = kept_as(&weight, width, kept);
                let turned = naive::turn(&as_kept(&weight, width, kept), [rows, width]);
                // Rows of x are in codes too where the weight is.
                let coded = kept == Kept::Int8;
                let rows_of_x = if coded { in_codes(&x, width, f64::from) } else { x.clone() };
                let right = naive::product(&rows_of_x, &turned, [count, width, rows]);
                let got = cpu.times(&tensor(&x, [count, width]), &fixed).unwrap();
                near(&format!("{kept:?} {rows} {width} {count}"), &floats(got), &right, 1e-5);
            }
        }
    }
}

/// Weights of three values, as their own operation rounds them.
fn three_values(numbers: &[f64], width: usize) -> Vec<f64> {
    floats(B::rounded(tensor(numbers, [numbers.len() / width, width]), Rounding::Ternary))
}

#[test]
fn products_with_weights_of_three_values() {
    // Widths that end within a word; parts that end within a panel, each with a scale of its own.
    for [rows, width] in [[3, 5], [70, 33], [40, 256], [130, 100]] {
        let (first, second) = (numbers(rows * width, 1), numbers(7 * width, 2));
        let second: Vec<f64> = second.into_iter().map(|x| 3.0 * x).collect();
        let (narrow, both) =
            ([&first, &second].map(|part| part.iter().map(|x| *x as f32).collect::<Vec<_>>()), rows + 7);
        let parts = narrow.each_ref().map(|part| InMemory::new(part, width));
        let mut cpu = Cpu::new(Kept::F32);
        let kept = cpu.matrix(&Parts { ternary: true, ..Parts::of(&parts, width) }).unwrap();
        let right = [three_values(&first, width), three_values(&second, width)].concat();
        let ids: Vec<u32> = (0..both as u32).collect();
        assert_eq!(floats(looked_up(&mut cpu, &kept, &ids)), right, "{rows} {width}");
        for count in [1, 2, 9] {
            let x = tensor(&numbers(count * width, 3), [count, width]);
            let got = cpu.times(&x, &kept).unwrap();
            let coded = floats(B::rounded_rows(x));
            let right = naive::product(&coded, &naive::turn(&right, [both, width]), [count, width, both]);
            near(&format!("{rows} {width} {count}"), &floats(got), &right, 1e-5);
        }
    }
}

#[test]
fn parts_apart_have_numbers_of_their_own() {
    let (width, rows) = (6, [40, 3, 9]);
    let all: Vec<Vec<f64>> = rows.iter().zip(1..).map(|(rows, seed)| numbers(rows * width, seed)).collect();
    let narrow: Vec<Vec<f32>> = all.iter().map(|part| part.iter().map(|x| *x as f32).collect()).collect();
    let parts: Vec<InMemory<'_>> = narrow.iter().map(|part| InMemory::new(part, width)).collect();
    let x = numbers(5 * 18, 9);
    for ternary in [false, true] {
        let mut cpu = Cpu::new(Kept::F32);
        let kept = cpu.matrix(&Parts { apart: true, ternary, ..Parts::of(&parts, width) }).unwrap();
        let got = floats(cpu.times(&tensor(&x, [5, 18]), &kept).unwrap());
        for (x, got) in x.chunks(18).zip(got.chunks(52)) {
            let mut first = 0;
            for ((weight, own), rows) in parts.iter().zip(x.chunks(width)).zip(rows) {
                let alone = cpu.matrix(&Parts { ternary, ..Parts::of(&[*weight], width) }).unwrap();
                let right = floats(cpu.times(&tensor(own, [1, width]), &alone).unwrap());
                assert_eq!(got[first..first + rows], right);
                first += rows;
            }
        }
    }
}

#[test]
fn rows_of_weights_that_stay() {
    let [rows, width] = [7, 45];
    let weight = numbers(rows * width, 3);
    for kept in [Kept::F32, Kept::Bf16, Kept::Int8] {
        let (mut cpu, fixed) = kept_as(&weight, width, kept);
        let all = as_kept(&weight, width, kept);
        let right: Vec<f64> =
            [6, 0, 6, 3].into_iter().flat_map(|id| all[id * width..][..width].to_vec()).collect();
        near(&format!("{kept:?}"), &floats(looked_up(&mut cpu, &fixed, &[6, 0, 6, 3])), &right, 1e-6);
    }
}

#[test]
fn numbers_of_eight_bits_are_those_of_the_file_format() {
    // Worked out by hand: the largest is 2, so a code is worth 2/127 in half precision, 0.01575 = 0x2408.
    let mut row = vec![0.0; 32];
    (row[0], row[1], row[2], row[31]) = (2.0, -1.0, 0.007, -2.0);
    let (mut cpu, fixed) = kept_as(&row, 32, Kept::Int8);
    let scale = half::f16::from_bits(0x2408).to_f64();
    let mut right = vec![0.0; 32];
    (right[0], right[1], right[31]) = (127.0 * scale, -64.0 * scale, -127.0 * scale);
    near("Q8_0", &floats(looked_up(&mut cpu, &fixed, &[0])), &right, 1e-7);
    let (mut cpu, nothing) = kept_as(&[0.0; 40], 40, Kept::Int8);
    near("nothing", &floats(looked_up(&mut cpu, &nothing, &[0])), &[0.0; 40], 1e-9);
}

#[test]
fn attention_to_what_is_kept_is_what_the_plain_body_says() {
    for (heads, kv_heads, width, window) in [(4, 2, 6, None), (3, 3, 8, Some(4)), (6, 1, 5, Some(70))] {
        let size = CacheSize::even(3, 150, kv_heads, width);
        let (mut fast, mut plain) = (Cache::new(size), plain::decode::cache::<B>(size, &Default::default()));
        let mut held = [0; 3];
        // Long prompts, more than a block of queries; single tokens; several texts together, in any order.
        for (round, counts) in [[130, 0, 1], [0, 7, 66], [1, 1, 1], [3, 1, 0], [1, 90, 1]].iter().enumerate()
        {
            let order = [(round + 1) % 3, round % 3, (round + 2) % 3];
            let feeds: Vec<Feed> = order
                .into_iter()
                .filter(|slot| counts[*slot] > 0)
                .map(|slot| Feed { slot, held: held[slot], tokens: counts[slot] })
                .collect();
            let rows: usize = feeds.iter().map(|feed| feed.tokens).sum();
            let sources = || {
                let of = |heads: usize, seed: u64| -> Tensor<B, 3> {
                    tensor(&numbers(rows * heads * width, 10 * round as u64 + seed), [rows, heads, width])
                };
                [of(heads, 1), of(kv_heads, 2), of(kv_heads, 3)]
            };
            let [query, key, value] = sources();
            let how = How { scale: (width as f32).sqrt().recip(), window, spaces: None };
            let got = attend_kept([query, key], Some(value), &mut fast, &feeds, &how);
            let right = plain::decode::attend_kept(sources(), &mut plain, &feeds, window);
            near(&format!("{heads} {kv_heads} {window:?} {round}"), &floats(got), &floats(right), 1e-5);
            feeds.iter().for_each(|feed| held[feed.slot] += feed.tokens);
        }
    }
}
