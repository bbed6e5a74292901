//! The operations on a GPU: products by cuBLASLt, sums over GPUs by NCCL, kernels of our own for the rest.
//!
//! Each gives None for what it has no body for, and the plain one does it.
mod adamw;
mod apart;
mod attention;
mod blas;
mod choice;
mod dealt;
mod embed;
mod failure;
mod few;
mod gram;
mod head;
mod kernel;
mod learn;
mod link;
mod many;
mod moved;
mod muon;
mod nccl;
mod norm;
mod place;
mod plan;
mod product;
mod rows;
mod sums;
mod tensor;
mod together;

pub(super) use adamw::{adamw, can_step};
pub(super) use apart::{project_apart, project_apart_back};
pub(super) use attention::{attend, attend_back};
pub(super) use dealt::{dealt, gathered, gathered_back, project_dealt, project_dealt_back};
pub(super) use embed::embed_back;
pub use failure::{failure, on_gpus};
pub(super) use few::multiply as multiply_few;
pub(super) use head::{can_tell, head_loss, logit_loss};
pub(super) use learn::{learn, learn_back};
pub(super) use link::{bounded, bounded_back, link, link_back};
pub(super) use moved::{can_move, moved};
pub(super) use muon::{TOGETHER, can_find, muon};
pub(super) use norm::{rms_norm, rms_norm_back};
pub(super) use place::{How as Placed, place, place_back};
pub(super) use product::{multiplies, product, project_back, project_onto};
pub(super) use rows::{stacked, swiglu, swiglu_back};
pub(super) use sums::{clip, squares, sum_squares};
pub(super) use tensor::later;
pub(super) use together::{join, links, made, owned, together};

use super::gpu_count;
use burn::tensor::DType;
use cudarc::driver::CudaContext;
use failure::failed;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

/// How many numbers are read at once: as many as 16 bytes hold. None for types that kernels do not know.
fn each(dtype: DType) -> Option<usize> {
    match dtype {
        DType::F32 => Some(4),
        DType::BF16 => Some(8),
        _ => None,
    }
}

/// What says of which type rows are.
fn narrow(dtype: DType) -> (&'static str, usize) {
    ("NARROW", usize::from(dtype == DType::BF16))
}

/// The compute capability of all GPUs that this process sees, where they have one and the same.
pub(super) fn one_capability() -> Option<(i32, i32)> {
    let mut all = (0..gpu_count()).map(capability);
    let first = all.next()??;
    all.all(|other| other == Some(first)).then_some(first)
}

/// The compute capability of a GPU, asked once. None where there is no such GPU.
fn capability(gpu: usize) -> Option<(i32, i32)> {
    type Known = HashMap<usize, Option<(i32, i32)>>;
    static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *known.entry(gpu).or_insert_with(|| CudaContext::new(gpu).and_then(|it| it.compute_capability()).ok())
}
