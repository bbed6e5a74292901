//! Numbers of several GPUs put together by NVIDIA's library, NCCL, on Burn's memory and in order with its kernels.
mod library;

pub(super) use library::Id;

use super::blas::Failure;
use crate::group::By;
use cudarc::driver::result::{self, event, stream};
use cudarc::driver::{CudaContext, sys as driver};
use library::{Calls, Comm, LARGEST, SUM};
use std::sync::Arc;

/// Places in memory with their lengths in numbers, and how they are put together.
pub(super) type Places = (Vec<(u64, usize)>, By);

/// A GPU's place in a group. It works on a stream of its own, beside all others.
pub(super) struct Nccl {
    calls: &'static Calls,
    comm: Comm,
    context: Arc<CudaContext>,
    stream: driver::CUstream,
    /// Where the buckets of the next time are made, as far as that was said.
    made: Vec<driver::CUevent>,
    /// How many of these are of the next time.
    said: usize,
    after: driver::CUevent,
}

/// What a group sends about first, so that all ways between its GPUs are laid: sizes that the library takes other ways for.
const FIRST: [usize; 3] = [1, 1 << 18, 1 << 23];

#[expect(unsafe_code, reason = "calls of CUDA's")]
impl Nccl {
    /// Whether the library can be found.
    pub(super) fn is_there() -> bool {
        library::calls().is_some()
    }

    /// A new one for a group.
    pub(super) fn id() -> Result<Id, Failure> {
        calls()?.id()
    }

    /// Takes the place of a rank among these GPUs. Waits for all others, so each must be on a thread of its own.
    pub(super) fn new(id: Id, rank: usize, gpus: &[usize]) -> Result<Self, Failure> {
        let calls = calls()?;
        let context = CudaContext::new(gpus[rank])?;
        open(gpus[rank], gpus)?;
        // The first to run where there is room: products take all there is, and who waits for the sum waits longer.
        let (_, first) = stream::get_priority_range()?;
        let stream = stream::create_with_priority(stream::StreamKind::NonBlocking, first)?;
        let after = event::create(driver::CUevent_flags::CU_EVENT_DISABLE_TIMING)?;
        // The context is this thread's by now.
        let comm = calls.init(id, rank, gpus.len())?;
        let made = Self { calls, comm, context, stream, made: Vec::new(), said: 0, after };
        made.lay_ways()?;
        Ok(made)
    }

    fn lay_ways(&self) -> Result<(), Failure> {
        let most = FIRST.iter().max().map_or(0, |most| most * size_of::<f32>());
        // SAFETY: memory that nothing else knows of. It is let go when all is done with it.
        unsafe {
            let place = result::malloc_sync(most)?;
            let went = FIRST.into_iter().try_for_each(|len| self.send(&(vec![(place, len)], By::Sum)));
            let done = stream::synchronize(self.stream);
            result::free_sync(place)?;
            went?;
            Ok(done?)
        }
    }

    /// Notes that a bucket is made by what was asked of the GPU until now.
    pub(super) fn made(&mut self, number: usize) -> Result<(), Failure> {
        while self.made.len() <= number {
            self.made.push(event::create(driver::CUevent_flags::CU_EVENT_DISABLE_TIMING)?);
        }
        self.said = number + 1;
        // SAFETY: both are this one's own.
        unsafe { Ok(driver::cuCtxRecordEvent(self.context.cu_ctx(), self.made[number]).result()?) }
    }

    /// Puts buckets together, each as soon as it is made, and before all that is asked of the GPU after this. Callers give places
    /// of memory that stays until then.
    ///
    /// All are asked for at once, behind the way back: products wait for all that was asked of the GPU before them (`blas.rs`),
    /// and would wait for these too. The GPU is still far from the end of what it was asked for, so much of it goes on beside.
    /// Those that are late are made only by now, whatever was said before: their memory may not even be there yet.
    pub(super) fn together(&mut self, buckets: &[Places], late: &[bool]) -> Result<(), Failure> {
        let said = self.said;
        for number in (0..buckets.len()).filter(|number| *number >= said || late[*number]) {
            self.made(number)?;
        }
        self.said = 0;
        // SAFETY: streams and events are this one's own, and the places are as the caller promises.
        unsafe {
            for (bucket, made) in buckets.iter().zip(&self.made) {
                driver::cuStreamWaitEvent(self.stream, *made, 0).result()?;
                self.send(bucket)?;
            }
            driver::cuEventRecord(self.after, self.stream).result()?;
            Ok(driver::cuCtxWaitEvent(self.context.cu_ctx(), self.after).result()?)
        }
    }

    /// # Safety
    /// Memory must stay as long as this goes on.
    unsafe fn send(&self, (places, by): &Places) -> Result<(), Failure> {
        let by = match by {
            By::Sum => SUM,
            By::Largest => LARGEST,
        };
        self.calls.at_once(|| {
            places.iter().try_for_each(|place| {
                // SAFETY: the caller says so, and comm and stream are this one's own.
                unsafe { self.calls.all_reduce(*place, by, self.comm, self.stream.cast()) }
            })
        })
    }
}

/// What the driver takes to say who may read and write memory. It has looked the same in all versions, under other names.
#[repr(C)]
struct Access {
    kind: i32,
    gpu: i32,
    what: i32,
}

/// Opens a GPU's memory to others of the same process, where they reach it. The library has them read and write it, and memory of
/// pools, which Burn's is, stays closed without this.
#[expect(unsafe_code, reason = "calls of CUDA's")]
fn open(gpu: usize, to: &[usize]) -> Result<(), Failure> {
    const ONE_GPU: i32 = 1;
    const READ_AND_WRITE: i32 = 3;
    let own = result::device::get(gpu as i32)?;
    let mut pool = std::ptr::null_mut();
    // SAFETY: the place is filled in where there is no error.
    unsafe { driver::cuDeviceGetMemPool(&raw mut pool, own).result()? };
    for &other in to.iter().filter(|other| **other != gpu) {
        let (mut reaches, other) = (0, result::device::get(other as i32)?);
        // SAFETY: likewise, and what is said of access is what the driver reads.
        unsafe {
            driver::cuDeviceCanAccessPeer(&raw mut reaches, other, own).result()?;
            if reaches != 0 {
                let access = Access { kind: ONE_GPU, gpu: other, what: READ_AND_WRITE };
                driver::cuMemPoolSetAccess(pool, (&raw const access).cast(), 1).result()?;
            }
        }
    }
    Ok(())
}

fn calls() -> Result<&'static Calls, Failure> {
    library::calls().ok_or_else(|| Failure("there is no NCCL".into()))
}

#[expect(unsafe_code, reason = "calls of CUDA's")]
impl Drop for Nccl {
    /// Ends what still goes on: others of the group may have failed, and would never come.
    fn drop(&mut self) {
        // SAFETY: all of these were made where this was, and are not used again.
        unsafe {
            self.calls.abort(self.comm);
            for made in self.made.drain(..).chain([self.after]) {
                let _ = event::destroy(made);
            }
            let _ = stream::destroy(self.stream);
        }
    }
}
