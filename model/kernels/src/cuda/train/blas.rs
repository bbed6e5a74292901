//! Products by NVIDIA's library, cuBLASLt, on Burn's memory and in order with its kernels.
use super::choice::choose;
use super::plan::{Plan, suggested};
use crate::ops::Turned;
use cudarc::cublaslt::result::{self as lt, CublasError};
use cudarc::cublaslt::sys;
use cudarc::driver::{CudaContext, CudaStream, DriverError, result, sys as driver};
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;

/// A product of matrices that lie row by row, or as many of them as there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    pub(super) turned: Turned,
    /// How many: one, or several of the same sizes. Then the next matrix of each side lies [`apart`] from the one before.
    pub(super) count: usize,
    /// Rows of the result.
    pub(super) m: usize,
    /// Columns of the result.
    pub(super) n: usize,
    /// Numbers that are summed for each.
    pub(super) k: usize,
    /// Whether both sides are bf16; else they are f32.
    pub(super) narrow: bool,
    /// Whether the result is bf16; else it is f32.
    pub(super) narrow_result: bool,
    /// Whether it is added to other numbers, which may lie where the result will.
    pub(super) added: bool,
    /// Numbers from one row to the next as they lie, of both sides and of the result: none where rows lie one behind the other.
    pub(super) strides: [usize; 3],
}

/// Numbers from the beginning of a matrix to that of the next one: so many that each begins where kernels can read.
pub(super) fn apart(rows: usize, columns: usize) -> usize {
    (rows * columns).next_multiple_of(8)
}

/// A product to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    pub(super) shape: Shape,
    /// Which places both sides, what is added and the result have.
    pub(super) places: [usize; 4],
    /// What the product is multiplied by, and what is added.
    pub(super) times: [f32; 2],
}

/// The library on one GPU. It works on a stream of its own, beside Burn's.
pub(super) struct Blas {
    handle: sys::cublasLtHandle_t,
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    before: driver::CUevent,
    after: driver::CUevent,
    workspace: u64,
    /// The GPU and the library, by their names.
    name: String,
    /// By the product and the bytes that its places are multiples of.
    plans: HashMap<(Shape, u32), Plan>,
}

/// What the library may use beside. As much as its fastest ways on large GPUs ask for.
pub(super) const WORKSPACE: usize = 64 << 20;

/// More than this makes no difference to where a matrix begins.
const MOST_ALIGNED: u64 = 256;

/// What went wrong, in the library's own words.
#[derive(Debug)]
pub(super) struct Failure(pub(super) String);

impl Failure {
    fn of(self, shape: &Shape) -> Self {
        Self(format!("{}, of {shape:?}", self.0))
    }
}

impl From<CublasError> for Failure {
    fn from(error: CublasError) -> Self {
        Self(format!("cuBLASLt says {error}"))
    }
}

impl From<DriverError> for Failure {
    fn from(error: DriverError) -> Self {
        Self(format!("CUDA says {error}"))
    }
}

#[expect(unsafe_code, reason = "calls of CUDA's")]
// SAFETY: the handle and what hangs on it may be used by any thread, one at a time.
unsafe impl Send for Blas {}

#[expect(unsafe_code, reason = "calls of CUDA's")]
impl Blas {
    /// Whether the library can be found.
    pub(super) fn is_there() -> bool {
        // SAFETY: opens a library of the system by name, nothing else.
        unsafe { sys::is_culib_present() }
    }

    pub(super) fn new(gpu: usize) -> Result<Self, Failure> {
        let context = CudaContext::new(gpu)?;
        let stream = context.new_stream()?;
        let event = || result::event::create(driver::CUevent_flags::CU_EVENT_DISABLE_TIMING);
        // SAFETY: memory that nothing else knows of, for as long as this lives.
        let workspace = unsafe { result::malloc_sync(WORKSPACE)? };
        Ok(Self {
            handle: lt::create_handle()?,
            before: event()?,
            after: event()?,
            plans: HashMap::new(),
            // SAFETY: asks the library what it is.
            name: format!("{} {}", context.name()?, unsafe { sys::cublasLtGetVersion() }),
            context,
            stream,
            workspace,
        })
    }

    /// Makes products one after the other, behind all that was asked of the GPU before, and before all that is asked after. Callers
    /// give places of memory that is as long as the shapes say, and stays.
    pub(super) fn multiply(&mut self, places: &[u64], products: &[Product]) -> Result<(), Failure> {
        // The bytes that all places are multiples of.
        let step = 1 << places.iter().fold(MOST_ALIGNED, |all, place| all | place).trailing_zeros();
        for product in products {
            let key = (product.shape, step);
            if !self.plans.contains_key(&key) {
                let plan = self.plan(product, step).map_err(|failure| failure.of(&product.shape))?;
                self.plans.insert(key, plan);
            }
        }
        let (context, stream) = (self.context.cu_ctx(), self.stream.cu_stream());
        // SAFETY: all of these are this one's own.
        unsafe {
            driver::cuCtxRecordEvent(context, self.before).result()?;
            driver::cuStreamWaitEvent(stream, self.before, 0).result()?;
        }
        let made = products.iter().try_for_each(|product| {
            let (plan, places) = (&self.plans[&(product.shape, step)], product.places.map(|at| places[at]));
            self.make(plan, product, places, &self.stream).map_err(|failure| failure.of(&product.shape))
        });
        // SAFETY: likewise.
        unsafe {
            driver::cuEventRecord(self.after, stream).result()?;
            driver::cuCtxWaitEvent(context, self.after).result()?;
        }
        made
    }

    /// Makes a product by its plan.
    fn make(
        &self,
        plan: &Plan,
        product: &Product,
        [a, b, sum, to]: [u64; 4],
        stream: &CudaStream,
    ) -> Result<(), Failure> {
        let [times, added] = product.times;
        let added = if product.shape.added { added } else { 0.0 };
        // SAFETY: all of these are this one's own, and the places are as the caller promises.
        unsafe {
            lt::matmul(
                self.handle,
                plan.what,
                (&raw const times).cast(),
                (&raw const added).cast(),
                // To the library, which counts columns first, all is turned: so the sides change places.
                b as *const c_void,
                plan.first,
                a as *const c_void,
                plan.second,
                sum as *const c_void,
                plan.result,
                to as *mut c_void,
                plan.result,
                &plan.how,
                self.workspace as *mut c_void,
                WORKSPACE,
                stream.cu_stream().cast(),
            )?;
        }
        Ok(())
    }

    /// How a product is made, and all others of its shape.
    fn plan(&self, product: &Product, step: u32) -> Result<Plan, Failure> {
        let (mut plan, suggested) = suggested(self.handle, product.shape, step)?;
        let key = format!("{} {step} {:?}", self.name, product.shape);
        let mut aside = None;
        let chosen = choose(&key, &suggested, |way| {
            let aside =
                aside.get_or_insert_with(|| Aside::of(&self.context, &product.shape)).as_ref().ok()?;
            plan.how.data = *way;
            self.time(&plan, product, aside).ok()
        });
        plan.how.data = chosen.unwrap_or(suggested[0]);
        Ok(plan)
    }

    /// Milliseconds of a product, of numbers that are no one's: it waits for nothing else that the GPU does.
    fn time(&self, plan: &Plan, product: &Product, aside: &Aside) -> Result<f32, Failure> {
        const TIMES: usize = 2;
        let flags = Some(driver::CUevent_flags::CU_EVENT_DEFAULT);
        let (begin, end) = (aside.stream.record_event(flags)?, self.context.new_event(flags)?);
        for _ in 0..TIMES {
            self.make(plan, product, aside.places, &aside.stream)?;
        }
        end.record(&aside.stream)?;
        Ok(begin.elapsed_ms(&end)? / TIMES as f32)
    }
}

/// Numbers for a product that nobody wants, on a stream of their own: both sides, and the result.
struct Aside {
    stream: Arc<CudaStream>,
    memory: u64,
    places: [u64; 4],
}

/// What bytes of them are, so that they are small numbers of either type.
const SMALL: u8 = 0x3c;

#[expect(unsafe_code, reason = "calls of CUDA's")]
impl Aside {
    fn of(context: &Arc<CudaContext>, shape: &Shape) -> Result<Self, DriverError> {
        let &Shape { count, m, n, k, .. } = shape;
        let bytes = |rows: usize, columns: usize, stride: usize, narrow| {
            // Whichever way it is turned.
            let lies = apart(rows, columns).max(stride * rows.max(columns));
            (count * lies * if narrow { 2 } else { 4 }).next_multiple_of(MOST_ALIGNED as usize)
        };
        let [of_first, of_second, of_result] = shape.strides;
        let [first, second] = [bytes(m, k, of_first, shape.narrow), bytes(k, n, of_second, shape.narrow)];
        let all = first + second + bytes(m, n, of_result, shape.narrow_result);
        let stream = context.new_stream()?;
        // SAFETY: it is given back when this goes, and written to before that alone.
        let memory = unsafe {
            let memory = result::malloc_async(stream.cu_stream(), all)?;
            result::memset_d8_async(memory, SMALL, all, stream.cu_stream())?;
            memory
        };
        let [second, to] = [first, first + second].map(|at| memory + at as u64);
        Ok(Self { stream, memory, places: [memory, second, to, to] })
    }
}

#[expect(unsafe_code, reason = "calls of CUDA's")]
impl Drop for Aside {
    fn drop(&mut self) {
        // SAFETY: it was made where this was, and goes behind all that was asked for on its stream.
        let _ = unsafe { result::free_async(self.memory, self.stream.cu_stream()) };
    }
}
