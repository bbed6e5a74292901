//! Products of matrices: by cuBLASLt where it is found.
use super::blas::{Blas, Failure, Product, Shape};
use super::tensor::{Numbers, Server};
use crate::ops::Turned;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::DType;
use cubecl::device_handle::DeviceHandle;
use cubecl::server::{Binding, ComputeServer};
use cubecl::stream_id::StreamId;
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::LazyLock;

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

/// A product onto a sum that others hold still.
pub(crate) fn project_onto(
    sum: &Tensor<Cuda, 2>,
    x: &Tensor<Cuda, 2>,
    weight: &Tensor<Cuda, 2>,
) -> Option<Tensor<Cuda, 2>> {
    let shape = shape(x, weight, Turned::Right, x.dtype())?;
    let fits = (sum.dims(), sum.dtype()) == ([shape.m, shape.n], x.dtype());
    if fits { made(shape, [x, weight], Some(sum.clone())) } else { None }
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
    if !so_far.as_ref().is_none_or(alike) {
        return None;
    }
    let [x, weight, grad] = [x, weight, grad].map(|side| Numbers::of(side.clone()));
    let of_x = of_x.then(|| Wanted::of(first, [&grad, &weight], so_far.take()));
    let of_weight = of_weight.then(|| Wanted::of(second, [&grad, &x], None));
    make(of_x.iter().chain(&of_weight));
    Some([of_x, of_weight].map(|wanted| wanted.map(|wanted| wanted.to.tensor())))
}

/// Makes a product.
fn made(shape: Shape, sides: [&Tensor<Cuda, 2>; 2], sum: Option<Tensor<Cuda, 2>>) -> Option<Tensor<Cuda, 2>> {
    let [a, b] = sides.map(|side| Numbers::of(side.clone()));
    let wanted = Wanted::of(shape, [&a, &b], sum);
    make([&wanted]);
    Some(wanted.to.tensor())
}

/// A product, what it is added to, and where it will lie: over that, where nobody else has it.
struct Wanted<'a> {
    shape: Shape,
    sides: [&'a Numbers; 2],
    sum: Option<Numbers>,
    to: Numbers,
}

impl<'a> Wanted<'a> {
    fn of(shape: Shape, sides: [&'a Numbers; 2], sum: Option<Tensor<Cuda, 2>>) -> Self {
        let shape = Shape { added: sum.is_some(), ..shape };
        let dtype = if shape.narrow_result { DType::BF16 } else { DType::F32 };
        let sum = sum.map(Numbers::of);
        let to = match &sum {
            Some(sum) if sum.alone() => sum.clone(),
            _ => Numbers::room(sides[0], [shape.m, shape.n], dtype),
        };
        Self { shape, sides, sum, to }
    }
}

/// Asks for products, and waits for nothing.
fn make<'a>(all: impl IntoIterator<Item = &'a Wanted<'a>>) {
    let (mut memory, mut products) = (Vec::new(), Vec::new());
    for Wanted { shape, sides: [a, b], sum, to } in all {
        let first = memory.len();
        memory.extend([*a, *b, sum.as_ref().unwrap_or(to), to]);
        products.push(Product {
            shape: *shape,
            places: [0, 1, 2, 3].map(|at| first + at),
            times: [1.0, 1.0],
        });
    }
    multiply_all(&memory, products);
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
        strides: [0; 3],
    })
}

/// Asks for products one after the other, and waits for nothing. Their places are numbers of `memory`.
pub(super) fn multiply_all(memory: &[&Numbers], products: Vec<Product>) {
    let Some(device) = memory.first().map(|first| first.device()) else { return };
    let (gpu, stream) = (device.index, StreamId::current());
    let memory: Vec<Binding> = memory.iter().map(|place| place.at()).collect();
    // On the thread that gives the GPU its work, so in order with all that Burn asks for.
    DeviceHandle::<Server>::new(device.to_id()).submit(move |server| {
        let held: Result<Vec<_>, _> =
            memory.into_iter().map(|place| server.get_resource(place, stream)).collect();
        let made = match held {
            Ok(held) => {
                let places: Vec<u64> = held.iter().map(|held| held.resource().ptr).collect();
                with(gpu, |blas| blas.multiply(&places, &products))
            }
            Err(_) => Err(Failure("the memory of a product is not there".into())),
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
