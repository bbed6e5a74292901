//! [`Decode`] on a GPU: kernels of our own for all that lies between a token and the logits of the next, on memory of our own.
//!
//! A token costs reading the weights once, which takes no longer than starting a hundred kernels. So a step whose shape has come
//! before is a graph that was recorded then, and started as a whole; and where texts are few and the GPU can do it, it is one kernel.
mod attention;
mod compile;
mod device;
mod matrix;
mod memory;
mod source;
mod step;
mod whole;

use crate::decode::{
    CacheSize, Decode, DeviceError, DeviceResult, Heads, Kept, LatentRows, Latents, Links, Picked, Step,
    Values,
};
use crate::parts::{Part, Parts};
use attention::Cache;
use device::{Arg, Device};
use matrix::{Given, Matrix, WARPS, Way};
use memory::{Memory, Scratch};
use std::convert::Infallible;
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
    angles: Option<[Vector; 2]>,
    steps: Steps,
    /// What a step does, where it is one kernel.
    whole: Option<Whole>,
    /// Some of its weights have three values.
    rounds: bool,
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
        Ok(Self { device, kept: model.kept, group, angles: None, steps, whole, rounds: false })
    }

    /// Bytes of a number that is multiplied.
    fn number(&self) -> usize {
        if self.kept == Kept::F32 { 4 } else { 2 }
    }

    fn rows(&self, count: usize, stride: usize, bytes: usize) -> DeviceResult<Rows> {
        let scratch = Rc::new(self.device.scratch(count * stride * bytes)?);
        Ok(Rows { scratch, count, stride, chosen: false, norm: None })
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

    /// What is multiplied by weights of three values is rounded before, by a kernel of its own: neither is a step one kernel then, nor is
    /// a norm left to a product.
    fn makes_ready_for<P>(&mut self, parts: &Parts<'_, P>) {
        if parts.ternary {
            (self.whole, self.rounds) = (None, true);
        }
    }

    /// Rows as a matrix multiplies them, where that is not as they are.
    fn taken(&mut self, x: &Rows, weight: &Matrix) -> DeviceResult<Option<Rows>> {
        let Some([parts, width]) = weight.rounds else { return Ok(None) };
        let rows = self.rows(x.count, x.stride, self.number())?;
        let args = [
            Arg::At(x.scratch.at()),
            Arg::At(rows.scratch.at()),
            Arg::Int(width),
            Arg::Int(parts),
            Arg::Int(x.stride),
        ];
        self.launch("round_rows", x.count * parts, 256, &args)?;
        Ok(Some(rows))
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

impl Gpu {
    /// What a GPU says that has no kernels for a model.
    pub fn absent() -> DeviceError {
        let message = "a GPU has kernels for models in use whose blocks are all attention and SwiGLU, and this one has others";
        DeviceError { message: message.into(), help: Some("use it on the CPU".into()) }
    }
}

impl Decode for Gpu {
    type Matrix = Matrix;
    type Vector = Vector;
    type Rows = Rows;
    type Cache = Cache;
    type State = Infallible;

    fn matrix<P: Part>(&mut self, parts: &Parts<'_, P>) -> Result<Matrix, P::Error> {
        self.makes_ready_for(parts);
        Matrix::new(&self.device, self.kept, parts)
    }

    fn pair<P: Part>(&mut self, parts: &Parts<'_, P>) -> Result<Matrix, P::Error> {
        self.makes_ready_for(parts);
        Matrix::pair(&self.device, self.kept, parts)
    }

    fn vector(&mut self, numbers: &[f32]) -> DeviceResult<Vector> {
        self.device.bind()?;
        let memory = self.device.zeros(4 * numbers.len().next_multiple_of(CHUNK))?;
        self.device.copy_in(memory.at(), numbers)?;
        Ok(Vector { memory, len: numbers.len() })
    }

    fn angles(&mut self, cos: &[f32], sin: &[f32], _: usize) -> DeviceResult<()> {
        self.angles = Some([self.vector(cos)?, self.vector(sin)?]);
        Ok(())
    }

    fn cache(&mut self, size: CacheSize) -> DeviceResult<Cache> {
        if size.near || size.values != Values::Own(size.width) {
            return Err(Gpu::absent());
        }
        Cache::new(&self.device, size, self.number())
    }

    fn state(&mut self, _: usize, _: usize) -> DeviceResult<Infallible> {
        Err(Gpu::absent())
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
        if matrix::lies_near(self.kept, x) && !x.chosen && !self.rounds {
            let norm = Some((weight.memory.at(), epsilon));
            return Ok(Rows { scratch: Rc::clone(&x.scratch), norm, ..*x });
        }
        let rows = self.rows(x.count, x.stride, self.number())?;
        let args = [
            Arg::At(x.scratch.at()),
            Arg::At(if x.chosen { self.steps.wanted() } else { 0 }),
            Arg::At(weight.memory.at()),
            Arg::At(rows.scratch.at()),
            Arg::Int(weight.len),
            Arg::Int(x.stride),
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
        _: &Step<'_>,
        _: LatentRows<Rows>,
        _: &Latents<'_, Matrix>,
        _: &mut Cache,
    ) -> DeviceResult<Rows> {
        Err(Gpu::absent())
    }

    fn read(&mut self, _: &Rows) -> DeviceResult<Vec<f32>> {
        Err(Gpu::absent())
    }

    fn picked(&mut self, _: &Rows, _: &[Picked]) -> DeviceResult<Rows> {
        Err(Gpu::absent())
    }

    fn add_picked(&mut self, _: Rows, _: &Rows, _: &[Picked]) -> DeviceResult<Rows> {
        Err(Gpu::absent())
    }

    fn add(&mut self, _: Rows, _: &Vector) -> DeviceResult<Rows> {
        Err(Gpu::absent())
    }

    fn learn(
        &mut self,
        _: &Step<'_>,
        _: Rows,
        _: usize,
        _: f64,
        state: &mut Infallible,
    ) -> DeviceResult<Rows> {
        match *state {}
    }

    fn link(
        &mut self,
        _: &Step<'_>,
        _: Rows,
        _: &Links<'_, Vector>,
        state: &mut Infallible,
    ) -> DeviceResult<Rows> {
        match *state {}
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
