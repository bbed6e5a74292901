//! Keys and values that are kept, and attention to them.
use super::lines::Lines;
use super::memory::{give_back, to_fill};
use super::near::{Space, by_distance};
use super::numbers::{Floats, made};
use super::share::each;
use super::tiles::{Instructions, PANEL, Singles, products};
use super::vector::{exp, largest, sum_of, wide};
use crate::decode::{CacheSize, Feed, Values};
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use std::ops::Range;

/// Tokens of a text that are attended for at once.
const BLOCK: usize = 64;

/// The keys and values of one block: for each slot and head panels of places, and panels of numbers, as products want them.
pub struct Cache {
    size: CacheSize,
    keys: Lines,
    values: Lines,
}

impl Cache {
    pub(crate) fn new(size: CacheSize) -> Self {
        let all = |head: usize| Lines::zero(size.slots * size.heads * head);
        // The system hands out pages when they are first touched: what no text reaches takes no memory.
        Self { size, keys: all(keys_of_head(&size)), values: all(values_of_head(&size)) }
    }

    /// The keys and the values of a head, of this slot.
    fn head(&self, slot: usize, head: usize) -> [Range<usize>; 2] {
        let head = slot * self.size.heads + head;
        [keys_of_head(&self.size), values_of_head(&self.size)].map(|len| head * len..(head + 1) * len)
    }

    /// `value` is nothing where values are numbers of keys.
    fn put(&mut self, feeds: &[Feed], key: &[f32], value: Option<&[f32]>) {
        let CacheSize { heads, width, context, near, .. } = self.size;
        let places = feeds.iter().flat_map(|feed| {
            assert!(feed.held + feed.tokens <= context, "the slot is full");
            (feed.held..feed.held + feed.tokens).map(|place| (feed.slot, place))
        });
        let rows = numbers_of_key(&self.size);
        let mut keys_of_token = key.chunks_exact(width);
        let mut values_of_token = value.map(|value| value.chunks_exact(self.size.values.width()));
        for (slot, place) in places {
            for (head, key) in (0..heads).zip(&mut keys_of_token) {
                let [keys, values] = self.head(slot, head);
                let panel = &mut self.keys.floats_mut()[keys][place / PANEL * rows * PANEL..];
                let mut to = panel.iter_mut().skip(place % PANEL).step_by(PANEL);
                (&mut to).zip(key).for_each(|(to, from)| *to = *from);
                if let (true, Some(to)) = (near, to.next()) {
                    *to = sum_of(key, key, |a, b| a * b).sqrt();
                }
                let Some(value) = values_of_token.as_mut().and_then(Iterator::next) else { continue };
                let values = &mut self.values.floats_mut()[values];
                for (panel, from) in values.chunks_exact_mut(context * PANEL).zip(value.chunks(PANEL)) {
                    panel[place * PANEL..][..from.len()].copy_from_slice(from);
                }
            }
        }
    }
}

/// Numbers that stand for a key: its own, and how long it is, where that is asked.
fn numbers_of_key(size: &CacheSize) -> usize {
    size.width + usize::from(size.near)
}

fn keys_of_head(size: &CacheSize) -> usize {
    size.context.next_multiple_of(PANEL) * numbers_of_key(size)
}

fn values_of_head(size: &CacheSize) -> usize {
    match size.values {
        Values::Own(width) => size.context * width.next_multiple_of(PANEL),
        Values::OfKeys(_) => 0,
    }
}

/// How tokens are attended for.
#[derive(Clone, Copy)]
pub(crate) struct How<'a> {
    /// What logits are multiplied by; and vectors, where distances count.
    pub(crate) scale: f32,
    pub(crate) window: Option<usize>,
    /// The space of each head of queries, where distances count.
    pub(crate) spaces: Option<&'a [Space]>,
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
    [query, key]: [Tensor<Flex, 3>; 2],
    value: Option<Tensor<Flex, 3>>,
    cache: &mut Cache,
    feeds: &[Feed],
    how: &How<'_>,
) -> Tensor<Flex, 3> {
    let [rows, heads, width] = query.dims();
    let (query, key, value) = (Floats::of(query), Floats::of(key), value.map(Floats::of));
    cache.put(feeds, key.get(), value.as_ref().map(Floats::get));
    let (query, cache) = (query.get(), &*cache);
    let (blocks, kv_heads) = (blocks(feeds), cache.size.heads);
    let group = heads / kv_heads;
    let attended = each(blocks.len() * kv_heads, |at| {
        let (block, kv_head) = (&blocks[at / kv_heads], at % kv_heads);
        let first_head = kv_head * group;
        let query = |head: usize| &query[(block.row * heads + first_head + head) * width..];
        let sight = Sight { cache, kv_head, block, how };
        match block.places.len() {
            // One token: the heads that share keys are rows side by side.
            1 => sight.attend((query(0), width), group, |row| (block.places.start, first_head + row)),
            count => {
                let head = |head| {
                    let row = |row| (block.places.start + row, first_head + head);
                    sight.attend((query(head), heads * width), count, row)
                };
                (0..group).flat_map(head).collect()
            }
        }
    });
    let width = cache.size.values.width();
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
    how: &'a How<'a>,
}

impl Sight<'_> {
    /// The first place that one sees.
    fn first(&self, place: usize) -> usize {
        self.how.window.map_or(0, |window| (place + 1).saturating_sub(window))
    }

    /// `count` rows of queries, which begin so far from each other, each at a place of its own and of a head.
    ///
    /// What no query sees counts for nothing, and each sum is one chain along what is seen: so a token is attended for to the same
    /// bits, whatever comes with it.
    fn attend(
        &self,
        (query, stride): (&[f32], usize),
        count: usize,
        row_is: impl Fn(usize) -> (usize, usize),
    ) -> Vec<f32> {
        let size @ CacheSize { width, context, .. } = self.cache.size;
        let [keys, values] = self.cache.head(self.block.feed.slot, self.kv_head);
        let (keys, values) = (&self.cache.keys.words()[keys], &self.cache.values.words()[values]);
        // From the beginning of a panel to the end of one.
        let panels = self.first(self.block.places.start) / PANEL..self.block.places.end.div_ceil(PANEL);
        let (from, wide, rows) = (panels.start * PANEL, panels.len() * PANEL, numbers_of_key(&size));
        let instructions = Instructions::at_hand();
        let mut shares = to_fill(count * wide);
        let way = Singles { panels: keys, step: rows * PANEL, depth: width, x: query, stride };
        products(instructions, way, panels.clone(), count, |panel, row, logits| {
            shares[row * wide + panel * PANEL - from..][..PANEL].copy_from_slice(logits);
        });
        let keys: &[f32] = bytemuck::cast_slice(keys);
        for (row, shares) in shares.chunks_exact_mut(wide).enumerate() {
            let (place, head) = row_is(row);
            let (before, rest) = shares.split_at_mut(self.first(place) - from);
            let (visible, behind) = rest.split_at_mut(place + 1 - self.first(place));
            before.fill(0.0);
            behind.fill(0.0);
            match self.how.spaces {
                None => soften(visible, self.how.scale),
                Some(spaces) => {
                    let length = |at: usize| {
                        let place = self.first(place) + at;
                        keys[(place / PANEL * rows + width) * PANEL + place % PANEL]
                    };
                    let query = &query[row * stride..][..width];
                    by_distance(visible, query, length, spaces[head], self.how.scale);
                    soften(visible, 1.0);
                }
            }
        }
        let depth = self.block.places.end - from;
        let mut out = vec![0.0; count * size.values.width()];
        match size.values {
            Values::Own(width) => {
                let (panels, step) = (&values[from * PANEL..], context * PANEL);
                let way = Singles { panels, step, depth, x: &shares, stride: wide };
                products(instructions, way, 0..width.div_ceil(PANEL), count, |panel, row, sums| {
                    let out = &mut out[row * width..][..width][panel * PANEL..];
                    let len = out.len().min(PANEL);
                    out[..len].copy_from_slice(&sums[..len]);
                });
            }
            Values::OfKeys(width) => {
                let rows = out.chunks_exact_mut(width).zip(shares.chunks_exact(wide));
                rows.for_each(|(out, shares)| {
                    shared_out(&keys[from * size.width..], size.width, shares, out)
                });
            }
        }
        give_back(shares);
        out
    }
}

wide! {
    /// Logits, once they are scaled, become shares.
    fn soften(logits: &mut [f32], scale: f32) {
        logits.iter_mut().for_each(|x| *x *= scale);
        let most = largest(logits);
        logits.iter_mut().for_each(|x| *x = exp(*x - most));
        let times = 1.0 / sum_of(logits, logits, |x, _| x);
        logits.iter_mut().for_each(|x| *x *= times);
    }
}

wide! {
    /// What shares in places come to, of the first numbers of their keys, which stand in panels of so many rows.
    fn shared_out(keys: &[f32], rows: usize, shares: &[f32], out: &mut [f32]) {
        for (panel, shares) in keys.chunks_exact(rows * PANEL).zip(shares.chunks_exact(PANEL)) {
            for (out, numbers) in out.iter_mut().zip(panel.chunks_exact(PANEL)) {
                *out += sum_of(numbers, shares, |a, b| a * b);
            }
        }
    }
}
