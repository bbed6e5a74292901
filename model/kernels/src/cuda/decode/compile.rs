//! From a source to a GPU's machine code, where CUDA is there.
use crate::cuda::kept::kept_or;
use crate::decode::{DeviceError, DeviceResult};
use cudarc::driver::sys;
use cudarc::nvrtc::{result as compiler, sys as nvrtc};
use std::ffi::CString;

/// Whether CUDA is there, before its first call, which would panic.
pub(super) fn there() -> DeviceResult<()> {
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
pub(super) fn compiled(source: &str, capability: (i32, i32)) -> DeviceResult<Vec<u8>> {
    kept_or("use", (source, capability), || compile(source, capability))
}

fn compile(source: &str, (major, minor): (i32, i32)) -> DeviceResult<Vec<u8>> {
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
