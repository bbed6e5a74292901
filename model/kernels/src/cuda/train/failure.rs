//! What fails on a GPU. Whoever asks for work does not wait for it, so it is kept until somebody asks; and Burn's threads for a GPU
//! panic where they get no memory, and let others wait for what never comes, so their panics count too.
use crate::cuda::kept::BurnKeeps;
use crate::cuda::{gpu_count, too_little};
use crate::decode::{DeviceError, DeviceResult};
use cudarc::driver::CudaContext;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, Once, PoisonError};

/// What failed first.
static FAILURE: Mutex<Option<String>> = Mutex::new(None);

/// Whether memory was short at any time: what fails from then on, fails of that.
static SHORT: AtomicBool = AtomicBool::new(false);

/// Keeps it, where it is the first.
pub(super) fn failed(said: String) {
    SHORT.fetch_or(is_about_memory(&said), Relaxed);
    FAILURE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(said);
}

/// What failed since this was asked last.
pub fn failure() -> Option<DeviceError> {
    let said = FAILURE.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    // Asked only now: whoever panics may hold what this waits for.
    let room = |gpu| CudaContext::new(gpu).and_then(|context| context.mem_get_info()).ok();
    let rooms: Vec<_> = (0..gpu_count()).map(room).collect();
    Some(in_our_words(&said, &rooms))
}

/// Does work on GPUs. Where it panics over what a GPU did, that is what comes of it.
pub fn on_gpus<T>(work: impl FnOnce() -> T) -> DeviceResult<T> {
    static WATCHES: Once = Once::new();
    WATCHES.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if is_of_a_gpu(info) {
                failed(said(info).to_owned());
            }
            // Where memory is short, sizes say it all, and what comes behind it is of no use to anyone.
            if !(is_of_a_gpu(info) && SHORT.load(Relaxed)) {
                usual(info);
            }
        }));
    });
    let keeps = BurnKeeps::begin();
    let done = catch_unwind(AssertUnwindSafe(work));
    keeps.into_iter().for_each(BurnKeeps::end);
    done.map_err(|panic| match failure() {
        Some(failure) => failure,
        None => panic::resume_unwind(panic),
    })
}

/// Whether a panic is one of Burn's, on a GPU's own thread or where someone waits for it.
fn is_of_a_gpu(info: &PanicHookInfo<'_>) -> bool {
    let file = info.location().map_or("", |location| location.file());
    ["cubecl", "cudarc"].iter().any(|name| file.contains(name)) || is_about_memory(said(info))
}

fn said<'a>(info: &'a PanicHookInfo<'_>) -> &'a str {
    info.payload_as_str().unwrap_or("a GPU's thread does not say why it ended")
}

/// How many bytes there was no room for, if that is what is said.
fn about_memory(said: &str) -> Option<u64> {
    let (_, size) = said.split_once("can't allocate buffer of size: ")?;
    size.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// Whether there was no room, be it for so many bytes or for the first that a GPU needs of a process.
fn is_about_memory(said: &str) -> bool {
    about_memory(said).is_some() || said.contains("CUDA_ERROR_OUT_OF_MEMORY")
}

/// With what is free of how much on each GPU, where it can be asked.
fn in_our_words(said: &str, rooms: &[Option<(usize, usize)>]) -> DeviceError {
    let help = "a smaller `micro_batch`, `recompute: block` and `optimizer: { state: int8 }` take less; `nvidia-smi` says \
                whether another program has some of it, and what was kept before is whole";
    let fullest = rooms.iter().flatten().min_by_key(|(free, _)| free).copied();
    if let Some(bytes) = about_memory(said) {
        return too_little(bytes, fullest, help);
    }
    if is_about_memory(said) {
        let full =
            rooms.iter().position(Option::is_none).map_or("the GPU".into(), |gpu| format!("GPU {gpu}"));
        let message = format!("{full} has no memory left");
        return DeviceError { message, help: Some(help.into()) };
    }
    // What follows the first line is where in Burn it happened.
    let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    let help =
        "`nvidia-smi` says whether it is there and well; its log has more, and what was kept before is whole";
    DeviceError { message: format!("the GPU failed: {first}"), help: Some(help.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn too_little_memory_is_said_with_sizes_and_anything_else_in_a_line() {
        let said = "called `Result::unwrap()` on an `Err` value: can't allocate buffer of size: 1073741825\n  0: trace";
        let error = in_our_words(said, &[Some((200 << 20, 8192 << 20)), Some((100 << 20, 8192 << 20))]);
        let right = "the GPU has too little memory for 1025 MiB more: of 8192 MiB 100 are free";
        assert_eq!(error.message, right);
        assert!(error.help.is_some_and(|help| help.contains("`micro_batch`")));
        let error = in_our_words("\nResource to exist.: DriverError(CUDA_ERROR_LAUNCH_FAILED)\n trace", &[]);
        assert_eq!(
            error.message,
            "the GPU failed: Resource to exist.: DriverError(CUDA_ERROR_LAUNCH_FAILED)"
        );
        assert!(error.help.is_some());
        let error = in_our_words("DriverError(CUDA_ERROR_OUT_OF_MEMORY)", &[Some((1 << 30, 1 << 33)), None]);
        assert_eq!(error.message, "GPU 1 has no memory left");
        assert!(error.help.is_some_and(|help| help.contains("`nvidia-smi`")));
    }

    #[test]
    fn a_thread_that_panics_for_want_of_memory_is_heard_of_where_the_work_ends() {
        let refuse = || panic!("can't allocate buffer of size: 3145728\n");
        let asked = on_gpus(|| {
            assert!(thread::spawn(refuse).join().is_err());
            panic!("nobody answers");
        });
        let error = asked.expect_err("it panicked");
        assert!(error.message.starts_with("the GPU has too little memory for 3 MiB more"), "{error}");
        // A mistake of our own stays one.
        let ours = catch_unwind(|| on_gpus(|| panic!("a mistake")));
        assert_eq!(ours.expect_err("it panics on").downcast_ref::<&str>(), Some(&"a mistake"));
        assert_eq!(on_gpus(|| 7).ok(), Some(7));
    }
}
