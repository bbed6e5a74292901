//! Latent attention in use: of a text it keeps what keys and values are made of, and never makes these.
use super::Room;
use super::linear::{Linear, Source};
use super::mixer::At;
use super::weights::{InOrder, Weights};
use crate::config::{Round, Shape};
use muse_kernels::{CacheSize, Decode, DeviceResult, InMemory, LatentRows, Latents, Parts, Values};

pub(super) struct Latent<D: Decode> {
    /// What makes the numbers that queries are made of, where they are not made of the token as it is.
    query_first: Option<Linear<D>>,
    query_norm: Option<D::Vector>,
    query: Linear<D>,
    key: Linear<D>,
    key_norm: Option<D::Vector>,
    key_turned: Linear<D>,
    value: Option<Linear<D>>,
    value_norm: Option<D::Vector>,
    /// From a query to what keys are made of, head by head.
    brought: D::Matrix,
    /// From what values are made of to values, head by head.
    values: D::Matrix,
    output: Linear<D>,
    bias: Option<D::Vector>,
    cache: D::Cache,
}

impl<D: Decode> Latent<D> {
    pub(super) fn new<W: Weights>(
        device: &mut D,
        shape: &Shape,
        room: Room,
        weights: &mut InOrder<'_, W>,
    ) -> Result<Self, W::Error> {
        let (mla, width) = (shape.mla(), shape.width);
        let mut next = Next { device, shape, weights };
        let query_first = mla.query_rank.map(|_| next.linear(width)).transpose()?;
        let query_norm = if mla.query_rank.is_some() { next.norm()? } else { None };
        let query = next.linear(mla.query_rank.unwrap_or(width))?;
        let (key, key_norm) = (next.linear(width)?, next.norm()?);
        // From keys back to what they are made of: each head's part turned.
        let brought = next.by_head(mla.nope_width, mla.rank, true)?;
        let key_turned = next.linear(width)?;
        let value = mla.value_rank.map(|_| next.linear(width)).transpose()?;
        let value_norm = if mla.value_rank.is_some() { next.norm()? } else { None };
        let values = next.by_head(shape.head_width, mla.value_rank(), false)?;
        let output = next.linear(shape.query_width())?;
        let bias = if mla.bias { Some(next.vector()?) } else { None };
        let even = CacheSize::even(room.slots, room.context, 1, mla.rank + mla.rope_width);
        let kept = mla.value_rank.map_or(Values::OfKeys(mla.rank), Values::Own);
        let cache = next.device.cache(CacheSize { values: kept, ..even })?;
        Ok(Self {
            query_first,
            query_norm,
            query,
            key,
            key_norm,
            key_turned,
            value,
            value_norm,
            brought,
            values,
            output,
            bias,
            cache,
        })
    }

    pub(super) fn run(
        &mut self,
        device: &mut D,
        at: &At<'_>,
        x: D::Rows,
        normed: &D::Rows,
    ) -> DeviceResult<D::Rows> {
        let At { step, shape, epsilon } = *at;
        let mla = shape.mla();
        let behind = |device: &mut D, rows: D::Rows, norm: &Option<D::Vector>| match norm {
            Some(norm) => device.norm(&rows, norm, epsilon),
            None => Ok(rows),
        };
        let query = match &self.query_first {
            None => self.query.times(device, normed)?,
            Some(first) => {
                let made_of = match &self.query_norm {
                    None => first.inner(device, normed)?,
                    norm => {
                        let made_of = first.times(device, normed)?;
                        behind(device, made_of, norm)?
                    }
                };
                self.query.times(device, &made_of)?
            }
        };
        let key = self.key.times(device, normed)?;
        let key = behind(device, key, &self.key_norm)?;
        let key_turned = self.key_turned.times(device, normed)?;
        let value = match &self.value {
            None => None,
            Some(value) => {
                let value = value.times(device, normed)?;
                Some(behind(device, value, &self.value_norm)?)
            }
        };
        let latents = Latents {
            heads: shape.heads,
            turned: mla.rope_width,
            brought: &self.brought,
            scale: (mla.key_width() as f64).sqrt().recip(),
            window: shape.window,
            rounded: shape.round == Some(Round::Ternary),
        };
        let rows = LatentRows { query, key, key_turned, value };
        let made_of = device.attend_latent(step, rows, &latents, &mut self.cache)?;
        let answers = device.inner(&made_of, &self.values)?;
        let x = match &self.bias {
            None => x,
            Some(bias) => device.add(x, bias)?,
        };
        self.output.onto(device, x, &answers)
    }
}

/// Its weights, one after the other.
struct Next<'a, 'w, D, W> {
    device: &'a mut D,
    shape: &'a Shape,
    weights: &'a mut InOrder<'w, W>,
}

impl<D: Decode, W: Weights> Next<'_, '_, D, W> {
    fn linear(&mut self, width: usize) -> Result<Linear<D>, W::Error> {
        Linear::new(self.device, self.shape, &[Source::next(self.shape, self.weights)], width)
    }

    fn vector(&mut self) -> Result<D::Vector, W::Error> {
        Ok(self.device.vector(&self.weights.plain().all()?)?)
    }

    fn norm(&mut self) -> Result<Option<D::Vector>, W::Error> {
        if self.shape.qk_norm { Ok(Some(self.vector()?)) } else { Ok(None) }
    }

    /// A matrix `[heads * rows, width]` as it acts, whose heads stand apart, and turned where that is said.
    fn by_head(&mut self, rows: usize, width: usize, turned: bool) -> Result<D::Matrix, W::Error> {
        let numbers = self.weights.matrix().acting(self.shape.round == Some(Round::Ternary))?;
        let head = |head: &[f32]| -> Vec<f32> {
            if !turned {
                return head.to_vec();
            }
            (0..width).flat_map(|column| (0..rows).map(move |row| head[row * width + column])).collect()
        };
        let heads: Vec<Vec<f32>> = numbers.chunks_exact(rows * width).map(head).collect();
        let width = if turned { rows } else { width };
        let heads: Vec<InMemory<'_>> = heads.iter().map(|head| InMemory::new(head, width)).collect();
        Ok(self.device.matrix(&Parts { apart: true, ..Parts::of(&heads, width) })?)
    }
}
