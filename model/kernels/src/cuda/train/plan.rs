//! How cuBLASLt is told what a product is, and which ways it suggests.
use super::blas::{Failure, Shape, WORKSPACE, apart};
use super::choice::Way;
use crate::ops::Turned;
use cudarc::cublaslt::result::{self as lt, CublasError};
use cudarc::cublaslt::sys;
use std::mem::MaybeUninit;
use sys::cublasLtMatmulPreferenceAttributes_t as Wished;

/// How a product is made.
pub(super) struct Plan {
    pub(super) what: sys::cublasLtMatmulDesc_t,
    pub(super) first: sys::cublasLtMatrixLayout_t,
    pub(super) second: sys::cublasLtMatrixLayout_t,
    pub(super) result: sys::cublasLtMatrixLayout_t,
    pub(super) how: sys::cublasLtMatmulAlgo_t,
}

/// How many ways it is asked for.
const WAYS: usize = 8;

/// A plan by the first of the ways that the library suggests, and these.
#[expect(unsafe_code, reason = "calls of CUDA's")]
pub(super) fn suggested(
    handle: sys::cublasLtHandle_t,
    shape: Shape,
    step: u32,
) -> Result<(Plan, Vec<Way>), Failure> {
    use sys::cublasLtMatmulDescAttributes_t as Attribute;
    let Shape { turned, m, n, k, .. } = shape;
    let kind = |narrow| if narrow { sys::cudaDataType::CUDA_R_16BF } else { sys::cudaDataType::CUDA_R_32F };
    let what =
        lt::create_matmul_desc(sys::cublasComputeType_t::CUBLAS_COMPUTE_32F, sys::cudaDataType::CUDA_R_32F)?;
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
    let layout = |narrow, rows: usize, columns: usize, stride: usize| {
        let stride = if stride == 0 { columns } else { stride };
        let layout = lt::create_matrix_layout(kind(narrow), columns as u64, rows as u64, stride as i64)?;
        if shape.count > 1 {
            several(layout, shape.count as i32, apart(rows, columns) as i64)?;
        }
        Ok::<_, CublasError>(layout)
    };
    let [of_a, of_b, of_result] = shape.strides;
    let second = match turned {
        Turned::Left => layout(shape.narrow, k, m, of_a)?,
        _ => layout(shape.narrow, m, k, of_a)?,
    };
    let first = match turned {
        Turned::Right => layout(shape.narrow, n, k, of_b)?,
        _ => layout(shape.narrow, k, n, of_b)?,
    };
    let result = layout(shape.narrow_result, m, n, of_result)?;
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
    let (mut ways, mut count) = ([const { MaybeUninit::uninit() }; WAYS], 0);
    // SAFETY: all of these were made above, there is room for as many as are asked for, and so many as it says are there.
    let ways: Vec<sys::cublasLtMatmulHeuristicResult_t> = unsafe {
        let (most, to) = (WAYS as i32, ways.as_mut_ptr().cast());
        sys::cublasLtMatmulAlgoGetHeuristic(
            handle, what, first, second, result, result, wish.0, most, to, &mut count,
        )
        .result()?;
        ways.iter().take(count as usize).map(|way| way.assume_init()).collect()
    };
    let does = |way: &sys::cublasLtMatmulHeuristicResult_t| way.state.result().is_ok().then_some(way.algo);
    let ways: Vec<_> = ways.iter().filter_map(does).collect();
    let how = *ways.first().ok_or(CublasError(sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED))?;
    Ok((Plan { what, first, second, result, how }, ways.into_iter().map(|way| way.data).collect()))
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
