//! What the numbers of several GPUs come to: by NCCL where it is found, on the thread that gives each GPU its work.
use super::blas::Failure;
use super::nccl::{Nccl, Places};
use super::tensor::{Numbers, Server};
use crate::decode::DeviceResult;
use crate::group::{Bucket, Member};
use burn::backend::Cuda;
use burn::backend::cuda::CudaDevice;
use burn::prelude::*;
use cubecl::device_handle::DeviceHandle;
use cubecl::server::ComputeServer;
use cubecl::stream_id::StreamId;
use std::cell::RefCell;
use std::sync::LazyLock;

thread_local! {
    /// The place in its group of the GPU that this thread gives its work.
    static PLACE: RefCell<Option<Nccl>> = const { RefCell::new(None) };
}

/// Whether the library is there.
static THERE: LazyLock<bool> = LazyLock::new(Nccl::is_there);

/// Whether the library is there. Without it numbers go by way of the host's memory.
pub(crate) fn links() -> bool {
    *THERE
}

/// Links the GPUs of a group. Says why not, where they cannot be.
pub(crate) fn join(member: &Member, device: &CudaDevice) -> DeviceResult<Option<String>> {
    let (gpu, rank) = (device.index, member.rank());
    // Asks for the GPU first: one that is not there keeps nobody waiting.
    let handle = DeviceHandle::<Server>::new(device.to_id());
    let gpus = member.meet(gpu)?;
    if (1..gpus.len()).any(|at| gpus[..at].contains(&gpus[at])) {
        return Ok(Some("two of a group are the same GPU".into()));
    }
    if !links() {
        return Ok(Some("there is no NCCL".into()));
    }
    let id = (rank == 0).then(|| Nccl::id().map_err(|Failure(said)| said));
    let id = match member.meet(id)?.first() {
        Some(Some(Ok(id))) => *id,
        Some(Some(Err(said))) => return Ok(Some(said.clone())),
        _ => return Ok(Some("nobody said how the GPUs find each other".into())),
    };
    let linked = handle.submit_blocking(move |_| match Nccl::new(id, rank, &gpus) {
        Ok(place) => {
            PLACE.set(Some(place));
            None
        }
        Err(Failure(said)) => Some(said),
    });
    let leave = move || -> Box<dyn FnOnce()> {
        handle.submit(|_| drop(PLACE.take()));
        handle.flush_queue();
        Box::new(move || drop(handle.submit_blocking(|_| ())))
    };
    let linked = linked.unwrap_or_else(|_| Some("the thread of a GPU ended".into()));
    if let Some(said) = member.meet(linked)?.iter().flatten().next() {
        leave()();
        return Ok(Some(said.clone()));
    }
    member.link();
    member.at_end(leave);
    Ok(None)
}

/// The same numbers, in memory that nobody else holds.
pub(crate) fn owned(x: Tensor<Cuda, 1>) -> Tensor<Cuda, 1> {
    Numbers::of(x).own().tensor()
}

/// Notes that a bucket is made by what was asked of the GPU until now.
pub(crate) fn made(number: usize, device: &CudaDevice) {
    DeviceHandle::<Server>::new(device.to_id()).submit(move |_| in_place(|place| place.made(number)));
}

/// Asks for what the buckets of all come to, in their own memory, and waits for nothing.
pub(crate) fn together(
    member: &Member,
    buckets: Vec<Bucket<Cuda>>,
) -> DeviceResult<Vec<Vec<Tensor<Cuda, 1>>>> {
    // Copies are made behind all else, and so are the buckets that they are in.
    let mut late = Vec::with_capacity(buckets.len());
    let buckets: Vec<(Vec<Numbers>, _)> = buckets
        .into_iter()
        .map(|Bucket { tensors, by }| {
            let as_they_lie: Vec<Numbers> = tensors.into_iter().map(Numbers::of).collect();
            late.push(as_they_lie.iter().any(|numbers| !numbers.alone()));
            (as_they_lie.into_iter().map(Numbers::own).collect(), by)
        })
        .collect();
    let Some(device) = buckets.iter().find_map(|(numbers, _)| Some(numbers.first()?.device().clone())) else {
        return Ok(buckets.iter().map(|_| Vec::new()).collect());
    };
    let places = buckets.iter().map(|(numbers, by)| {
        let places = numbers.iter().map(|numbers| (numbers.at(), numbers.len()));
        (places.collect::<Vec<_>>(), *by)
    });
    let (places, stream) = (places.collect::<Vec<_>>(), StreamId::current());
    let handle = DeviceHandle::<Server>::new(device.to_id());
    handle.submit(move |server| {
        let mut held = Vec::new();
        let mut found = Vec::<Places>::with_capacity(places.len());
        for (bucket, by) in places {
            let mut of_bucket = Vec::with_capacity(bucket.len());
            for (place, len) in bucket {
                let Ok(memory) = server.get_resource(place, stream) else {
                    return super::failed("the memory of a sum over GPUs is not there".into());
                };
                of_bucket.push((memory.resource().ptr, len));
                held.push(memory);
            }
            found.push((of_bucket, by));
        }
        in_place(|place| place.together(&found, &late));
    });
    // Others wait for this one.
    handle.flush_queue();
    if let Some(over) = member.over() {
        return Err(over);
    }
    Ok(buckets.into_iter().map(|(numbers, _)| numbers.into_iter().map(Numbers::tensor).collect()).collect())
}

/// Does something in the place of the GPU that this thread gives its work.
fn in_place(act: impl FnOnce(&mut Nccl) -> Result<(), Failure>) {
    let done = PLACE.with_borrow_mut(|place| match place {
        Some(place) => act(place),
        None => Err(Failure("it is in no group any more".into())),
    });
    if let Err(Failure(said)) = done {
        super::failed(format!("a GPU got no sum from the others: {said}"));
    }
}
