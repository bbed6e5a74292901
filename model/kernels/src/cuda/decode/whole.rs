//! A step as one kernel: a list of what is to be done, one task after the other. Its blocks wait for each other between two of them,
//! and weights are read meanwhile.
use super::CHUNK;
use super::attention::{Attention, SHARE, TOGETHER};
use super::device::{Arg, Device};
use super::matrix::{Given, NEAR, TILE, WARPS, Way, pieces_near};
use super::memory::Memory;
use crate::decode::{DeviceResult, Kept, Step};

/// Threads of a block: warps that multiply, one that meets the other blocks, and one that has weights brought.
const THREADS: u32 = 32 * (WARPS as u32 + 2);
/// Bytes of what counts blocks, before what tasks hand over; and how many of these there are, by turns.
pub(super) const COUNTER: usize = 128;
pub(super) const HANDS: usize = 3;
/// What a block must have room for besides what lies near: what its warps have in common, and some stages of weights.
const LEAST: usize = (13 << 10) + 3 * (17 << 10);
/// Rows of a step that lie near, and keys that they look at with all heads that share them. Each head looks by itself.
const ROWS: usize = 8;
const FAR: usize = 1 << 14;

/// What a kernel for a whole step does, in the order of `Task` in `whole.cu`.
#[repr(C, u32)]
#[derive(Clone, Copy)]
#[expect(dead_code, reason = "the GPU reads them")]
pub(super) enum Task {
    Product(Given),
    LookUp(Given),
    Attend(Attention),
}

/// What is brought for a product, as `bring.cu` has it; or, where it has no chunks, the number of a task that attends, for which keys and
/// values are.
#[repr(C)]
#[derive(Clone, Copy)]
struct Weights {
    numbers: u64,
    scales: u64,
    chunks: i32,
    tiles: i32,
    first: i32,
}

/// The tasks of a step so far.
pub(super) struct Whole {
    tasks: Vec<Task>,
    weights: Vec<Weights>,
    /// Blocks: as many as there are processors, one for each.
    pub(super) blocks: usize,
    /// The block that has the first tile of the next product.
    next: usize,
    /// Whether this step is one kernel, as far as it can be.
    takes: bool,
    /// Bytes that attention has near.
    attending: usize,
    /// Of each row the largest number so far, and how many blocks have said theirs.
    best: Memory,
    /// Lists that are being gone through.
    lists: Vec<Memory>,
}

/// The bytes of a block's memory, where that is enough for a step as one kernel, and 0 where it is not.
pub(super) fn shared(kept: Kept, head_width: usize, there: usize) -> usize {
    let near = (16 * NEAR).max(attending(head_width));
    if kept != Kept::F32 && there >= near + LEAST { there } else { 0 }
}

/// Bytes that attention has near, at most.
fn attending(head_width: usize) -> usize {
    TOGETHER * WARPS * (8 + 4 * head_width.next_multiple_of(SHARE)) + 16
}

impl Whole {
    pub(super) fn new(device: &Device, shared: usize, head_width: usize) -> DeviceResult<Self> {
        device.allow("whole_step", shared)?;
        Ok(Self {
            tasks: Vec::new(),
            weights: Vec::new(),
            blocks: device.processors,
            next: 0,
            takes: false,
            attending: attending(head_width),
            best: device.zeros(16 * ROWS)?,
            lists: Vec::new(),
        })
    }

    /// Forgets what was asked for and what is done, and looks at what comes: few rows, each the only one of its text, that do not look
    /// too far.
    pub(super) fn begin(&mut self, step: &Step<'_>, reach: usize, group: usize) {
        self.tasks.clear();
        self.weights.clear();
        self.lists.clear();
        self.next = 0;
        let alone = step.feeds.iter().all(|feed| feed.tokens == 1);
        self.takes = alone && step.ids.len() <= ROWS && reach * group <= FAR;
    }

    /// Whether this step is one kernel, as far as it can be.
    pub(super) fn takes(&self) -> bool {
        self.takes
    }

    pub(super) fn add(&mut self, task: Task) {
        if let Task::Attend(_) = task {
            let first = self.tasks.len() as i32;
            self.weights.push(Weights { numbers: 0, scales: 0, chunks: 0, tiles: 0, first });
        }
        self.tasks.push(task);
    }

    /// A product of so many tiles. It begins where the one before it ended, so that all blocks have as much to do.
    pub(super) fn multiply(&mut self, given: Given, tiles: usize) {
        let (Given { weight: numbers, scales, chunks, .. }, first) = (given, self.next as i32);
        self.weights.push(Weights { numbers, scales, chunks, tiles: tiles as i32, first });
        self.tasks.push(Task::Product(Given { first, ..given }));
        self.next = (self.next + tiles) % self.blocks;
    }

    /// Whether the last product is the one that is written there: then the number of the largest of each of its rows' first `among`
    /// numbers is written to `out` in its place.
    pub(super) fn likeliest(&mut self, written: u64, out: u64, among: usize) -> bool {
        let (Some(Task::Product(given)), Some(weights)) = (self.tasks.last_mut(), self.weights.last_mut())
        else {
            return false;
        };
        if given.out != written {
            return false;
        }
        let wide = among.min(given.wide as usize);
        *given = Given { out, wide: wide as i32, way: Way::Best as i32, ready: self.best.at(), ..*given };
        weights.tiles = wide.div_ceil(TILE) as i32;
        true
    }

    /// Starts what was asked for.
    pub(super) fn start(&mut self, device: &Device) -> DeviceResult<()> {
        if self.tasks.is_empty() {
            return Ok(());
        }
        let mut list = |memory: Memory| {
            let at = memory.at();
            self.lists.push(memory);
            Arg::At(at)
        };
        let tasks = list(device.kept(&self.tasks)?);
        let weights = list(device.kept(&self.weights)?);
        let near = |task: &Task| match task {
            Task::Product(given) => 16 * pieces_near(given.rows as usize, given.chunks as usize * CHUNK),
            Task::LookUp(_) => 0,
            Task::Attend(_) => self.attending,
        };
        let desk = self.tasks.iter().map(near).max().unwrap_or(0).next_multiple_of(128);
        // What a task reads may be handed over to it.
        let read = |task: &Task| match task {
            Task::Product(given) => {
                given.rows * given.chunks * CHUNK as i32 * if given.norm == 0 { 2 } else { 4 }
            }
            Task::LookUp(_) => 0,
            Task::Attend(given) => given.read(),
        };
        let pieces = self.tasks.iter().map(read).max().map_or(0, |bytes| (bytes as usize).div_ceil(16));
        let met = list(device.kept(&vec![0_u8; COUNTER + HANDS * 16 * pieces])?);
        let counts = [self.tasks.len(), self.weights.len(), desk, pieces].map(Arg::Int);
        let args = [&[tasks, weights, met][..], &counts].concat();
        device.launch_together("whole_step", self.blocks, THREADS, &args)?;
        self.tasks.clear();
        self.weights.clear();
        Ok(())
    }

    /// The lists of what was started, for whoever starts it again.
    pub(super) fn take_lists(&mut self) -> Vec<Memory> {
        std::mem::take(&mut self.lists)
    }
}
