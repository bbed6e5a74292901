//! Weights on a GPU, laid out as its tensor cores read them, and products with them.
use super::device::{Arg, Device};
use super::memory::Memory;
use super::{BUSY, CHUNK, Gpu, Rows};
use crate::cpu::to_three_values;
use crate::decode::{DeviceResult, Kept};
use crate::parts::{PORTION, Part, Parts, ThreeValues};
use std::borrow::Cow;

/// Rows of a weight that are multiplied at once; of a pair half of them are gates.
pub(super) const TILE: usize = 16;
/// Rows that tensor cores multiply at once.
const EIGHT: usize = 8;
/// Tiles of a block, where rows are many.
const TOGETHER: usize = 4;
/// Warps of a block.
pub(super) const WARPS: usize = 8;
/// Chunks of a row that are worth a block's while, and blocks that share a row at most.
const LEAST: usize = 8;
const MOST_SPLITS: usize = 8;
/// Pieces of eight numbers that lie near, and how many more a row has there than it needs, so that rows lie in other banks.
pub(super) const NEAR: usize = 38 * 64;
pub(super) const APART: usize = 4;

/// A matrix `[out, in]`. Where rows and numbers of its layout are more than it has, they are zeros.
pub struct Matrix {
    numbers: Memory,
    scales: Option<Memory>,
    kept: Kept,
    /// What it gives: rows, or pairs of them. Of pairs as many as are multiplied of what comes out.
    pub(super) rows: usize,
    pub(super) width: usize,
    /// Whether it is kept in f32, whatever others are.
    pub(super) exact: bool,
    /// How many parts of what it is multiplied by are rounded each by itself, and how wide they are, where its weights have three values.
    pub(super) rounds: Option<[usize; 2]>,
}

/// What becomes of products.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// They stand where nothing was.
    Store = 0,
    /// They are added to what is there.
    Add = 1,
    /// The two of a pair become one.
    Gate = 2,
    /// The number of the largest of each row is all that is wanted, where a step is one kernel.
    Best = 3,
    /// They stand where nothing was, as what is multiplied, with zeros behind them.
    Inner = 4,
}

impl Matrix {
    /// A matrix of parts, one below the other.
    pub(super) fn new<P: Part>(device: &Device, kept: Kept, parts: &Parts<'_, P>) -> Result<Self, P::Error> {
        if parts.exact {
            return Self::exact(device, parts);
        }
        let matrix = Self::empty(device, kept, parts.rows(), parts, false)?;
        let mut first = 0;
        acting(parts, |_, _, numbers| {
            matrix.keep(device, numbers, first, 0)?;
            first += numbers.len() / matrix.width;
            Ok(())
        })?;
        Ok(matrix)
    }

    /// A matrix in f32, row by row.
    fn exact<P: Part>(device: &Device, parts: &Parts<'_, P>) -> Result<Self, P::Error> {
        let mut all = Vec::with_capacity(parts.rows() * parts.width);
        parts.by_portions(PORTION, |_, _, numbers| {
            all.extend_from_slice(numbers);
            Ok(())
        })?;
        let (numbers, rows, width) = (device.kept(&all)?, parts.rows(), parts.width);
        Ok(Self { numbers, scales: None, kept: Kept::F32, rows, width, exact: true, rounds: None })
    }

    /// The two matrices of a gated layer.
    pub(super) fn pair<P: Part>(device: &Device, kept: Kept, parts: &Parts<'_, P>) -> Result<Self, P::Error> {
        let rows = parts.parts.iter().map(Part::rows).max().unwrap_or(0);
        let matrix = Self::empty(device, kept, rows.next_multiple_of(CHUNK), parts, true)?;
        acting(parts, |at, first, numbers| Ok(matrix.keep(device, numbers, first, at + 1)?))?;
        Ok(matrix)
    }

    fn empty<P>(
        device: &Device,
        kept: Kept,
        rows: usize,
        parts: &Parts<'_, P>,
        pair: bool,
    ) -> DeviceResult<Self> {
        device.bind()?;
        let width = multiplied_by(parts);
        let rounds = parts.ternary.then(|| [width / parts.width, parts.width]);
        let (all, chunks) = (if pair { 2 * rows } else { rows }, width.div_ceil(CHUNK));
        // As many as a row that is multiplied has numbers, which is a multiple of a tile.
        let (tiled, numbers) = (all.next_multiple_of(CHUNK), chunks * CHUNK);
        let bytes = match kept {
            Kept::F32 => tiled * numbers * 4,
            Kept::Bf16 => tiled * numbers * 2,
            Kept::Int8 => tiled * numbers,
        };
        let scales = if kept == Kept::Int8 { Some(device.zeros(tiled * chunks * 2)?) } else { None };
        Ok(Self { numbers: device.zeros(bytes)?, scales, kept, rows, width, exact: false, rounds })
    }

    /// Brings rows to their places.
    fn keep(&self, device: &Device, part: &[f32], first: usize, way: usize) -> DeviceResult<()> {
        let rows = part.len() / self.width;
        let scratch = device.memory(size_of_val(part))?;
        device.copy_in(scratch.at(), part)?;
        let args = [
            Arg::At(scratch.at()),
            Arg::At(self.numbers()),
            Arg::At(self.numbers()),
            Arg::At(self.scales()),
            Arg::Int(rows),
            Arg::Int(self.width),
            Arg::Int(self.chunks()),
            Arg::Int(first),
            Arg::Int(way),
        ];
        device.launch_after(
            "keep",
            [(rows * self.chunks()).div_ceil(WARPS), 1, 1],
            32 * WARPS as u32,
            &args,
        )?;
        // What was uploaded goes when all is done.
        device.wait()
    }

    pub(super) fn numbers(&self) -> u64 {
        self.numbers.at()
    }

    pub(super) fn scales(&self) -> u64 {
        self.scales.as_ref().map_or(0, Memory::at)
    }

    /// Chunks of a row.
    pub(super) fn chunks(&self) -> usize {
        self.width.div_ceil(CHUNK)
    }

    /// How wide rows are that stand as it does.
    pub(super) fn stride(&self) -> usize {
        self.chunks() * CHUNK
    }

    /// Rows times its own, which goes to where `out` is.
    pub(super) fn product(&self, gpu: &mut Gpu, x: &Rows, out: &Rows, way: Way) -> DeviceResult<()> {
        debug_assert_eq!(x.stride, self.stride(), "x has other rows than the weight");
        let wide = match way {
            Way::Gate => 2 * self.rows,
            Way::Inner => self.rows.next_multiple_of(CHUNK),
            Way::Store | Way::Add | Way::Best => self.rows,
        };
        let (tile, eights) = if self.kept == Kept::F32 { (2 * WARPS, 1) } else { (TILE, EIGHT) };
        let near = lies_near(self.kept, x);
        let (name, count) = match x.count.div_ceil(eights) {
            0..=1 if x.norm.is_some() => ("near_product_norm", 1),
            0..=1 if near => ("near_product", 1),
            0..=1 => ("product_1", 1),
            2 => ("product_2", 2),
            3..=4 => ("product_4", 4),
            _ => ("product_8", 8),
        };
        let (tiles, down) = (wide.div_ceil(tile), x.count.div_ceil(count * eights));
        // Where rows are many, a block has more tiles, which read them together, and several blocks share the numbers of a row.
        let shares = self.kept != Kept::F32 && count > 1;
        let across = if shares {
            tiles.div_ceil(TOGETHER)
        } else if near && self.kept != Kept::F32 {
            tiles.min(BUSY)
        } else {
            tiles
        };
        let most = (self.chunks() / LEAST).clamp(1, MOST_SPLITS);
        let splits = if shares { (BUSY / (across * down)).clamp(1, most) } else { 1 };
        let sums = across * down * splits * TOGETHER * count * 32;
        let parts = if splits > 1 { Some(gpu.device.scratch(sums * 16)?) } else { None };
        let ready = if splits > 1 { gpu.counters(across * down)? } else { 0 };
        let (norm, epsilon) = x.norm.unwrap_or((0, 0.0));
        let given = Given {
            weight: self.numbers(),
            scales: self.scales(),
            x: x.scratch.at(),
            norm,
            out: out.scratch.at(),
            parts: parts.as_ref().map_or(0, |parts| parts.at()),
            ready,
            rows: x.count as i32,
            width: self.width as i32,
            wide: wide as i32,
            chunks: self.chunks() as i32,
            stride: out.stride as i32,
            way: way as i32,
            epsilon: epsilon as f32,
            first: 0,
        };
        match gpu.list() {
            Some(whole) if near => {
                whole.multiply(given, tiles);
                Ok(())
            }
            _ => gpu.launch_one(name, [across, down, splits], given),
        }
    }
}

/// How many numbers a row has that parts are multiplied by.
fn multiplied_by<P>(parts: &Parts<'_, P>) -> usize {
    if parts.apart { parts.width * parts.parts.len() } else { parts.width }
}

/// All rows as they act, in portions: `take` is told the part, the first row, and numbers.
fn acting<P: Part>(
    parts: &Parts<'_, P>,
    mut take: impl FnMut(usize, usize, &[f32]) -> Result<(), P::Error>,
) -> Result<(), P::Error> {
    let mut put = |at, first, numbers: &[f32]| take(at, first, &among(parts, at, numbers));
    if !parts.ternary {
        return parts.by_portions(PORTION, put);
    }
    for (at, part) in parts.parts.iter().enumerate() {
        match parts.three_values(part)? {
            ThreeValues::Stored(two_bits) => put(at, 0, &two_bits.numbers())?,
            ThreeValues::Rounded(numbers) => {
                let mut acting = vec![0.0; numbers.len()];
                to_three_values(&numbers, &mut acting);
                put(at, 0, &acting)?;
            }
        }
    }
    Ok(())
}

/// Rows of a part, where parts are multiplied by numbers of their own with zeros for those of the others.
fn among<'n, P>(parts: &Parts<'_, P>, at: usize, rows: &'n [f32]) -> Cow<'n, [f32]> {
    if !parts.apart {
        return Cow::Borrowed(rows);
    }
    let mut wide = vec![0.0; rows.len() * parts.parts.len()];
    let places = wide.chunks_exact_mut(multiplied_by(parts)).zip(rows.chunks_exact(parts.width));
    places.for_each(|(wide, own)| wide[at * parts.width..][..parts.width].copy_from_slice(own));
    Cow::Owned(wide)
}

/// Whether rows are so few, and so short, that all of them lie near while they are multiplied.
pub(super) fn lies_near(kept: Kept, x: &Rows) -> bool {
    if kept == Kept::F32 { x.count == 1 } else { x.count <= EIGHT && pieces_near(x.count, x.stride) <= NEAR }
}

/// Pieces of eight numbers that so many rows are near.
pub(super) fn pieces_near(rows: usize, stride: usize) -> usize {
    rows * (stride / 8 + APART)
}

/// What `product.cu` is given, in its order.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Given {
    pub(super) weight: u64,
    pub(super) scales: u64,
    pub(super) x: u64,
    pub(super) norm: u64,
    pub(super) out: u64,
    pub(super) parts: u64,
    pub(super) ready: u64,
    pub(super) rows: i32,
    pub(super) width: i32,
    pub(super) wide: i32,
    pub(super) chunks: i32,
    pub(super) stride: i32,
    pub(super) way: i32,
    pub(super) epsilon: f32,
    /// The block that has the first tile, where a step is one kernel.
    pub(super) first: i32,
}
