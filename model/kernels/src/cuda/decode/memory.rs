//! Memory of a GPU, for good and for a while, and memory of the host that a GPU reads and writes by itself.
#![expect(unsafe_code, reason = "calls of CUDA's, and slices of what it gives")]

use super::device::failed;
use crate::decode::{DeviceError, DeviceResult};
use cudarc::driver::{CudaContext, result, sys};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// Memory of a GPU.
pub(super) struct Memory {
    context: Arc<CudaContext>,
    at: u64,
    bytes: usize,
}

impl Memory {
    pub(super) fn new(context: &Arc<CudaContext>, bytes: usize) -> DeviceResult<Self> {
        let bytes = bytes.max(1);
        context.bind_to_thread().map_err(failed("a call"))?;
        // SAFETY: a context is bound.
        let at = unsafe { result::malloc_sync(bytes) }.map_err(|error| match error.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => too_little(bytes),
            _ => failed("taking memory")(error),
        })?;
        Ok(Self { context: Arc::clone(context), at, bytes })
    }

    /// Where it lies.
    pub(super) fn at(&self) -> u64 {
        self.at
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.context.bind_to_thread().is_ok() {
            // SAFETY: it was taken by `new`, and is given back once. What still runs is waited for.
            let _ = unsafe { result::free_sync(self.at) };
        }
    }
}

fn too_little(bytes: usize) -> DeviceError {
    let help = "a shorter `--context`, fewer texts at once, or `--precision int8` take less";
    crate::cuda::too_little(bytes as u64, result::mem_get_info().ok(), help)
}

/// Memory that goes back to where it is taken from.
pub(super) struct Scratch {
    memory: Option<Memory>,
    home: Rc<RefCell<HashMap<usize, Vec<Memory>>>>,
}

impl Scratch {
    pub(super) fn new(memory: Memory, home: Rc<RefCell<HashMap<usize, Vec<Memory>>>>) -> Self {
        Self { memory: Some(memory), home }
    }

    /// Where it lies.
    pub(super) fn at(&self) -> u64 {
        self.memory.as_ref().map_or(0, Memory::at)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.home.borrow_mut().entry(memory.bytes).or_default().push(memory);
        }
    }
}

/// Memory of the host that stays where it is.
pub(super) struct Pinned<T> {
    context: Arc<CudaContext>,
    at: *mut T,
    count: usize,
}

impl<T: Copy> Pinned<T> {
    pub(super) fn new(context: &Arc<CudaContext>, count: usize) -> DeviceResult<Self> {
        context.bind_to_thread().map_err(failed("a call"))?;
        let bytes = count.max(1) * size_of::<T>();
        // SAFETY: a context is bound; all bits are numbers, and zeros are written before anyone reads.
        unsafe {
            let at: *mut T =
                result::malloc_host(bytes, 0).map_err(failed("taking memory of the host"))?.cast();
            at.cast::<u8>().write_bytes(0, bytes);
            Ok(Self { context: Arc::clone(context), at, count })
        }
    }

    pub(super) fn all(&self) -> &[T] {
        // SAFETY: it is that long, and numbers were written everywhere.
        unsafe { std::slice::from_raw_parts(self.at, self.count) }
    }

    pub(super) fn all_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and nobody else holds it.
        unsafe { std::slice::from_raw_parts_mut(self.at, self.count) }
    }
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        if self.context.bind_to_thread().is_ok() {
            // SAFETY: it was taken by `new`, and is given back once.
            let _ = unsafe { result::free_host(self.at.cast()) };
        }
    }
}
