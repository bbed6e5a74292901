//! Products of matrices: by cuBLASLt where it is found.
use super::blas::{Blas, Failure, Product, Shape};
use super::tensor::Numbers;
use crate::ops::Turned;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;
use cubecl::cuda::CudaRuntime;
use cubecl::device_handle::DeviceHandle;
use cubecl::prelude::Runtime;
use cubecl::server::ComputeServer;
use cubecl::stream_id::StreamId;
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::LazyLock;

type Server = <CudaRuntime as Runtime>::Server;

thread_local! {
    /// The library on the GPU that this thread gives its work: each GPU has such a thread, and none waits for another's.
    static ON: RefCell<HashMap<usize, Blas>> = RefCell::default();
}

/// Whether products are made here: not without the library.
static THERE: LazyLock<bool> = LazyLock::new(Blas::is_there);

/// Whether the library is there. Without it Burn multiplies.
pub(crate) fn multiplies() -> bool {
    *THERE
}

/// The product of two matrices of the same type, in that type. None where the library cannot make it.
pub(crate) fn product(a: &Tensor<Cuda, 2>, b: &Tensor<Cuda, 2>, turned: Turned) -> Option<Tensor<Cuda, 2>> {
    made(shape(a, b, turned, a.dtype())?, [a, b], None)
}

/// The same in f32, added to `sum` where there is one.
pub(super) fn product_added(
    a: &Tensor<Cuda, 2>,
    b: &Tensor<Cuda, 2>,
    turned: Turned,
    sum: Option<Tensor<Cuda, 2>>,
) -> Option<Tensor<Cuda, 2>> {
    made(shape(a, b, turned, DType::F32)?, [a, b], sum)
}

/// Takes what there is so far of the gradient of x, where it can be made. The weights are one matrix.
pub(crate) fn project_back(
    x: &Tensor<Cuda, 2>,
    weights: &[Tensor<Cuda, 2>],
    grad: &Tensor<Cuda, 2>,
    so_far: &mut Option<Tensor<Cuda, 2>>,
    [of_x, of_weight]: [bool; 2],
) -> Option<[Option<Tensor<Cuda, 2>>; 2]> {
    let [weight] = weights else { return None };
    let first = shape(grad, weight, Turned::Neither, x.dtype())?;
    let second = shape(grad, x, Turned::Left, DType::F32)?;
    let alike = |so_far: &Tensor<Cuda, 2>| (so_far.dims(), so_far.dtype()) == (x.dims(), x.dtype());
    so_far.as_ref().is_none_or(alike).then(|| {
        [
            if of_x { made(first, [grad, weight], so_far.take()) } else { None },
            if of_weight { made(second, [grad, x], None) } else { None },
        ]
    })
}

/// Makes a product. What it is added to is written over where nobody else has it.
fn made(shape: Shape, sides: [&Tensor<Cuda, 2>; 2], sum: Option<Tensor<Cuda, 2>>) -> Option<Tensor<Cuda, 2>> {
    let shape = Shape { added: sum.is_some(), ..shape };
    let dtype = if shape.narrow_result { DType::BF16 } else { DType::F32 };
    let [a, b] = sides.map(|side| Numbers::of(side.clone()));
    let sum = sum.map(Numbers::of);
    let to = match &sum {
        Some(sum) if sum.alone() => sum.clone(),
        _ => Numbers::room(&a, [shape.m, shape.n], dtype),
    };
    multiply(shape, [&a, &b], sum.as_ref().unwrap_or(&to), &to);
    Some(to.tensor())
}

fn shape(a: &Tensor<Cuda, 2>, b: &Tensor<Cuda, 2>, turned: Turned, result: DType) -> Option<Shape> {
    let ([a_rows, a_columns], [b_rows, b_columns]) = (a.dims(), b.dims());
    // Both sides say how many numbers are summed.
    let (m, [k, other], n) = match turned {
        Turned::Neither => (a_rows, [a_columns, b_rows], b_columns),
        Turned::Left => (a_columns, [a_rows, b_rows], b_columns),
        Turned::Right => (a_rows, [a_columns, b_columns], b_rows),
    };
    let kinds = [DType::F32, DType::BF16];
    let fits = a.dtype() == b.dtype() && kinds.contains(&a.dtype()) && k == other && m > 0 && n > 0 && k > 0;
    (fits && *THERE).then(|| Shape {
        turned,
        count: 1,
        m,
        n,
        k,
        narrow: a.dtype() == DType::BF16,
        narrow_result: result == DType::BF16,
        added: false,
    })
}

/// Asks for a product, and waits for nothing.
fn multiply(shape: Shape, [a, b]: [&Numbers; 2], sum: &Numbers, to: &Numbers) {
    let places = [0, 1, 2, 3];
    multiply_all([a, b, sum, to], vec![Product { shape, places, times: [1.0, 1.0] }]);
}

/// Asks for products one after the other, and waits for nothing. Their places are numbers of `memory`.
pub(super) fn multiply_all(memory: [&Numbers; 4], products: Vec<Product>) {
    let (device, memory) = (memory[0].device(), memory.map(Numbers::at));
    let gpu = device.index;
    let stream = StreamId::current();
    // On the thread that gives the GPU its work, so in order with all that Burn asks for.
    DeviceHandle::<Server>::new(device.to_id()).submit(move |server| {
        let held = memory.map(|place| server.get_resource(place, stream));
        let made = match &held {
            [Ok(a), Ok(b), Ok(c), Ok(d)] => {
                let places = [a, b, c, d].map(|held| held.resource().ptr);
                with(gpu, |blas| blas.multiply(places, &products))
            }
            _ => Err(Failure("the memory of a product is not there".into())),
        };
        if let Err(Failure(said)) = made {
            super::failed(format!("products failed: {said}"));
        }
    });
}

fn with(gpu: usize, act: impl FnOnce(&mut Blas) -> Result<(), Failure>) -> Result<(), Failure> {
    ON.with_borrow_mut(|all| {
        act(match all.entry(gpu) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(place) => place.insert(Blas::new(gpu)?),
        })
    })
}
