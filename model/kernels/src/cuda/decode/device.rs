//! A GPU as it is reached below Burn: a stream of its own, its memory, kernels that were compiled for it.
use super::memory::{Memory, Pinned, Scratch};
use crate::decode::{DeviceError, DeviceResult};
use cudarc::driver::{CudaContext, CudaFunction, CudaModule, CudaStream, DriverError, result, sys};
use cudarc::nvrtc::{Ptx, result as compiler, sys as nvrtc};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_void};
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
    kernels: RefCell<HashMap<&'static str, CudaFunction>>,
    /// Whether kernels begin while the one before them ends.
    overlaps: bool,
    module: Arc<CudaModule>,
    /// Memory that was used and will be again, by its size.
    free: Rc<RefCell<HashMap<usize, Vec<Memory>>>>,
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
    /// The GPU of that number, with kernels of that source.
    pub(super) fn new(index: usize, source: &str) -> DeviceResult<Self> {
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
        let code = compiled(source, capability)?;
        let module = context.load_module(Ptx::from_binary(code)).map_err(failed("loading its kernels"))?;
        let stream = context.new_stream().map_err(failed("the start"))?;
        Ok(Self {
            context,
            stream,
            kernels: RefCell::default(),
            overlaps: capability >= (9, 0),
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
        self.start(name, grid, threads, args, self.overlaps)
    }

    /// Starts a kernel when all is done that was started before.
    pub(super) fn launch_after(
        &self,
        name: &'static str,
        grid: [usize; 3],
        threads: u32,
        args: &[Arg],
    ) -> DeviceResult<()> {
        self.start(name, grid, threads, args, false)
    }

    /// The same for a kernel that is given one thing, which is laid out as the kernel has it.
    pub(super) fn launch_one<T: Copy>(
        &self,
        name: &'static str,
        grid: [usize; 3],
        threads: u32,
        mut given: T,
    ) -> DeviceResult<()> {
        self.start_with(name, grid, threads, &mut [(&raw mut given).cast()], self.overlaps)
    }

    fn start(
        &self,
        name: &'static str,
        grid: [usize; 3],
        threads: u32,
        args: &[Arg],
        overlaps: bool,
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
        self.start_with(name, grid, threads, &mut args, overlaps)
    }

    fn start_with(
        &self,
        name: &'static str,
        grid: [usize; 3],
        threads: u32,
        args: &mut [*mut c_void],
        overlaps: bool,
    ) -> DeviceResult<()> {
        let mut kernels = self.kernels.borrow_mut();
        let kernel = match kernels.get(name) {
            Some(kernel) => kernel,
            None => {
                let kernel = self.module.load_function(name).map_err(failed(name))?;
                kernels.entry(name).or_insert(kernel)
            }
        };
        let [x, y, z] = grid.map(|count| count as u32);
        let mut attribute = sys::CUlaunchAttribute {
            id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
            pad: [0; 4],
            value: sys::CUlaunchAttributeValue { programmaticStreamSerializationAllowed: 1 },
        };
        let config = sys::CUlaunchConfig {
            gridDimX: x,
            gridDimY: y,
            gridDimZ: z,
            blockDimX: threads,
            blockDimY: 1,
            blockDimZ: 1,
            sharedMemBytes: 0,
            hStream: self.stream.cu_stream(),
            attrs: &mut attribute,
            numAttrs: u32::from(overlaps),
        };
        #[expect(unsafe_code, reason = "a call of CUDA's")]
        // SAFETY: the kernels stand beside this code, and their callers give what they take.
        let done =
            unsafe { sys::cuLaunchKernelEx(&config, kernel.cu_function(), args.as_mut_ptr(), null_mut()) };
        done.result().map_err(failed(name))
    }

    /// Pinned memory of the host.
    pub(super) fn pinned<T: Copy>(&self, count: usize) -> DeviceResult<Pinned<T>> {
        Pinned::new(&self.context, count)
    }
}

/// Whether CUDA is there, before its first call, which would panic.
fn there() -> DeviceResult<()> {
    #[expect(unsafe_code, reason = "looks for libraries")]
    // SAFETY: opens libraries of the system by name, nothing else.
    let (driver, compiler) = unsafe { (sys::is_culib_present(), nvrtc::is_culib_present()) };
    let missing = |what: &str, help: &str| {
        Err(DeviceError { message: format!("{what} cannot be found"), help: Some(help.to_owned()) })
    };
    if !driver {
        return missing("NVIDIA's driver", "install it, or use `--device cpu`");
    }
    if !compiler {
        return missing(
            "NVRTC, CUDA's compiler,",
            "install the CUDA toolkit and name its `lib64` folder in `LD_LIBRARY_PATH`, or use `--device cpu`",
        );
    }
    Ok(())
}

/// Machine code of a source for GPUs of a capability.
fn compiled(source: &str, (major, minor): (i32, i32)) -> DeviceResult<Vec<u8>> {
    let refused = |said: String| DeviceError {
        message: format!("the GPU's kernels do not compile: {said}"),
        help: None,
    };
    let text = CString::new(source).map_err(|error| refused(error.to_string()))?;
    let program = compiler::create_program(&text, None).map_err(|error| refused(format!("{error:?}")))?;
    let options = [format!("--gpu-architecture=sm_{major}{minor}"), "--std=c++17".into()];
    #[expect(unsafe_code, reason = "calls of CUDA's compiler")]
    // SAFETY: the program is one that was made above, and the code is as long as it says.
    unsafe {
        if compiler::compile_program(program, &options).is_err() {
            let log = compiler::get_program_log(program).unwrap_or_default();
            let log: Vec<u8> = log.into_iter().map(|byte| byte as u8).take_while(|byte| *byte != 0).collect();
            return Err(refused(String::from_utf8_lossy(&log).trim().to_owned()));
        }
        let mut bytes = 0;
        let size = nvrtc::nvrtcGetCUBINSize(program, &mut bytes).result();
        let mut code = vec![0_u8; bytes];
        let got = size.and_then(|()| nvrtc::nvrtcGetCUBIN(program, code.as_mut_ptr().cast()).result());
        let _ = compiler::destroy_program(program);
        got.map(|()| code).map_err(|error| refused(format!("{error:?}")))
    }
}
