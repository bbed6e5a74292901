//! Products by NVIDIA's library, cuBLASLt, on Burn's memory and in order with its kernels.
use crate::ops::Turned;
use cudarc::cublaslt::result::{self as lt, CublasError};
use cudarc::cublaslt::sys;
use cudarc::driver::{CudaContext, CudaStream, DriverError, result, sys as driver};
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;
use sys::cublasLtMatmulPreferenceAttributes_t as Wished;

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
    /// By the product and the bytes that its places are multiples of.
    plans: HashMap<(Shape, u32), Plan>,
}

/// How a product is made.
struct Plan {
    what: sys::cublasLtMatmulDesc_t,
    first: sys::cublasLtMatrixLayout_t,
    second: sys::cublasLtMatrixLayout_t,
    result: sys::cublasLtMatrixLayout_t,
    how: sys::cublasLtMatmulAlgo_t,
}

/// What the library may use beside. As much as its fastest ways on large GPUs ask for.
const WORKSPACE: usize = 64 << 20;

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
        for Product { shape, .. } in products {
            if !self.plans.contains_key(&(*shape, step)) {
                let plan = self.plan(*shape, step).map_err(|failure| failure.of(shape))?;
                self.plans.insert((*shape, step), plan);
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
            self.make(plan, product, places).map_err(|failure| failure.of(&product.shape))
        });
        // SAFETY: likewise.
        unsafe {
            driver::cuEventRecord(self.after, stream).result()?;
            driver::cuCtxWaitEvent(context, self.after).result()?;
        }
        made
    }

    /// Makes a product by its plan, on the stream of the library.
    fn make(&self, plan: &Plan, product: &Product, [a, b, sum, to]: [u64; 4]) -> Result<(), Failure> {
        let [times, added] = product.times;
        let (stream, added) = (self.stream.cu_stream(), if product.shape.added { added } else { 0.0 });
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
                stream.cast(),
            )?;
        }
        Ok(())
    }

    fn plan(&self, shape: Shape, step: u32) -> Result<Plan, Failure> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        let Shape { turned, m, n, k, .. } = shape;
        let kind =
            |narrow| if narrow { sys::cudaDataType::CUDA_R_16BF } else { sys::cudaDataType::CUDA_R_32F };
        let what = lt::create_matmul_desc(
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cudaDataType::CUDA_R_32F,
        )?;
        let turn = |attribute, turned: bool| {
            // As the library numbers its operations.
            let value = i32::from(turned);
            // SAFETY: the attribute is a number of that size.
            unsafe {
                lt::set_matmul_desc_attribute(what, attribute, (&raw const value).cast(), size_of_val(&value))
            }
        };
        turn(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, turned == Turned::Right)?;
        turn(Attribute::CUBLASLT_MATMUL_DESC_TRANSB, turned == Turned::Left)?;
        // Rows to us are columns to the library.
        let layout = |narrow, rows: usize, columns: usize| {
            let layout = lt::create_matrix_layout(kind(narrow), columns as u64, rows as u64, columns as i64)?;
            if shape.count > 1 {
                several(layout, shape.count as i32, apart(rows, columns) as i64)?;
            }
            Ok::<_, CublasError>(layout)
        };
        let second = match turned {
            Turned::Left => layout(shape.narrow, k, m)?,
            _ => layout(shape.narrow, m, k)?,
        };
        let first = match turned {
            Turned::Right => layout(shape.narrow, n, k)?,
            _ => layout(shape.narrow, k, n)?,
        };
        let result = layout(shape.narrow_result, m, n)?;
        let wish = Wish(lt::create_matmul_pref()?);
        wish.set(Wished::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, WORKSPACE)?;
        for place in [
            Wished::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            Wished::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            Wished::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            Wished::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ] {
            wish.set(place, step)?;
        }
        // SAFETY: all of these were made above.
        let how = unsafe {
            lt::get_matmul_algo_heuristic(self.handle, what, first, second, result, result, wish.0)?
        };
        Ok(Plan { what, first, second, result, how: how.algo })
    }
}

/// Has a layout stand for several matrices, so many numbers apart.
#[expect(unsafe_code, reason = "calls of CUDA's")]
fn several(layout: sys::cublasLtMatrixLayout_t, count: i32, apart: i64) -> Result<(), CublasError> {
    use sys::cublasLtMatrixLayoutAttribute_t as Attribute;
    let (many, offset) = (
        Attribute::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
        Attribute::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
    );
    // SAFETY: the attributes are numbers of these sizes.
    unsafe {
        lt::set_matrix_layout_attribute(layout, many, (&raw const count).cast(), size_of_val(&count))?;
        lt::set_matrix_layout_attribute(layout, offset, (&raw const apart).cast(), size_of_val(&apart))
    }
}

/// What is wished of a way to make a product.
struct Wish(sys::cublasLtMatmulPreference_t);

#[expect(unsafe_code, reason = "calls of CUDA's")]
impl Wish {
    fn set<T: Copy>(&self, what: Wished, value: T) -> Result<(), Failure> {
        // SAFETY: callers give a number of the attribute's size.
        unsafe {
            lt::set_matmul_pref_attribute(self.0, what, (&raw const value).cast(), size_of::<T>())?;
        }
        Ok(())
    }
}

#[expect(unsafe_code, reason = "calls of CUDA's")]
impl Drop for Wish {
    fn drop(&mut self) {
        // SAFETY: it was made where this was, and is not used again.
        let _ = unsafe { lt::destroy_matmul_pref(self.0) };
    }
}
