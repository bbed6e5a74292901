//! Heads that learn, and their way back, chunk by chunk: blocks that have a chunk each, and between them a few that go from chunk to chunk.
use super::kernel::{Kernel, Source, Words};
use super::narrow;
use super::tensor::Numbers;
use crate::ops::Learning;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;

macro_rules! source {
    ($file:literal) => {
        &[
            include_str!("source/numbers.cu"),
            include_str!("source/learn/tiles.cu"),
            include_str!("source/learn/chunk.cu"),
            include_str!(concat!("source/learn/", $file, ".cu")),
        ]
    };
}

const CHUNKS: Source = source!("chunks");
const STATES: Source = source!("states");
const ANSWERS: Source = source!("answers");
const BACK: Source = source!("back");

const THREADS: u32 = 256;
/// Tokens of a chunk, and the widest head.
const SIDE: usize = 64;
/// Numbers of a tile.
const TILE: usize = SIDE * SIDE;
/// Blocks that a head's matrix is shared among, and how many steps such a block has asked for what it needs.
const SHARES: usize = 4;
const STAGES: usize = 4;
/// Bytes that it has there: a tile and a share of one for each of these steps, and its own share four times.
const OF_STEPS: usize = 4 * (STAGES * (TILE + TILE / SHARES + 4) + 4 * TILE / SHARES);
/// Bytes of a tile.
const OF_TILE: usize = 4 * TILE;

/// Heads that learn, and where their numbers are.
struct Heads {
    rows: Numbers,
    begins: Numbers,
    batch: usize,
    tokens: usize,
    heads: usize,
    /// Rows of a token.
    all: usize,
    width: usize,
    rate: f64,
    dtype: DType,
}

/// What is known of all chunks, a tile each.
struct Chunks {
    own: Numbers,
    taken: Numbers,
    /// What each head has learned before each chunk, and what the loss asks of what it has learned behind it.
    found: Numbers,
    behind: Numbers,
}

impl Heads {
    /// None where no kernel does it.
    fn of(x: &Tensor<Cuda, 4>, learning: &Learning<Cuda>) -> Option<Self> {
        let ([batch, tokens, all, width], heads) = (x.dims(), learning.heads);
        let fits = matches!(x.dtype(), DType::F32 | DType::BF16)
            && super::capability(x.device().index)? >= (8, 0)
            && (all == heads || all == 3 * heads)
            && (4..=SIDE).contains(&width)
            && width.is_multiple_of(4)
            && batch * tokens * heads > 0
            && learning.begins.dims() == [batch, tokens]
            && learning.begins.dtype() == DType::I32;
        fits.then(|| Self {
            rows: Numbers::of(x.clone()),
            begins: Numbers::of_ints(learning.begins.clone()),
            batch,
            tokens,
            heads,
            all,
            width,
            rate: learning.rate,
            dtype: x.dtype(),
        })
    }

    fn chunks(&self) -> usize {
        self.tokens.div_ceil(SIDE)
    }

    /// Room for a tile of each chunk of each head.
    fn tiles(&self) -> Numbers {
        Numbers::room(&self.rows, [self.batch * self.heads * self.chunks() * TILE], DType::F32)
    }

    fn start(
        &self,
        entry: &'static str,
        (source, back, shared): (Source, bool, usize),
        blocks: [usize; 2],
        buffers: &[&Numbers],
    ) {
        let defines = vec![narrow(self.dtype), ("BACK", usize::from(back)), ("STAGES", STAGES)];
        let words = Words::default().int(self.tokens).int(self.chunks()).int(self.heads).int(self.all);
        let words = words.int(self.width).float(self.rate);
        let all = buffers.iter().map(|numbers| numbers.at()).collect();
        let kernel = Kernel::of(entry, source, defines, THREADS, shared);
        kernel.start(self.rows.client(), [blocks[0], blocks[1], 1], all, words);
    }

    /// What is known of all chunks; with the gradients of what was answered, also what the loss asks behind them.
    fn known(&self, grad: Option<&Numbers>) -> Chunks {
        let [own, taken, times, plus, found] = std::array::from_fn(|_| self.tiles());
        let back = grad.is_some();
        // Where there is no way back nobody writes or reads these.
        let [asked, behind] = std::array::from_fn(|_| if back { self.tiles() } else { self.rows.clone() });
        let blocks = self.batch * self.heads * self.chunks();
        let buffers =
            [&self.rows, &self.begins, grad.unwrap_or(&self.rows), &own, &taken, &times, &plus, &asked];
        self.start(
            "learn_chunks",
            (CHUNKS, back, if back { 6 * OF_TILE } else { 4 * OF_TILE }),
            [blocks, 1],
            &buffers,
        );
        let heads = [self.batch * self.heads * SHARES, 1 + usize::from(back)];
        let states = [&self.begins, &times, &plus, &asked, &found, &behind];
        self.start("learn_states", (STATES, back, OF_STEPS), heads, &states);
        Chunks { own, taken, found, behind }
    }
}

pub(crate) fn learn(x: &Tensor<Cuda, 4>, learning: &Learning<Cuda>) -> Option<Tensor<Cuda, 4>> {
    let heads = Heads::of(x, learning)?;
    let Chunks { own, taken, found, .. } = heads.known(None);
    let shape = [heads.batch, heads.tokens, heads.heads, heads.width];
    let answers = Numbers::room(&heads.rows, shape, heads.dtype);
    let buffers = [&heads.rows, &heads.begins, &own, &taken, &found, &answers];
    let blocks = heads.batch * heads.heads * heads.chunks();
    heads.start("learn_answers", (ANSWERS, false, 5 * OF_TILE), [blocks, 1], &buffers);
    Some(answers.tensor())
}

pub(crate) fn learn_back(
    x: &Tensor<Cuda, 4>,
    learning: &Learning<Cuda>,
    grad: &Tensor<Cuda, 4>,
) -> Option<Tensor<Cuda, 4>> {
    let heads = Heads::of(x, learning)?;
    if grad.dtype() != heads.dtype {
        return None;
    }
    let grad = Numbers::of(grad.clone());
    let Chunks { own, taken, found, behind } = heads.known(Some(&grad));
    let out = Numbers::room(&heads.rows, x.dims(), heads.dtype);
    let buffers = [&heads.rows, &heads.begins, &grad, &own, &taken, &found, &behind, &out];
    let blocks = heads.batch * heads.heads * heads.chunks();
    heads.start("learn_back", (BACK, false, 6 * OF_TILE), [blocks, 1], &buffers);
    Some(out.tensor())
}
