//! What the numbers of several members come to, by way of the host's memory: in the order of the members, so all have the same bits.
use crate::decode::DeviceResult;
use crate::group::{Bucket, By, Member};
use burn::prelude::*;
use burn::tensor::DType;

/// The numbers of each bucket, put together.
pub(crate) fn together<B: Backend>(
    member: &Member,
    buckets: Vec<Bucket<B>>,
) -> DeviceResult<Vec<Vec<Tensor<B, 1>>>> {
    buckets.into_iter().map(|bucket| of_all(member, bucket)).collect()
}

fn of_all<B: Backend>(member: &Member, bucket: Bucket<B>) -> DeviceResult<Vec<Tensor<B, 1>>> {
    let Bucket { tensors, by } = bucket;
    let placed: Vec<_> = tensors.iter().map(|x| (x.device(), x.dims())).collect();
    let numbers =
        |x: Tensor<B, 1>| x.into_data().convert::<f32>().into_vec::<f32>().expect("they were made f32");
    let all = member.meet(tensors.into_iter().map(numbers).collect::<Vec<_>>())?;
    let made = placed.into_iter().enumerate().map(|(at, (device, shape))| {
        let mut sources = all.iter().filter_map(|brought| brought.get(at));
        let mut sum = sources.next().cloned().unwrap_or_default();
        for source in sources {
            for (sum, x) in sum.iter_mut().zip(source) {
                *sum = match by {
                    By::Sum => *sum + x,
                    By::Largest => sum.max(*x),
                };
            }
        }
        Tensor::from_data(TensorData::new(sum, shape), (&device, DType::F32))
    });
    Ok(made.collect())
}
