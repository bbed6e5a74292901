//! A GPU as it is reached below Burn: a stream of its own, its memory, kernels that were compiled for it.
use super::compile::{compiled, there};
use super::memory::{Memory, Pinned, Scratch};
use crate::decode::{DeviceError, DeviceResult};
use cudarc::driver::{CudaContext, CudaFunction, CudaModule, CudaStream, DriverError, result, sys};
use cudarc::nvrtc::Ptx;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, c_void};
use std::ptr::null_mut;
use std::rc::Rc;
use std::sync::Arc;

/// Something that a kernel is given.
#[derive(Clone, Copy)]
pub(super) enum Arg {
    /// Where something lies in the GPU's memory; 0 for nothing.
    At(u64),
    Int(usize),
    Float(f64),
}

/// A GPU.
pub(super) struct Device {
    context: Arc<CudaContext>,
    pub(super) stream: Arc<CudaStream>,
    kernels: RefCell<HashMap<&'static str, Kernel>>,
    /// Processors.
    pub(super) processors: usize,
    /// Whether kernels begin while the one before them ends.
    overlaps: bool,
    module: Arc<CudaModule>,
    /// Memory that was used and will be again, by its size.
    free: Rc<RefCell<HashMap<usize, Vec<Memory>>>>,
}

/// When a kernel begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begin {
    /// While the one before it ends.
    Before,
    /// When all is done that was started before.
    After,
    /// The same, with all of its blocks at once.
    Together,
}

/// A kernel, and the bytes that each of its blocks has to itself besides those that it says.
#[derive(Clone)]
struct Kernel {
    code: CudaFunction,
    shared: u32,
}

/// What a call of CUDA's says in muse's words.
pub(super) fn failed(doing: &str) -> impl Fn(DriverError) -> DeviceError + '_ {
    move |error| {
        let said = error.error_string().ok().map(CStr::to_string_lossy);
        let said = said.as_deref().unwrap_or("the driver does not say why");
        DeviceError { message: format!("the GPU fails at {doing}: {said}"), help: None }
    }
}

impl Device {
    /// The GPU of that number, with kernels of a source. `source` is given the bytes of memory that a block of a step as one kernel
    /// may have to itself: none where the GPU has not what such a kernel needs.
    pub(super) fn new(index: usize, source: impl FnOnce(usize) -> String) -> DeviceResult<Self> {
        there()?;
        let context = CudaContext::new(index).map_err(|error| DeviceError {
            message: format!("GPU {index} cannot be used: {}", failed("the start")(error)),
            help: Some("`muse doctor` says what is there; `--device cpu` needs no GPU".into()),
        })?;
        let capability = context.compute_capability().map_err(failed("the start"))?;
        if capability < (8, 0) {
            let (major, minor) = capability;
            let message = format!(
                "this GPU has compute capability {major}.{minor}, and models are used on GPUs from 8.0 on"
            );
            return Err(DeviceError { message, help: Some("use the model with `--device cpu`".into()) });
        }
        let number = |of| context.attribute(of).map(|number| number as usize).map_err(failed("the start"));
        use sys::CUdevice_attribute::{
            CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN as SHARED,
            CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT as PROCESSORS,
        };
        let hopper = capability >= (9, 0);
        let shared = if hopper { number(SHARED)? } else { 0 };
        let (processors, code) = (number(PROCESSORS)?, compiled(&source(shared), capability)?);
        let module = context.load_module(Ptx::from_binary(code)).map_err(failed("loading its kernels"))?;
        let stream = context.new_stream().map_err(failed("the start"))?;
        Ok(Self {
            context,
            stream,
            kernels: RefCell::default(),
            processors,
            overlaps: hopper,
            module,
            free: Rc::default(),
        })
    }

    /// Makes this thread the GPU's caller.
    pub(super) fn bind(&self) -> DeviceResult<()> {
        self.context.bind_to_thread().map_err(failed("a call"))
    }

    /// Waits until all is done.
    pub(super) fn wait(&self) -> DeviceResult<()> {
        self.stream.synchronize().map_err(failed("a step"))
    }

    /// Memory that stays.
    pub(super) fn memory(&self, bytes: usize) -> DeviceResult<Memory> {
        Memory::new(&self.context, bytes)
    }

    /// Memory in zeros that stays.
    pub(super) fn zeros(&self, bytes: usize) -> DeviceResult<Memory> {
        let memory = self.memory(bytes)?;
        #[expect(unsafe_code, reason = "a call of CUDA's")]
        // SAFETY: the memory is that long.
        let done = unsafe { result::memset_d8_async(memory.at(), 0, bytes, self.stream.cu_stream()) };
        done.map_err(failed("a copy"))?;
        Ok(memory)
    }

    /// Memory for a while. What is asked for in the same order lies at the same places again.
    pub(super) fn scratch(&self, bytes: usize) -> DeviceResult<Scratch> {
        // Few sizes, so that steps of any length use the same memory again.
        let bytes = bytes.max(256).next_power_of_two();
        let kept = self.free.borrow_mut().get_mut(&bytes).and_then(Vec::pop);
        let memory = kept.map_or_else(|| self.memory(bytes), Ok)?;
        Ok(Scratch::new(memory, Rc::clone(&self.free)))
    }

    /// Numbers of the host go to the GPU, in order with the kernels. Memory that is not pinned is read before the call is over.
    pub(super) fn copy_in<T>(&self, to: u64, numbers: &[T]) -> DeviceResult<()> {
        #[expect(unsafe_code, reason = "a call of CUDA's")]
        // SAFETY: callers give memory that is as long, and let pinned memory be until all is done.
        let done = unsafe { result::memcpy_htod_async(to, numbers, self.stream.cu_stream()) };
        done.map_err(failed("a copy"))
    }

    /// Memory with something in it that stays, at once, whatever the kernels are at and whatever is being recorded.
    pub(super) fn kept<T: Copy>(&self, all: &[T]) -> DeviceResult<Memory> {
        let memory = self.memory(size_of_val(all))?;
        #[expect(unsafe_code, reason = "a call of CUDA's")]
        // SAFETY: the memory is that long, and no kernel knows it yet.
        let done = unsafe { result::memcpy_htod_sync(memory.at(), all) };
        done.map_err(failed("a copy"))?;
        Ok(memory)
    }

    /// Numbers of the GPU go to the beginning of pinned memory, in order with the kernels.
    pub(super) fn copy_out(&self, to: &mut Pinned<f32>, count: usize, from: u64) -> DeviceResult<()> {
        #[expect(unsafe_code, reason = "a call of CUDA's")]
        // SAFETY: callers give memory that is as long, and let the pinned memory be until all is done.
        let done =
            unsafe { result::memcpy_dtoh_async(&mut to.all_mut()[..count], from, self.stream.cu_stream()) };
        done.map_err(failed("a copy"))
    }

    /// Starts a kernel that waits by itself for what the one before it writes.
    pub(super) fn launch(
        &self,
        name: &'static str,
        grid: [usize; 3],
        threads: u32,
        args: &[Arg],
    ) -> DeviceResult<()> {
        let begin = if self.overlaps { Begin::Before } else { Begin::After };
        self.start(name, grid, threads, args, begin)
    }

    /// Starts a kernel when all is done that was started before.
    pub(super) fn launch_after(
        &self,
        name: &'static str,
        grid: [usize; 3],
        threads: u32,
        args: &[Arg],
    ) -> DeviceResult<()> {
        self.start(name, grid, threads, args, Begin::After)
    }

    /// Starts a kernel whose blocks run side by side, all of them, so that they can wait for each other.
    pub(super) fn launch_together(
        &self,
        name: &'static str,
        blocks: usize,
        threads: u32,
        args: &[Arg],
    ) -> DeviceResult<()> {
        self.start(name, [blocks, 1, 1], threads, args, Begin::Together)
    }

    /// The same for a kernel that is given one thing, which is laid out as the kernel has it.
    pub(super) fn launch_one<T: Copy>(
        &self,
        name: &'static str,
        grid: [usize; 3],
        threads: u32,
        mut given: T,
    ) -> DeviceResult<()> {
        let begin = if self.overlaps { Begin::Before } else { Begin::After };
        self.start_with(name, grid, threads, &mut [(&raw mut given).cast()], begin)
    }

    fn start(
        &self,
        name: &'static str,
        grid: [usize; 3],
        threads: u32,
        args: &[Arg],
        begin: Begin,
    ) -> DeviceResult<()> {
        let mut words: Vec<u64> = args
            .iter()
            .map(|arg| match *arg {
                Arg::At(place) => place,
                Arg::Int(number) => number as u64,
                Arg::Float(number) => u64::from((number as f32).to_bits()),
            })
            .collect();
        // CUDA reads as many bytes as a parameter has, and the low ones come first.
        let mut args: Vec<*mut c_void> = words.iter_mut().map(|word| (word as *mut u64).cast()).collect();
        self.start_with(name, grid, threads, &mut args, begin)
    }

    fn start_with(
        &self,
        name: &'static str,
        grid: [usize; 3],
        threads: u32,
        args: &mut [*mut c_void],
        begin: Begin,
    ) -> DeviceResult<()> {
        let kernel = self.kernel(name)?;
        let [x, y, z] = grid.map(|count| count as u32);
        use sys::CUlaunchAttributeID::{
            CU_LAUNCH_ATTRIBUTE_COOPERATIVE as TOGETHER,
            CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION as BEFORE,
        };
        let mut attribute = match begin {
            Begin::Together => sys::CUlaunchAttribute {
                id: TOGETHER,
                pad: [0; 4],
                value: sys::CUlaunchAttributeValue { cooperative: 1 },
            },
            Begin::Before | Begin::After => sys::CUlaunchAttribute {
                id: BEFORE,
                pad: [0; 4],
                value: sys::CUlaunchAttributeValue { programmaticStreamSerializationAllowed: 1 },
            },
        };
        let config = sys::CUlaunchConfig {
            gridDimX: x,
            gridDimY: y,
            gridDimZ: z,
            blockDimX: threads,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: kernel.shared,
            hStream: self.stream.cu_stream(),
            attrs: &mut attribute,
            numAttrs: u32::from(begin != Begin::After),
        };
        #[expect(unsafe_code, reason = "a call of CUDA's")]
        // SAFETY: the kernels stand beside this code, and their callers give what they take.
        let done = unsafe {
            sys::cuLaunchKernelEx(&config, kernel.code.cu_function(), args.as_mut_ptr(), null_mut())
        };
        done.result().map_err(failed(name))
    }

    fn kernel(&self, name: &'static str) -> DeviceResult<Kernel> {
        let mut kernels = self.kernels.borrow_mut();
        if let Some(kernel) = kernels.get(name) {
            return Ok(kernel.clone());
        }
        let kernel = Kernel { code: self.module.load_function(name).map_err(failed(name))?, shared: 0 };
        kernels.insert(name, kernel.clone());
        Ok(kernel)
    }

    /// Lets each block of a kernel have so many bytes of memory to itself.
    pub(super) fn allow(&self, name: &'static str, shared: usize) -> DeviceResult<()> {
        use sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as SHARED;
        let kernel = Kernel { shared: shared as u32, ..self.kernel(name)? };
        kernel.code.set_attribute(SHARED, shared as i32).map_err(failed(name))?;
        self.kernels.borrow_mut().insert(name, kernel);
        Ok(())
    }

    /// Pinned memory of the host.
    pub(super) fn pinned<T: Copy>(&self, count: usize) -> DeviceResult<Pinned<T>> {
        Pinned::new(&self.context, count)
    }
}
