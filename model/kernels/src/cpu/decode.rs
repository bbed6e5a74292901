//! [`Decode`] on the CPU.
use super::near::Space;
use super::numbers::{Floats, Own, made};
use super::weights::likeliest;
use super::{along, cached, fixed};
use crate::decode::{CacheSize, Decode, DeviceResult, Heads, Kept, LatentRows, Latents, Links, Picked, Step};
use crate::ops::{Angles, Ops, Placing};
use crate::parts::{PORTION, Part, Parts};
use crate::plain;
use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use burn::tensor::activation::softplus;

/// The CPU, as a device that a model is used on.
#[derive(Debug)]
pub struct Cpu {
    kept: Kept,
    /// Those of heads of several widths.
    angles: Vec<Angles<Flex>>,
}

impl Cpu {
    /// The CPU, where weights are kept as said.
    pub fn new(kept: Kept) -> Self {
        Self { kept, angles: Vec::new() }
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
    type State = along::State;

    fn matrix<P: Part>(&mut self, parts: &Parts<'_, P>) -> Result<Self::Matrix, P::Error> {
        fixed::Fixed::new(parts, if parts.exact { Kept::F32 } else { self.kept }, PORTION)
    }

    fn pair<P: Part>(&mut self, parts: &Parts<'_, P>) -> Result<Self::Matrix, P::Error> {
        self.matrix(parts)
    }

    fn vector(&mut self, numbers: &[f32]) -> DeviceResult<Self::Vector> {
        let data = TensorData::new(numbers.to_vec(), [numbers.len()]);
        Ok(Tensor::from_data(data, (&Default::default(), DType::F32)))
    }

    fn angles(&mut self, cos: &[f32], sin: &[f32], pairs: usize) -> DeviceResult<()> {
        let table = |numbers: &[f32]| matrix(numbers.to_vec(), pairs);
        self.angles.push(Angles { cos: table(cos), sin: table(sin) });
        Ok(())
    }

    fn cache(&mut self, size: CacheSize) -> DeviceResult<Self::Cache> {
        Ok(cached::Cache::new(size))
    }

    fn state(&mut self, slots: usize, numbers: usize) -> DeviceResult<Self::State> {
        Ok(along::State::new(slots, numbers))
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
        let norms = heads.norms[0].zip(heads.norms[1]).map(|(query, key)| [query.clone(), key.clone()]);
        let placing = self.placing(step, heads.queries, width, norms, heads.epsilon);
        let placed = Flex::place(all.reshape([rows, heads.queries + 2 * heads.keys, width]), &placing);
        let [query, key, value] = plain::parts(placed, heads.queries);
        let spaces = heads.spaces.map(|[curvature, sharpness]| {
            let [curvature, sharpness] = [curvature, sharpness].map(|x| Floats::of(x.clone()));
            let both = curvature.get().iter().zip(sharpness.get());
            both.map(|(curvature, sharpness)| Space { curvature: *curvature, sharpness: *sharpness })
                .collect()
        });
        let spaces: Option<Vec<Space>> = spaces;
        let scale = 1.0 / (width as f32).sqrt();
        let how = cached::How { scale, window: heads.window, spaces: spaces.as_deref() };
        let attended = cached::attend_kept([query, key], Some(value), cache, step.feeds, &how);
        Ok(attended.reshape([rows, heads.queries * width]))
    }

    fn attend_latent(
        &mut self,
        step: &Step<'_>,
        rows: LatentRows<Rows>,
        latents: &Latents<'_, Self::Matrix>,
        cache: &mut Self::Cache,
    ) -> DeviceResult<Rows> {
        let Latents { heads, turned, brought, scale, window, rounded } = *latents;
        let [count, across] = rows.query.dims();
        let query = rows.query.reshape([count, heads, across / heads]);
        let (whole, as_it_is) = (across / heads, across / heads - turned);
        let apart = query.clone().narrow(2, 0, as_it_is).reshape([count, heads * as_it_is]);
        let apart = self.times(&apart, brought)?;
        let rank = apart.dims()[1] / heads;
        let placing = self.placing(step, heads, turned, None, 0.0);
        let key = rows.key_turned.reshape([count, 1, turned]);
        // What stands where values do is not turned, and not used.
        let both = vec![query.narrow(2, as_it_is, whole - as_it_is), key.clone(), key];
        let placed = Flex::place(Tensor::cat(both, 1), &placing);
        let [query_turned, key_turned, _] = plain::parts(placed, heads);
        let made_of = |x: Rows| if rounded { Flex::rounded_rows(x) } else { x }.unsqueeze_dim::<3>(1);
        let query = Tensor::cat(vec![apart.reshape([count, heads, rank]), query_turned], 2);
        let key = Tensor::cat(vec![made_of(rows.key), key_turned], 2);
        let how = cached::How { scale: scale as f32, window, spaces: None };
        let attended = cached::attend_kept([query, key], rows.value.map(made_of), cache, step.feeds, &how);
        let [_, _, width] = attended.dims();
        Ok(attended.reshape([count, heads * width]))
    }

    fn read(&mut self, x: &Rows) -> DeviceResult<Vec<f32>> {
        Ok(Floats::of(x.clone()).get().to_vec())
    }

    fn picked(&mut self, x: &Rows, picked: &[Picked]) -> DeviceResult<Rows> {
        let [_, width] = x.dims();
        let x = Floats::of(x.clone());
        let rows = picked.iter().flat_map(|one| &x.get()[one.row as usize * width..][..width]);
        Ok(made(rows.copied().collect(), [picked.len(), width], DType::F32))
    }

    fn add_picked(&mut self, sum: Rows, given: &Rows, picked: &[Picked]) -> DeviceResult<Rows> {
        let [_, width] = sum.dims();
        let (mut sum, given) = (Own::of(sum), Floats::of(given.clone()));
        let all = sum.get();
        for (one, given) in picked.iter().zip(given.get().chunks_exact(width)) {
            let row = &mut all[one.row as usize * width..][..width];
            row.iter_mut().zip(given).for_each(|(sum, x)| *sum += one.share * x);
        }
        Ok(sum.tensor(DType::F32))
    }

    fn add(&mut self, x: Rows, vector: &Self::Vector) -> DeviceResult<Rows> {
        Ok(x + vector.clone().unsqueeze())
    }

    fn learn(
        &mut self,
        step: &Step<'_>,
        views: Rows,
        heads: usize,
        rate: f64,
        state: &mut Self::State,
    ) -> DeviceResult<Rows> {
        let [count, _] = views.dims();
        let answers = along::learn(Floats::of(views).get(), step.feeds, heads, rate as f32, state);
        let across = answers.len() / count;
        Ok(made(answers, [count, across], DType::F32))
    }

    fn link(
        &mut self,
        step: &Step<'_>,
        both: Rows,
        links: &Links<'_, Self::Vector>,
        state: &mut Self::State,
    ) -> DeviceResult<Rows> {
        let dims @ [_, across] = both.dims();
        let (chains, most) = (across / 2, links.most);
        let part =
            |first, bias: &Self::Vector| both.clone().narrow(1, first, chains) + bias.clone().unsqueeze();
        let potential = part(0, links.potential).div_scalar(most).tanh().mul_scalar(most);
        let both = Tensor::cat(vec![potential, softplus(part(chains, links.coupling), 1.0)], 1);
        let eta = Floats::of(links.eta.clone());
        Ok(made(along::link(Floats::of(both).get(), step.feeds, eta.get(), state), dims, DType::F32))
    }
}

impl Cpu {
    /// How the heads of a step's tokens are placed.
    fn placing(
        &self,
        step: &Step<'_>,
        heads: usize,
        width: usize,
        norms: Option<[Tensor<Flex, 1>; 2]>,
        epsilon: f64,
    ) -> Placing<Flex> {
        let places = step.feeds.iter().flat_map(|feed| feed.held..feed.held + feed.tokens);
        let places: Vec<i32> = places.map(|place| place as i32).collect();
        let places = TensorData::new(places.clone(), [places.len()]);
        let angles = self.angles.iter().find(|angles| 2 * angles.cos.dims()[1] == width);
        Placing {
            heads,
            angles: angles.expect("angles are given before the first step").clone(),
            positions: Tensor::from_data(places, (&Default::default(), DType::I32)),
            norms,
            epsilon,
        }
    }
}
