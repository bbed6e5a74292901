//! A GPU that a model is used on: rows and vectors as kernels see them, and how kernels are asked for.
use super::device::{Arg, Device};
use super::matrix::{Matrix, WARPS, Way};
use super::memory::{Memory, Pinned, Scratch};
use super::step::Steps;
use super::whole::{self, Whole};
use super::{WIDEST, source};
use crate::decode::{DeviceError, DeviceResult, Kept};
use std::rc::Rc;

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
    pub(super) device: Device,
    pub(super) kept: Kept,
    /// Heads of queries that share one of keys.
    pub(super) group: usize,
    /// Those of heads of several widths, which are told by their pairs.
    pub(super) angles: Vec<(usize, [Vector; 2])>,
    pub(super) steps: Steps,
    /// What a step does, where it is one kernel.
    pub(super) whole: Option<Whole>,
    /// Whether all that is multiplied is made ready by kernels of its own: neither is a step one kernel then, nor is a norm left to a product.
    pub(super) apart: bool,
    /// What was asked for in the midst of a step.
    pub(super) read: Option<Pinned<f32>>,
}

/// Numbers that stay, with zeros behind them where rows are wider.
pub struct Vector {
    pub(super) memory: Memory,
    pub(super) len: usize,
}

/// Rows on a GPU: in f32, or as they are multiplied.
pub struct Rows {
    pub(super) scratch: Rc<Scratch>,
    pub(super) count: usize,
    /// Numbers from one row to the next.
    pub(super) stride: usize,
    /// Whether they are in f32, as products give them.
    pub(super) raw: bool,
    /// Whether only those rows are meant that are wanted.
    pub(super) chosen: bool,
    /// A norm that is left to the product: where its weight lies, and what is added below the root.
    pub(super) norm: Option<(u64, f64)>,
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
    pub(super) fn number(&self) -> usize {
        if self.kept == Kept::F32 { 4 } else { 2 }
    }

    pub(super) fn rows(&self, count: usize, stride: usize, bytes: usize) -> DeviceResult<Rows> {
        let scratch = Rc::new(self.device.scratch(count * stride * bytes)?);
        Ok(Rows { scratch, count, stride, raw: bytes == 4, chosen: false, norm: None })
    }

    /// Starts a kernel behind all that was asked for before, which may still be a list.
    pub(super) fn launch(
        &mut self,
        name: &'static str,
        blocks: usize,
        threads: u32,
        args: &[Arg],
    ) -> DeviceResult<()> {
        self.start()?;
        self.device.launch(name, [blocks, 1, 1], threads, args)
    }

    /// The same for a kernel that is given one thing, which is laid out as the kernel has it.
    pub(super) fn launch_one<T: Copy>(
        &mut self,
        name: &'static str,
        grid: [usize; 3],
        given: T,
    ) -> DeviceResult<()> {
        self.start()?;
        self.device.launch_one(name, grid, 32 * WARPS as u32, given)
    }

    /// The list that operations come to, where this step is one kernel.
    pub(super) fn list(&mut self) -> Option<&mut Whole> {
        self.whole.as_mut().filter(|whole| whole.takes())
    }

    /// Starts what is still a list.
    pub(super) fn start(&mut self) -> DeviceResult<()> {
        self.whole.as_mut().map_or(Ok(()), |whole| whole.start(&self.device))
    }

    /// From here on all that is multiplied is made ready by kernels of its own.
    pub(super) fn goes_apart(&mut self) {
        (self.whole, self.apart) = (None, true);
    }

    /// The angles of heads that are so wide: where cosines lie, and sines.
    pub(super) fn angles_of(&self, width: usize) -> [u64; 2] {
        let own = self.angles.iter().find(|(pairs, _)| 2 * pairs == width);
        own.expect("angles are given before the first step")
            .1
            .each_ref()
            .map(|of_places| of_places.memory.at())
    }

    /// Rows whose parts, so many and so wide, are rounded to codes of 8 bits.
    pub(super) fn rounded(&mut self, x: &Rows, parts: usize, width: usize) -> DeviceResult<Rows> {
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
    pub(super) fn multiply(&mut self, x: &Rows, weight: &Matrix, out: &Rows, way: Way) -> DeviceResult<()> {
        let taken = self.taken(x, weight)?;
        weight.product(self, taken.as_ref().unwrap_or(x), out, way)
    }

    /// Counters in zeros; whoever counts leaves zeros behind.
    pub(super) fn counters(&mut self, count: usize) -> DeviceResult<u64> {
        // Those that are there go when there must be more, and may be meant by a list.
        if !self.steps.counts(count) {
            self.start()?;
        }
        self.steps.counters(&self.device, count)
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
