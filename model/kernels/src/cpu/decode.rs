//! [`Decode`] on the CPU.
use super::numbers::{Floats, made};
use super::weights::likeliest;
use super::{cached, fixed};
use crate::decode::{CacheSize, Decode, DeviceResult, Heads, Kept, Parts, Step};
use crate::ops::{Angles, Ops, Placing};
use crate::plain;
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;

/// The CPU, as a device that a model is used on.
#[derive(Debug)]
pub struct Cpu {
    kept: Kept,
    angles: Option<Angles<Flex>>,
}

impl Cpu {
    /// The CPU, where weights are kept as said.
    pub fn new(kept: Kept) -> Self {
        Self { kept, angles: None }
    }
}

type Rows = Tensor<Flex, 2>;

fn matrix(numbers: Vec<f32>, width: usize) -> Rows {
    let rows = numbers.len() / width.max(1);
    Tensor::from_data(TensorData::new(numbers, [rows, width]), (&Default::default(), DType::F32))
}

impl Decode for Cpu {
    type Matrix = fixed::Fixed;
    type Vector = Tensor<Flex, 1>;
    type Rows = Rows;
    type Cache = cached::Cache;

    fn matrix(&mut self, parts: &Parts<'_>) -> DeviceResult<Self::Matrix> {
        Ok(fixed::Fixed::new(parts, self.kept))
    }

    fn pair(&mut self, parts: &Parts<'_>) -> DeviceResult<Self::Matrix> {
        self.matrix(parts)
    }

    fn vector(&mut self, numbers: &[f32]) -> DeviceResult<Self::Vector> {
        let data = TensorData::new(numbers.to_vec(), [numbers.len()]);
        Ok(Tensor::from_data(data, (&Default::default(), DType::F32)))
    }

    fn angles(&mut self, cos: &[f32], sin: &[f32], pairs: usize) -> DeviceResult<()> {
        let table = |numbers: &[f32]| matrix(numbers.to_vec(), pairs);
        self.angles = Some(Angles { cos: table(cos), sin: table(sin) });
        Ok(())
    }

    fn cache(&mut self, size: CacheSize) -> DeviceResult<Self::Cache> {
        Ok(cached::Cache::new(size))
    }

    fn step(
        &mut self,
        _: &Step<'_>,
        _: usize,
        body: &mut dyn FnMut(&mut Self) -> DeviceResult<Option<Rows>>,
    ) -> DeviceResult<Vec<f32>> {
        Ok(body(self)?.map_or_else(Vec::new, |rows| Floats::of(rows).get().to_vec()))
    }

    fn looked_up(&mut self, step: &Step<'_>, weight: &Self::Matrix) -> DeviceResult<Rows> {
        Ok(fixed::looked_up(weight, step.ids))
    }

    fn wanted(&mut self, step: &Step<'_>, x: Rows) -> DeviceResult<Rows> {
        let [rows, _] = x.dims();
        if step.wanted.len() == rows {
            return Ok(x);
        }
        let wanted: Vec<i32> = step.wanted.iter().map(|row| *row as i32).collect();
        let wanted = TensorData::new(wanted, [step.wanted.len()]);
        Ok(x.select(0, Tensor::from_data(wanted, (&Default::default(), DType::I32))))
    }

    fn norm(&mut self, x: &Rows, weight: &Self::Vector, epsilon: f64) -> DeviceResult<Rows> {
        Ok(Flex::rms_norm(x.clone(), weight.clone(), epsilon))
    }

    fn likeliest(&mut self, x: &Rows, among: usize) -> DeviceResult<Rows> {
        let [count, width] = x.dims();
        let numbers = Floats::of(x.clone());
        let best = numbers.get().chunks_exact(width).map(|row| likeliest(&row[..among.min(width)]) as f32);
        Ok(made(best.collect(), [count, 1], DType::F32))
    }

    fn times(&mut self, x: &Rows, weight: &Self::Matrix) -> DeviceResult<Rows> {
        Ok(fixed::times(x.clone(), weight))
    }

    fn inner(&mut self, x: &Rows, weight: &Self::Matrix) -> DeviceResult<Rows> {
        self.times(x, weight)
    }

    fn add_times(&mut self, sum: Rows, x: &Rows, weight: &Self::Matrix) -> DeviceResult<Rows> {
        Ok(Flex::add(sum, fixed::times(x.clone(), weight)))
    }

    fn gated(&mut self, x: &Rows, pair: &Self::Matrix) -> DeviceResult<Rows> {
        let both = fixed::times(x.clone(), pair);
        Ok(Flex::swiglu(both))
    }

    fn attend(
        &mut self,
        step: &Step<'_>,
        all: Rows,
        heads: &Heads<'_, Self::Vector>,
        cache: &mut Self::Cache,
    ) -> DeviceResult<Rows> {
        let ([rows, _], width) = (all.dims(), heads.width);
        let places: Vec<i32> = step
            .feeds
            .iter()
            .flat_map(|feed| feed.held..feed.held + feed.tokens)
            .map(|place| place as i32)
            .collect();
        let places: Tensor<Flex, 1, Int> =
            Tensor::from_data(TensorData::new(places, [rows]), (&Default::default(), DType::I32));
        let angles = self.angles.as_ref().expect("angles are given before the first step");
        let placing = Placing {
            heads: heads.queries,
            angles: angles.clone(),
            positions: places,
            norms: heads.norms[0].zip(heads.norms[1]).map(|(query, key)| [query.clone(), key.clone()]),
            epsilon: heads.epsilon,
        };
        let placed = Flex::place(all.reshape([rows, heads.queries + 2 * heads.keys, width]), &placing);
        let [query, key, value] = plain::parts(placed, heads.queries);
        let attended = cached::attend_kept([query, key, value], cache, step.feeds, heads.window);
        Ok(attended.reshape([rows, heads.queries * width]))
    }
}
