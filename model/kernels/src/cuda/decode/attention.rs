//! Keys and values on a GPU, and attention to them.
use super::device::Device;
use super::matrix::WARPS;
use super::memory::Memory;
use super::whole::Task;
use super::wide::{self, Turned};
use super::{BUSY, CHUNK, Gpu, Rows, Vector};
use crate::decode::{CacheSize, DeviceResult, Heads, Step, Values};

/// Lanes that share a key among them; a head takes a multiple of it.
pub(super) const SHARE: usize = 8;
/// Heads of queries that a block looks at.
pub(super) const TOGETHER: usize = 4;
/// Keys that are worth a block's while, and where a step is one kernel.
const WORTH: usize = 256;
const WORTH_OF_WHOLE: usize = 512;

/// The keys and values of one block of the model, `[slots, heads, context, width]`.
pub struct Cache {
    pub(super) keys: Memory,
    pub(super) values: Memory,
    pub(super) size: CacheSize,
}

impl Cache {
    pub(super) fn new(device: &Device, size: CacheSize, number: usize) -> DeviceResult<Self> {
        device.bind()?;
        let tokens = size.slots * size.context * size.heads;
        let [keys, values] = strides(size).map(|stride| device.memory(tokens * stride * number));
        Ok(Self { keys: keys?, values: values?, size })
    }

    /// How far the keys of tokens are apart, and their values.
    pub(super) fn strides(&self) -> [usize; 2] {
        strides(self.size)
    }
}

fn strides(size: CacheSize) -> [usize; 2] {
    let own = match size.values {
        Values::Own(width) => width,
        Values::OfKeys(_) => 0,
    };
    [size.width, own].map(|width| width.next_multiple_of(SHARE))
}

/// What `attention.cu` is given, in its order.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Attention {
    all: u64,
    slots: u64,
    places: u64,
    cosines: u64,
    sines: u64,
    norms: [u64; 2],
    queries: u64,
    keys: u64,
    values: u64,
    out: u64,
    parts: u64,
    ready: u64,
    rows: i32,
    heads: i32,
    kept: i32,
    stride: i32,
    context: i32,
    window: i32,
    splits: i32,
    wide: i32,
    epsilon: f32,
}

impl Attention {
    /// Bytes of queries, keys and values that are read.
    pub(super) fn read(&self) -> i32 {
        self.rows * self.stride * 4
    }
}

pub(super) fn attend(
    gpu: &mut Gpu,
    step: &Step<'_>,
    all: Rows,
    heads: &Heads<'_, Vector>,
    cache: &mut Cache,
) -> DeviceResult<Rows> {
    let rows = step.ids.len();
    let Heads { queries, keys, width, norms, epsilon, window, spaces } = *heads;
    let context = cache.size.context;
    let window = window.filter(|window| *window < context);
    let reach = window.map_or(gpu.steps.reach(), |window| window.min(gpu.steps.reach()));
    // Blocks for each token, and how many of them keep a GPU busy.
    let (sets, splits) = match gpu.list() {
        Some(whole) => (queries, (whole.blocks / (rows * queries)).min(reach.div_ceil(WORTH_OF_WHOLE))),
        None => {
            let sets = keys * (queries / keys).div_ceil(TOGETHER);
            (sets, BUSY.div_ceil(rows * sets).min(reach.div_ceil(WORTH)))
        }
    };
    let splits = splits.max(1);
    let parts = gpu.device.scratch(if splits > 1 { rows * queries * splits * (width + 2) * 4 } else { 4 })?;
    let ready = if splits > 1 { gpu.counters(rows * queries)? } else { 0 };
    // Tokens that see each other's keys need them all before anyone looks.
    let alone = spaces.is_none() && step.feeds.iter().all(|feed| feed.tokens == 1);
    let turned = if alone { None } else { Some(gpu.device.scratch(rows * queries * width * 4)?) };
    let out = gpu.rows(rows, (queries * width).next_multiple_of(CHUNK), gpu.number())?;
    let [cosines, sines] = gpu.angles_of(width);
    let given = Attention {
        all: all.scratch.at(),
        slots: gpu.steps.slots(),
        places: gpu.steps.places(),
        cosines,
        sines,
        norms: norms.map(|norm| norm.map_or(0, |norm| norm.memory.at())),
        queries: turned.as_ref().map_or(0, |turned| turned.at()),
        keys: cache.keys.at(),
        values: cache.values.at(),
        out: out.scratch.at(),
        parts: parts.at(),
        ready,
        rows: rows as i32,
        heads: queries as i32,
        kept: keys as i32,
        stride: all.stride as i32,
        context: context as i32,
        window: window.unwrap_or(0) as i32,
        splits: splits as i32,
        wide: out.stride as i32,
        epsilon: epsilon as f32,
    };
    match gpu.list() {
        Some(whole) => whole.add(Task::Attend(given)),
        None => {
            if !alone {
                let warps = rows * (queries + 2 * keys);
                gpu.launch_one("keep_heads", [warps.div_ceil(WARPS), 1, 1], given)?;
            }
            if let (Some(_), Some(queries_there)) = (spaces, &turned) {
                // What keeping heads multiplies queries by.
                let scale = 1.0 / (width as f64).sqrt();
                let times = scale * std::f64::consts::LOG2_E;
                let turned = Turned { queries: queries_there, heads: queries, times, scale, spaces, window };
                return wide::attend(gpu, step, &turned, cache);
            }
            gpu.launch_one("attend", [rows, sets, splits], given)?;
        }
    }
    Ok(out)
}
