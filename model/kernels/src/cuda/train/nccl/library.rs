//! The library NCCL under the name by which it is installed, and what is called of it.
use super::super::blas::Failure;
use libloading::Library;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::LazyLock;

/// The place of a GPU in a group.
pub(super) type Comm = *mut c_void;

/// By which the GPUs of a group find each other.
#[derive(Clone, Copy)]
#[repr(C)]
pub(in super::super) struct Id([c_char; 128]);

/// As the library numbers them.
pub(super) const FLOAT32: c_int = 7;
/// Likewise.
pub(super) const SUM: c_int = 0;
/// Likewise.
pub(super) const LARGEST: c_int = 2;

/// With headers and without.
const NAMES: [&str; 2] = ["libnccl.so.2", "libnccl.so"];

/// The calls. All are of NCCL 2, whose interface stays.
pub(super) struct Calls {
    get_unique_id: unsafe extern "C" fn(*mut Id) -> c_int,
    comm_init_rank: unsafe extern "C" fn(*mut Comm, c_int, Id, c_int) -> c_int,
    comm_abort: unsafe extern "C" fn(Comm) -> c_int,
    all_reduce: AllReduce,
    group_start: unsafe extern "C" fn() -> c_int,
    group_end: unsafe extern "C" fn() -> c_int,
    get_error_string: unsafe extern "C" fn(c_int) -> *const c_char,
    /// As long as this is there, so is what stands above.
    _library: Library,
}

type AllReduce =
    unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, Comm, *mut c_void) -> c_int;

static CALLS: LazyLock<Option<Calls>> = LazyLock::new(Calls::found);

/// The library, where it is found.
pub(super) fn calls() -> Option<&'static Calls> {
    CALLS.as_ref()
}

#[expect(unsafe_code, reason = "a library of NVIDIA's")]
impl Calls {
    fn found() -> Option<Self> {
        // SAFETY: what it does when it is loaded is NVIDIA's, and these are the types that its header gives.
        unsafe {
            let library = NAMES.iter().find_map(|name| Library::new(*name).ok())?;
            Some(Self {
                get_unique_id: *library.get(b"ncclGetUniqueId\0").ok()?,
                comm_init_rank: *library.get(b"ncclCommInitRank\0").ok()?,
                comm_abort: *library.get(b"ncclCommAbort\0").ok()?,
                all_reduce: *library.get(b"ncclAllReduce\0").ok()?,
                group_start: *library.get(b"ncclGroupStart\0").ok()?,
                group_end: *library.get(b"ncclGroupEnd\0").ok()?,
                get_error_string: *library.get(b"ncclGetErrorString\0").ok()?,
                _library: library,
            })
        }
    }

    pub(super) fn id(&self) -> Result<Id, Failure> {
        let mut id = Id([0; 128]);
        // SAFETY: it is as long as the library wants it.
        self.checked(unsafe { (self.get_unique_id)(&raw mut id) })?;
        Ok(id)
    }

    /// On the GPU of this thread. Waits for all others.
    pub(super) fn init(&self, id: Id, rank: usize, count: usize) -> Result<Comm, Failure> {
        let mut comm = std::ptr::null_mut();
        // SAFETY: the place is filled in where there is no error.
        self.checked(unsafe { (self.comm_init_rank)(&raw mut comm, count as c_int, id, rank as c_int) })?;
        Ok(comm)
    }

    /// # Safety
    /// It is used no more.
    pub(super) unsafe fn abort(&self, comm: Comm) {
        // SAFETY: the caller says so.
        let _ = unsafe { (self.comm_abort)(comm) };
    }

    /// Puts so many numbers together in their own place.
    ///
    /// # Safety
    /// Place, comm and stream are of one GPU, and stay until it is done.
    pub(super) unsafe fn all_reduce(
        &self,
        (place, len): (u64, usize),
        by: c_int,
        comm: Comm,
        stream: *mut c_void,
    ) -> Result<(), Failure> {
        // SAFETY: the caller says so.
        self.checked(unsafe {
            (self.all_reduce)(place as *const c_void, place as *mut c_void, len, FLOAT32, by, comm, stream)
        })
    }

    /// Asks for several things at once.
    pub(super) fn at_once(&self, ask: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
        // SAFETY: it takes nothing, and is ended below.
        self.checked(unsafe { (self.group_start)() })?;
        let asked = ask();
        // SAFETY: likewise.
        let ended = self.checked(unsafe { (self.group_end)() });
        asked.and(ended)
    }

    fn checked(&self, said: c_int) -> Result<(), Failure> {
        if said == 0 {
            return Ok(());
        }
        // SAFETY: it gives a text that is always there, whatever the number.
        let text = unsafe { CStr::from_ptr((self.get_error_string)(said)) };
        Err(Failure(format!("NCCL says {}", text.to_string_lossy())))
    }
}
