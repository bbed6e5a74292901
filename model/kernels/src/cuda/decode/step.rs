//! A step on a GPU: what it is given, what it gives, and the graphs of steps that have come before.
use super::device::{Device, failed};
use super::memory::{Memory, Pinned};
use super::whole::Whole;
use super::{Gpu, Rows};
use crate::decode::{DeviceResult, Step};
use cudarc::driver::{CudaGraph, sys};
use std::collections::HashMap;

/// Tokens that there is room for at first.
const ROWS: usize = 64;

/// What steps need besides the model.
pub(super) struct Steps {
    /// Of each token its number, slot and place, and the rows that are wanted: each as many as there is room for.
    given: Pinned<i32>,
    there: Memory,
    room: usize,
    /// Logits, on the host.
    logits: Pinned<f32>,
    /// How far the longest text of the step reaches, as a power of two.
    reach: usize,
    /// Counters in zeros, and how many.
    counters: Option<(Memory, usize)>,
    graphs: HashMap<Shape, Known>,
    /// Whether something runs that nobody waited for.
    runs: bool,
    /// Whether something is asked for in the midst of a step, so that none can be recorded.
    pub(super) asked: bool,
}

/// What decides about everything that a step of one token for each text does.
type Shape = (usize, usize, usize);

/// A step that is started as a whole.
struct Recorded {
    graph: CudaGraph,
    /// How many numbers it gives.
    count: usize,
    /// The lists that its kernels go through.
    _lists: Vec<Memory>,
}

/// A shape that has come before.
enum Known {
    Once,
    Recorded(Recorded),
}

impl Steps {
    pub(super) fn new(device: &Device) -> DeviceResult<Self> {
        let (given, there) = given(device, ROWS)?;
        Ok(Self {
            given,
            there,
            room: ROWS,
            logits: device.pinned(1)?,
            reach: 1,
            counters: None,
            graphs: HashMap::new(),
            runs: false,
            asked: false,
        })
    }

    pub(super) fn ids(&self) -> u64 {
        self.there.at()
    }

    pub(super) fn slots(&self) -> u64 {
        self.there.at() + 4 * self.room as u64
    }

    pub(super) fn places(&self) -> u64 {
        self.there.at() + 8 * self.room as u64
    }

    pub(super) fn wanted(&self) -> u64 {
        self.there.at() + 12 * self.room as u64
    }

    /// How far the longest text of the step reaches, at most.
    pub(super) fn reach(&self) -> usize {
        self.reach
    }

    /// Whether there are so many counters.
    pub(super) fn counts(&self, count: usize) -> bool {
        self.counters.as_ref().is_some_and(|(_, room)| *room >= count)
    }

    /// Counters in zeros; whoever counts leaves zeros behind.
    pub(super) fn counters(&mut self, device: &Device, count: usize) -> DeviceResult<u64> {
        if !self.counts(count) {
            self.graphs.clear();
            self.counters = Some((device.zeros(4 * count)?, count));
        }
        Ok(self.counters.as_ref().map_or(0, |(memory, _)| memory.at()))
    }

    /// Writes down what a step is given.
    fn write(&mut self, device: &Device, step: &Step<'_>) -> DeviceResult<()> {
        let rows = step.ids.len();
        if rows > self.room {
            self.graphs.clear();
            let room = rows.next_power_of_two();
            (self.given, self.there) = given(device, room)?;
            self.room = room;
        }
        let tokens = || {
            step.feeds
                .iter()
                .flat_map(|feed| (feed.held..feed.held + feed.tokens).map(|place| (feed.slot, place)))
        };
        let all = self.given.all_mut();
        let mut put = |part: usize, numbers: &mut dyn Iterator<Item = usize>| {
            all[part * self.room..].iter_mut().zip(numbers).for_each(|(to, number)| *to = number as i32);
        };
        put(0, &mut step.ids.iter().map(|id| *id as usize));
        put(1, &mut tokens().map(|(slot, _)| slot));
        put(2, &mut tokens().map(|(_, place)| place));
        put(3, &mut step.wanted.iter().map(|row| *row as usize));
        self.reach = tokens().map(|(_, place)| place + 1).max().unwrap_or(1).next_power_of_two();
        Ok(())
    }
}

fn given(device: &Device, room: usize) -> DeviceResult<(Pinned<i32>, Memory)> {
    Ok((device.pinned(4 * room)?, device.memory(16 * room)?))
}

/// What becomes of the tokens of a step.
type Body<'a> = dyn FnMut(&mut Gpu) -> DeviceResult<Option<Rows>> + 'a;

pub(super) fn run(
    gpu: &mut Gpu,
    step: &Step<'_>,
    kind: usize,
    body: &mut Body<'_>,
) -> DeviceResult<Vec<f32>> {
    gpu.device.bind()?;
    if gpu.steps.runs {
        gpu.device.wait()?;
        gpu.steps.runs = false;
    }
    gpu.steps.write(&gpu.device, step)?;
    if let Some(whole) = &mut gpu.whole {
        whole.begin(step, gpu.steps.reach, gpu.group);
    }
    // Whatever becomes of it, something may be under way.
    gpu.steps.runs = true;
    let rows = step.ids.len();
    let usual =
        !gpu.steps.asked && step.wanted.len() == rows && step.feeds.iter().all(|feed| feed.tokens == 1);
    let shape = (rows, gpu.steps.reach, kind);
    let count = match gpu.steps.graphs.get(&shape) {
        Some(Known::Recorded(step)) if usual => {
            step.graph.launch().map_err(failed("a step"))?;
            step.count
        }
        Some(Known::Once) if usual => {
            let step = recorded(gpu, body)?;
            step.graph.launch().map_err(failed("a step"))?;
            let count = step.count;
            gpu.steps.graphs.insert(shape, Known::Recorded(step));
            count
        }
        _ => {
            let count = once(gpu, body)?;
            if usual {
                gpu.steps.graphs.insert(shape, Known::Once);
            }
            count
        }
    };
    if count == 0 {
        return Ok(Vec::new());
    }
    gpu.device.wait()?;
    gpu.steps.runs = false;
    Ok(gpu.steps.logits.all()[..count].to_vec())
}

/// Brings what is given to the GPU, does all, and brings what comes of it back. Gives how many numbers that are.
fn once(gpu: &mut Gpu, body: &mut Body<'_>) -> DeviceResult<usize> {
    gpu.device.copy_in(gpu.steps.there.at(), gpu.steps.given.all())?;
    let rows = body(gpu)?;
    gpu.start()?;
    let Some(rows) = rows else { return Ok(0) };
    let count = rows.count * rows.stride;
    if count > gpu.steps.logits.all().len() {
        gpu.steps.graphs.clear();
        gpu.steps.logits = gpu.device.pinned(count)?;
    }
    gpu.device.copy_out(&mut gpu.steps.logits, count, rows.scratch.at())?;
    Ok(count)
}

/// The same, recorded and not done.
fn recorded(gpu: &mut Gpu, body: &mut Body<'_>) -> DeviceResult<Recorded> {
    let stream = gpu.device.stream.clone();
    let begun = stream.begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED);
    begun.map_err(failed("recording a step"))?;
    let count = once(gpu, body);
    // It must end, whatever came of it.
    let graph = stream.end_capture(sys::CUgraphInstantiate_flags(0));
    let count = count?;
    let graph = graph.map_err(failed("recording a step"))?;
    let nothing =
        || failed("recording a step")(cudarc::driver::DriverError(sys::CUresult::CUDA_ERROR_UNKNOWN));
    let _lists = gpu.whole.as_mut().map_or_else(Vec::new, Whole::take_lists);
    graph.map(|graph| Recorded { graph, count, _lists }).ok_or_else(nothing)
}
