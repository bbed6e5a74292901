//! What CUDA has on this machine: libraries, GPUs and their memory. Nothing here needs a driver to be there.
use super::train::{links, multiplies};
use crate::decode::DeviceError;
use cudarc::driver::{CudaContext, result, sys};

/// A library of CUDA's that is looked for on the machine where muse runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuLibrary {
    /// Its name.
    pub name: &'static str,
    /// Whether it can be found.
    pub there: bool,
    /// Whether nothing runs on a GPU without it; else it runs slower.
    pub needed: bool,
    /// How many GPUs there must be for it to be of use.
    pub from: usize,
}

impl GpuLibrary {
    /// What it means that it is missing, and what to do about it.
    pub fn without(&self) -> String {
        let said = if self.needed {
            "nothing runs on a GPU"
        } else if self.from > 1 {
            return format!(
                "without {} several GPUs that train one model wait for each other for long: install it, and name its folder in `LD_LIBRARY_PATH`",
                self.name
            );
        } else {
            "products on a GPU take several times as long, and training with them"
        };
        format!(
            "without {} {said}: install the CUDA toolkit, and name its `lib64` in `LD_LIBRARY_PATH`",
            self.name
        )
    }
}

/// All that are of use to so many GPUs.
pub fn gpu_libraries(gpus: usize) -> Vec<GpuLibrary> {
    #[expect(unsafe_code, reason = "looks for a library")]
    // SAFETY: opens a library of the system by name, nothing else.
    let compiler = unsafe { cudarc::nvrtc::sys::is_culib_present() };
    let all = [
        GpuLibrary { name: "NVRTC", there: compiler, needed: true, from: 0 },
        GpuLibrary { name: "cuBLASLt", there: multiplies(), needed: false, from: 0 },
        GpuLibrary { name: "NCCL", there: links(), needed: false, from: 2 },
    ];
    all.into_iter().filter(|library| gpus >= library.from).collect()
}

/// How many GPUs this process sees.
pub fn gpu_count() -> usize {
    if !driver_is_there() {
        return 0;
    }
    let count = result::init().and_then(|()| result::device::get_count());
    count.map_or(0, |count| usize::try_from(count).unwrap_or(0))
}

/// Whether there is a driver at all: nothing may be asked of it else.
fn driver_is_there() -> bool {
    #[expect(unsafe_code, reason = "looks for a library")]
    // SAFETY: opens a library of the system by name, nothing else.
    unsafe {
        sys::is_culib_present()
    }
}

/// What the maker calls the first GPU that this process sees, if there is one.
pub fn gpu_name() -> Option<String> {
    if !driver_is_there() {
        return None;
    }
    result::init().and_then(|()| result::device::get(0)).and_then(result::device::get_name).ok()
}

/// Bytes of the first GPU's memory that are taken now, by this process and by others.
pub fn gpu_memory() -> Option<u64> {
    if !driver_is_there() {
        return None;
    }
    let (free, all) = CudaContext::new(0).and_then(|context| context.mem_get_info()).ok()?;
    Some(all.saturating_sub(free) as u64)
}

/// A GPU's memory has no room for so many bytes more, with what is free of all, where that is known.
pub(super) fn too_little(bytes: u64, room: Option<(usize, usize)>, help: &str) -> DeviceError {
    const MIB: u64 = 1 << 20;
    let room = room.map_or_else(String::new, |(free, all)| {
        format!(": of {} MiB {} are free", all as u64 / MIB, free as u64 / MIB)
    });
    let message = format!("the GPU has too little memory for {} MiB more{room}", bytes.div_ceil(MIB));
    DeviceError { message, help: Some(help.into()) }
}
