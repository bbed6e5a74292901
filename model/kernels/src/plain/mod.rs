//! The operations in plain Burn: the reference that every other body is tested against.
mod attention;
mod cores;
mod dealt;
#[cfg(test)]
pub(crate) mod decode;
mod head;
mod learn;
mod link;
mod muon;
mod near;
mod noise;
mod place;
mod round;
mod rows;
mod together;
mod update;

pub(crate) use attention::{attend, attend_back};
pub(crate) use cores::cores_loss;
#[cfg(test)]
pub(crate) use cores::cores_loss_by;
pub(crate) use dealt::{dealt, dealt_back, gathered, gathered_back, project_dealt, project_dealt_back};
#[cfg(test)]
pub(crate) use head::head_loss_by;
pub(crate) use head::{head_loss, logit_loss};
pub(crate) use learn::{LEAST, learn, learn_back};
pub(crate) use link::{bounded, bounded_back, link, link_back};
pub(crate) use muon::{QUINTIC, ROUNDS, SMALLEST, moved, muon, size};
pub use muon::{ahead, newton_schulz};
pub(crate) use near::{LONGEST, NEAREST, attend_near, attend_near_back};
pub(crate) use noise::{at, dropout, noise, threshold, words};
#[cfg(test)]
pub(crate) use place::rotate;
pub(crate) use place::{parts, place, place_back};
pub(crate) use round::{A_LITTLE_MORE, BLOCK, MOST, rounded, rounded_rows};
#[cfg(test)]
pub(crate) use rows::embed_back_by;
pub(crate) use rows::{
    added, embed, embed_back, product, project, project_apart, project_apart_back, project_back, rms_norm,
    rms_norm_back, swiglu, swiglu_back,
};
pub(crate) use together::together;
#[cfg(test)]
pub(crate) use update::chosen;
pub(crate) use update::{adamw, clip, sum_squares, unless_bad};

use burn::prelude::*;
use burn::tensor::DType;

/// The same numbers in f32.
pub(crate) fn wide<B: Backend, const D: usize>(x: Tensor<B, D>) -> Tensor<B, D> {
    if x.dtype() == DType::F32 { x } else { x.cast(DType::F32) }
}

/// The numbers in another type again.
pub(crate) fn narrow<B: Backend, const D: usize>(x: Tensor<B, D>, dtype: DType) -> Tensor<B, D> {
    if x.dtype() == dtype { x } else { x.cast(dtype) }
}
