//! [`Decode`] on a GPU: kernels of our own for all that lies between a token and the logits of the next, on memory of our own.
//!
//! A token costs reading the weights once, which takes no longer than starting a hundred kernels. So a step whose shape has come
//! before is a graph that was recorded then, and started as a whole; and where texts are few and the GPU can do it, it is one kernel.
mod along;
mod attention;
mod compile;
mod device;
mod matrix;
mod memory;
mod picked;
mod source;
mod step;
mod whole;
mod wide;

use crate::decode::{
    CacheSize, Decode, DeviceError, DeviceResult, Heads, Kept, LatentRows, Latents, Links, Picked, Step,
    Values,
};
use crate::parts::{Part, Parts};
use attention::Cache;
use device::{Arg, Device};
use matrix::{Given, Matrix, WARPS, Way};
use memory::{Memory, Pinned, Scratch};
use std::rc::Rc;
use step::Steps;
use whole::{Task, Whole};

/// Rows of weights and of what is multiplied are as wide as so many numbers, or a multiple of it.
const CHUNK: usize = 32;
/// Blocks that keep a GPU busy.
const BUSY: usize = 264;
/// The widest head that the shared memory of a block has room for.
const WIDEST: usize = 376;

/// What a model is to a GPU before there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuModel {
    /// What its weights are kept as.
    pub kept: Kept,
    /// Numbers of a head.
    pub head_width: usize,
    /// Heads of queries that share one of keys.
    pub group: usize,
}

/// A GPU, as a device that a model is used on.
pub struct Gpu {
    device: Device,
    kept: Kept,
    /// Heads of queries that share one of keys.
    group: usize,
    /// Those of heads of several widths, which are told by their pairs.
    angles: Vec<(usize, [Vector; 2])>,
    steps: Steps,
    /// What a step does, where it is one kernel.
    whole: Option<Whole>,
    /// Whether all that is multiplied is made ready by kernels of its own: neither is a step one kernel then, nor is a norm left to a product.
    apart: bool,
    /// What was asked for in the midst of a step.
    read: Option<Pinned<f32>>,
}

/// Numbers that stay, with zeros behind them where rows are wider.
pub struct Vector {
    memory: Memory,
    len: usize,
}

/// Rows on a GPU: in f32, or as they are multiplied.
pub struct Rows {
    scratch: Rc<Scratch>,
    count: usize,
    /// Numbers from one row to the next.
    stride: usize,
    /// Whether they are in f32, as products give them.
    raw: bool,
    /// Whether only those rows are meant that are wanted.
    chosen: bool,
    /// A norm that is left to the product: where its weight lies, and what is added below the root.
    norm: Option<(u64, f64)>,
}

impl Gpu {
    /// The GPU of that number, of those that CUDA sees, ready for a model.
    pub fn new(index: usize, model: GpuModel) -> DeviceResult<Self> {
        let kept = match model.kept {
            Kept::F32 => 0,
            Kept::Bf16 => 1,
            Kept::Int8 => 2,
        };
        let GpuModel { head_width, group, .. } = model;
        if head_width > WIDEST {
            let message = format!("a head is {head_width} wide, and on a GPU {WIDEST} at most");
            return Err(DeviceError { message, help: Some("use the model with `--device cpu`".into()) });
        }
        let mut shared = 0;
        let device = Device::new(index, |there| {
            shared = whole::shared(model.kept, head_width, there);
            source::source(kept, head_width, group, shared)
        })?;
        let whole = if shared > 0 { Some(Whole::new(&device, shared, head_width)?) } else { None };
        let steps = Steps::new(&device)?;
        Ok(Self {
            device,
            kept: model.kept,
            group,
            angles: Vec::new(),
            steps,
            whole,
            apart: false,
            read: None,
        })
    }

    /// Bytes of a number that is multiplied.
    fn number(&self) -> usize {
        if self.kept == Kept::F32 { 4 } else { 2 }
    }

    fn rows(&self, count: usize, stride: usize, bytes: usize) -> DeviceResult<Rows> {
        let scratch = Rc::new(self.device.scratch(count * stride * bytes)?);
        Ok(Rows { scratch, count, stride, raw: bytes == 4, chosen: false, norm: None })
    }

    /// Starts a kernel behind all that was asked for before, which may still be a list.
    fn launch(&mut self, name: &'static str, blocks: usize, threads: u32, args: &[Arg]) -> DeviceResult<()> {
        self.start()?;
        self.device.launch(name, [blocks, 1, 1], threads, args)
    }

    /// The same for a kernel that is given one thing, which is laid out as the kernel has it.
    fn launch_one<T: Copy>(&mut self, name: &'static str, grid: [usize; 3], given: T) -> DeviceResult<()> {
        self.start()?;
        self.device.launch_one(name, grid, 32 * WARPS as u32, given)
    }

    /// The list that operations come to, where this step is one kernel.
    fn list(&mut self) -> Option<&mut Whole> {
        self.whole.as_mut().filter(|whole| whole.takes())
    }

    /// Starts what is still a list.
    fn start(&mut self) -> DeviceResult<()> {
        self.whole.as_mut().map_or(Ok(()), |whole| whole.start(&self.device))
    }

    /// From here on all that is multiplied is made ready by kernels of its own.
    fn goes_apart(&mut self) {
        (self.whole, self.apart) = (None, true);
    }

    /// The angles of heads that are so wide: where cosines lie, and sines.
    fn angles_of(&self, width: usize) -> [u64; 2] {
        let own = self.angles.iter().find(|(pairs, _)| 2 * pairs == width);
        own.expect("angles are given before the first step")
            .1
            .each_ref()
            .map(|of_places| of_places.memory.at())
    }

    /// Rows whose parts, so many and so wide, are rounded to codes of 8 bits.
    fn rounded(&mut self, x: &Rows, parts: usize, width: usize) -> DeviceResult<Rows> {
        let rows = self.rows(x.count, x.stride, self.number())?;
        let args = [
            Arg::At(x.scratch.at()),
            Arg::At(rows.scratch.at()),
            Arg::Int(width),
            Arg::Int(parts),
            Arg::Int(x.stride),
        ];
        self.launch("round_rows", x.count * parts, 256, &args)?;
        Ok(rows)
    }

    /// Rows as a matrix multiplies them, where that is not as they are.
    fn taken(&mut self, x: &Rows, weight: &Matrix) -> DeviceResult<Option<Rows>> {
        weight.rounds.map(|[parts, width]| self.rounded(x, parts, width)).transpose()
    }

    /// Rows times a matrix, which goes to where `out` is.
    fn multiply(&mut self, x: &Rows, weight: &Matrix, out: &Rows, way: Way) -> DeviceResult<()> {
        let taken = self.taken(x, weight)?;
        weight.product(self, taken.as_ref().unwrap_or(x), out, way)
    }

    /// Counters in zeros; whoever counts leaves zeros behind.
    fn counters(&mut self, count: usize) -> DeviceResult<u64> {
        // Those that are there go when there must be more, and may be meant by a list.
        if !self.steps.counts(count) {
            self.start()?;
        }
        self.steps.counters(&self.device, count)
    }
}

impl Decode for Gpu {
    type Matrix = Matrix;
    type Vector = Vector;
    type Rows = Rows;
    type Cache = Cache;
    type State = along::State;

    fn matrix<P: Part>(&mut self, parts: &Parts<'_, P>) -> Result<Matrix, P::Error> {
        if parts.ternary || parts.exact {
            self.goes_apart();
        }
        // Who goes by such products asks for them in the midst of a step.
        self.steps.asked |= parts.exact;
        Matrix::new(&self.device, self.kept, parts)
    }

    fn pair<P: Part>(&mut self, parts: &Parts<'_, P>) -> Result<Matrix, P::Error> {
        if parts.ternary {
            self.goes_apart();
        }
        Matrix::pair(&self.device, self.kept, parts)
    }

    fn vector(&mut self, numbers: &[f32]) -> DeviceResult<Vector> {
        self.device.bind()?;
        let memory = self.device.zeros(4 * numbers.len().next_multiple_of(CHUNK))?;
        self.device.copy_in(memory.at(), numbers)?;
        Ok(Vector { memory, len: numbers.len() })
    }

    fn angles(&mut self, cos: &[f32], sin: &[f32], pairs: usize) -> DeviceResult<()> {
        let both = [self.vector(cos)?, self.vector(sin)?];
        self.angles.push((pairs, both));
        Ok(())
    }

    fn cache(&mut self, size: CacheSize) -> DeviceResult<Cache> {
        if size.near || size.values != Values::Own(size.width) {
            for (what, width, most) in
                [("key", size.width, wide::WIDEST_KEY), ("value", size.values.width(), wide::WIDEST_VALUE)]
            {
                if width > most {
                    let message = format!("a {what} has {width} numbers, and on a GPU {most} at most");
                    return Err(DeviceError {
                        message,
                        help: Some("use the model with `--device cpu`".into()),
                    });
                }
            }
            self.goes_apart();
        }
        Cache::new(&self.device, size, self.number())
    }

    fn state(&mut self, slots: usize, numbers: usize) -> DeviceResult<along::State> {
        self.goes_apart();
        along::State::new(self, slots, numbers)
    }

    fn step(
        &mut self,
        step: &Step<'_>,
        kind: usize,
        body: &mut dyn FnMut(&mut Self) -> DeviceResult<Option<Rows>>,
    ) -> DeviceResult<Vec<f32>> {
        step::run(self, step, kind, body)
    }

    fn looked_up(&mut self, step: &Step<'_>, weight: &Matrix) -> DeviceResult<Rows> {
        let rows = self.rows(step.ids.len(), weight.stride(), 4)?;
        let ids = self.steps.ids();
        if let Some(whole) = self.list() {
            whole.add(Task::LookUp(Given {
                weight: weight.numbers(),
                scales: weight.scales(),
                x: ids,
                out: rows.scratch.at(),
                rows: rows.count as i32,
                width: weight.width as i32,
                chunks: weight.chunks() as i32,
                ..Given::default()
            }));
            return Ok(rows);
        }
        let args = [
            Arg::At(ids),
            Arg::At(weight.numbers()),
            Arg::At(weight.numbers()),
            Arg::At(weight.scales()),
            Arg::At(rows.scratch.at()),
            Arg::Int(weight.width),
            Arg::Int(weight.chunks()),
        ];
        self.device.launch_after("look_up", [rows.count, 1, 1], 256, &args)?;
        Ok(rows)
    }

    fn wanted(&mut self, step: &Step<'_>, x: Rows) -> DeviceResult<Rows> {
        let all = step.wanted.len() == x.count;
        Ok(Rows { chosen: !all, count: step.wanted.len(), ..x })
    }

    fn norm(&mut self, x: &Rows, weight: &Vector, epsilon: f64) -> DeviceResult<Rows> {
        if matrix::lies_near(self.kept, x) && !x.chosen && !self.apart {
            let norm = Some((weight.memory.at(), epsilon));
            return Ok(Rows { scratch: Rc::clone(&x.scratch), norm, ..*x });
        }
        let stride = x.stride.next_multiple_of(CHUNK);
        let rows = Rows { raw: false, ..self.rows(x.count, stride, self.number())? };
        let args = [
            Arg::At(x.scratch.at()),
            Arg::At(if x.chosen { self.steps.wanted() } else { 0 }),
            Arg::At(weight.memory.at()),
            Arg::At(rows.scratch.at()),
            Arg::Int(weight.len),
            Arg::Int(x.stride),
            Arg::Int(stride),
            Arg::Float(epsilon),
        ];
        self.launch("norm_rows", x.count, 256, &args)?;
        Ok(rows)
    }

    fn likeliest(&mut self, x: &Rows, among: usize) -> DeviceResult<Rows> {
        let rows = self.rows(x.count, 1, 4)?;
        let whole = self.list();
        if whole.is_some_and(|whole| whole.likeliest(x.scratch.at(), rows.scratch.at(), among)) {
            return Ok(rows);
        }
        let args = [
            Arg::At(x.scratch.at()),
            Arg::At(rows.scratch.at()),
            Arg::Int(among.min(x.stride)),
            Arg::Int(x.stride),
        ];
        self.launch("likeliest", x.count, 1024, &args)?;
        Ok(rows)
    }

    fn times(&mut self, x: &Rows, weight: &Matrix) -> DeviceResult<Rows> {
        if weight.exact {
            return picked::exact_times(self, x, weight);
        }
        let rows = self.rows(x.count, weight.rows, 4)?;
        self.multiply(x, weight, &rows, Way::Store)?;
        Ok(rows)
    }

    fn inner(&mut self, x: &Rows, weight: &Matrix) -> DeviceResult<Rows> {
        let rows = self.rows(x.count, weight.rows.next_multiple_of(CHUNK), self.number())?;
        self.multiply(x, weight, &rows, Way::Inner)?;
        Ok(rows)
    }

    fn add_times(&mut self, sum: Rows, x: &Rows, weight: &Matrix) -> DeviceResult<Rows> {
        self.multiply(x, weight, &sum, Way::Add)?;
        Ok(sum)
    }

    fn gated(&mut self, x: &Rows, pair: &Matrix) -> DeviceResult<Rows> {
        let rows = self.rows(x.count, pair.rows, self.number())?;
        self.multiply(x, pair, &rows, Way::Gate)?;
        Ok(rows)
    }

    fn attend(
        &mut self,
        step: &Step<'_>,
        all: Rows,
        heads: &Heads<'_, Vector>,
        cache: &mut Cache,
    ) -> DeviceResult<Rows> {
        attention::attend(self, step, all, heads, cache)
    }

    fn attend_latent(
        &mut self,
        step: &Step<'_>,
        rows: LatentRows<Rows>,
        latents: &Latents<'_, Matrix>,
        cache: &mut Cache,
    ) -> DeviceResult<Rows> {
        wide::attend_latent(self, step, rows, latents, cache)
    }

    fn read(&mut self, x: &Rows) -> DeviceResult<Vec<f32>> {
        let count = x.count * x.stride;
        let there = match self.read.take() {
            Some(there) if there.all().len() >= count => there,
            _ => self.device.pinned(count)?,
        };
        let there = self.read.insert(there);
        self.device.copy_out(there, count, x.scratch.at())?;
        self.device.wait()?;
        Ok(there.all()[..count].to_vec())
    }

    fn picked(&mut self, x: &Rows, picked: &[Picked]) -> DeviceResult<Rows> {
        picked::picked(self, x, picked)
    }

    fn add_picked(&mut self, sum: Rows, given: &Rows, picked: &[Picked]) -> DeviceResult<Rows> {
        picked::add_picked(self, sum, given, picked)
    }

    fn add(&mut self, x: Rows, vector: &Vector) -> DeviceResult<Rows> {
        let args =
            [Arg::At(x.scratch.at()), Arg::At(vector.memory.at()), Arg::Int(vector.len), Arg::Int(x.stride)];
        self.start()?;
        self.device.launch_after("add_vector", [x.count, 1, 1], 256, &args)?;
        Ok(x)
    }

    fn learn(
        &mut self,
        step: &Step<'_>,
        views: Rows,
        heads: usize,
        rate: f64,
        state: &mut along::State,
    ) -> DeviceResult<Rows> {
        along::learn(self, step, &views, heads, rate, state)
    }

    fn link(
        &mut self,
        step: &Step<'_>,
        both: Rows,
        links: &Links<'_, Vector>,
        state: &mut along::State,
    ) -> DeviceResult<Rows> {
        along::link(self, step, &both, links, state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_no_gpu_that_is_said_with_what_to_do() {
        // No machine has so many.
        let asked = Gpu::new(1 << 16, GpuModel { kept: Kept::Bf16, head_width: 64, group: 1 });
        let error = asked.err().expect("there is no such GPU");
        assert!(error.help.as_ref().is_some_and(|help| help.contains("--device cpu")), "{error}");
    }

    #[test]
    fn a_head_that_is_too_wide_is_said_before_anything_is_asked_of_a_gpu() {
        let asked = Gpu::new(0, GpuModel { kept: Kept::F32, head_width: 512, group: 1 });
        assert_eq!(
            asked.err().expect("it is too wide").message,
            "a head is 512 wide, and on a GPU 376 at most"
        );
    }
}
