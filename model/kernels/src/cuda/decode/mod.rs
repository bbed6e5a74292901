//! [`Decode`] on a GPU: kernels of our own for all that lies between a token and the logits of the next, on memory of our own.
//!
//! A token costs reading the weights once, which takes no longer than starting a hundred kernels. So a step whose shape has come
//! before is a graph that was recorded then, and started as a whole; and where texts are few and the GPU can do it, it is one kernel.
mod along;
mod attention;
mod compile;
mod device;
mod gpu;
mod matrix;
mod memory;
mod picked;
mod source;
mod step;
mod whole;
mod wide;

pub use gpu::{Gpu, GpuModel};

use crate::decode::{
    CacheSize, Decode, DeviceError, DeviceResult, Heads, LatentRows, Latents, Links, Picked, Step, Values,
};
use crate::parts::{Part, Parts};
use attention::Cache;
use device::Arg;
use gpu::{Rows, Vector};
use matrix::{Given, Matrix, Way};
use std::rc::Rc;
use whole::Task;

/// Rows of weights and of what is multiplied are as wide as so many numbers, or a multiple of it.
const CHUNK: usize = 32;
/// Blocks that keep a GPU busy.
const BUSY: usize = 264;
/// The widest head that the shared memory of a block has room for.
const WIDEST: usize = 376;

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
