//! Keys and values that are kept, and attention to them.
use super::memory::{give_back, to_fill};
use super::numbers::{Floats, made};
use super::product::{Matrix, multiply};
use super::share::each;
use super::vector::{exp, largest, sum_of, wide};
use crate::decode::{CacheSize, Feed};
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use std::ops::Range;

/// Tokens of a text that are attended for at once.
const BLOCK: usize = 64;

/// The keys and values of one block: for each slot and head all places one behind the other.
pub struct Cache {
    size: CacheSize,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Cache {
    pub(crate) fn new(size: CacheSize) -> Self {
        let numbers = size.slots * size.heads * size.context * size.width;
        // The system hands out pages when they are first touched: what no text reaches takes no memory.
        Self { size, keys: vec![0.0; numbers], values: vec![0.0; numbers] }
    }

    /// Where the keys of a head begin, of this slot.
    fn head(&self, slot: usize, head: usize) -> usize {
        (slot * self.size.heads + head) * self.size.context * self.size.width
    }

    fn put(&mut self, feeds: &[Feed], key: &[f32], value: &[f32]) {
        let CacheSize { heads, width, context, .. } = self.size;
        let mut row = 0;
        for feed in feeds {
            assert!(feed.held + feed.tokens <= context, "the slot is full");
            for place in feed.held..feed.held + feed.tokens {
                for head in 0..heads {
                    let (from, to) =
                        ((row * heads + head) * width, self.head(feed.slot, head) + place * width);
                    self.keys[to..to + width].copy_from_slice(&key[from..from + width]);
                    self.values[to..to + width].copy_from_slice(&value[from..from + width]);
                }
                row += 1;
            }
        }
    }
}

/// A few tokens of one text, which are attended for at once.
struct Block {
    feed: Feed,
    /// The first of their rows among all.
    row: usize,
    /// Their places in the text.
    places: Range<usize>,
}

fn blocks(feeds: &[Feed]) -> Vec<Block> {
    let (mut all, mut row) = (Vec::new(), 0);
    for feed in feeds {
        let end = feed.held + feed.tokens;
        for first in (feed.held..end).step_by(BLOCK) {
            let places = first..end.min(first + BLOCK);
            let next = row + places.len();
            all.push(Block { feed: *feed, row, places });
            row = next;
        }
    }
    all
}

pub(crate) fn attend_kept(
    [query, key, value]: [Tensor<Flex, 3>; 3],
    cache: &mut Cache,
    feeds: &[Feed],
    window: Option<usize>,
) -> Tensor<Flex, 3> {
    let [rows, heads, width] = query.dims();
    let (query, key, value) = (Floats::of(query), Floats::of(key), Floats::of(value));
    cache.put(feeds, key.get(), value.get());
    let (query, cache) = (query.get(), &*cache);
    let (blocks, kv_heads) = (blocks(feeds), cache.size.heads);
    let group = heads / kv_heads;
    let attended = each(blocks.len() * kv_heads, |at| {
        let (block, kv_head) = (&blocks[at / kv_heads], at % kv_heads);
        let first_head = kv_head * group;
        let query = |head: usize| &query[(block.row * heads + first_head + head) * width..];
        let sight = Sight { cache, kv_head, block, window };
        match block.places.len() {
            // One token: the heads that share keys are rows side by side.
            1 => sight.attend(Matrix::new(query(0), width), group, |_| block.places.start),
            count => {
                let row = heads * width;
                let head = |head| {
                    let query = Matrix { numbers: query(head), row, column: 1 };
                    sight.attend(query, count, |row| block.places.start + row)
                };
                (0..group).flat_map(head).collect()
            }
        }
    });
    let mut out = to_fill(rows * heads * width);
    for (at, numbers) in attended.into_iter().enumerate() {
        let (block, first_head) = (&blocks[at / kv_heads], at % kv_heads * group);
        let tokens = block.places.len();
        for (which, row) in numbers.chunks_exact(width).enumerate() {
            let (head, token) = (which / tokens, which % tokens);
            let to = ((block.row + token) * heads + first_head + head) * width;
            out[to..to + width].copy_from_slice(row);
        }
    }
    made(out, [rows, heads, width], DType::F32)
}

/// What the tokens of a block see in one head of keys.
struct Sight<'a> {
    cache: &'a Cache,
    kv_head: usize,
    block: &'a Block,
    window: Option<usize>,
}

impl Sight<'_> {
    /// The first place that one sees.
    fn first(&self, place: usize) -> usize {
        self.window.map_or(0, |window| (place + 1).saturating_sub(window))
    }

    /// `count` rows of queries, each at a place of its own.
    fn attend(&self, query: Matrix<'_>, count: usize, place: impl Fn(usize) -> usize) -> Vec<f32> {
        let CacheSize { width, .. } = self.cache.size;
        let head = self.cache.head(self.block.feed.slot, self.kv_head);
        let seen = self.first(self.block.places.start)..self.block.places.end;
        let (first, numbers) = (head + seen.start * width, seen.len() * width);
        let (keys, values) = (&self.cache.keys[first..][..numbers], &self.cache.values[first..][..numbers]);
        let mut shares = to_fill(count * seen.len());
        let scale = 1.0 / (width as f32).sqrt();
        let keys = Matrix::new(keys, width).turned();
        multiply([count, seen.len(), width], query, keys, (&mut shares, seen.len()), scale, false);
        for (row, shares) in shares.chunks_exact_mut(seen.len()).enumerate() {
            let place = place(row);
            let (before, rest) = shares.split_at_mut(self.first(place) - seen.start);
            let (visible, behind) = rest.split_at_mut(place + 1 - self.first(place));
            before.fill(0.0);
            behind.fill(0.0);
            soften(visible);
        }
        let mut out = vec![0.0; count * width];
        let (shares_of, values) = (Matrix::new(&shares, seen.len()), Matrix::new(values, width));
        multiply([count, width, seen.len()], shares_of, values, (&mut out, width), 1.0, false);
        give_back(shares);
        out
    }
}

wide! {
    /// Logits become shares.
    fn soften(logits: &mut [f32]) {
        let most = largest(logits);
        logits.iter_mut().for_each(|x| *x = exp(*x - most));
        let times = 1.0 / sum_of(logits, logits, |x, _| x);
        logits.iter_mut().for_each(|x| *x *= times);
    }
}
