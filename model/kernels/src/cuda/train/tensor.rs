//! Burn's tensors as kernels see them: places in memory, one number behind the other.
use super::failure::failed;
use crate::ops::Later;
use burn::backend::Cuda;
use burn::prelude::*;
use burn::tensor::{DType, TensorPrimitive};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;
use cubecl::cuda::CudaRuntime;
use cubecl::device_handle::DeviceHandle;
use cubecl::future::block_on;
use cubecl::prelude::{ComputeClient, Runtime};
use cubecl::server::{Binding, ComputeServer, CopyDescriptor};
use cubecl::stream_id::StreamId;

/// Asks for numbers of f32. Where they do not come, that is kept, and there are none.
pub(crate) fn later(x: Tensor<Cuda, 1>) -> Later {
    let ([count], x) = (x.dims(), Numbers::of(x));
    let (device, stream) = (DeviceHandle::<Server>::new(x.device().to_id()), StreamId::current());
    let all = CopyDescriptor::new(x.at(), [count].into(), [1].into(), DType::F32.size());
    // The copy is asked for here and now; what comes back only waits for it.
    let coming = device.submit_blocking(move |server| server.read(vec![all], stream));
    Later::new(move || {
        let came = coming.map_err(|error| format!("{error:?}"));
        match came.and_then(|coming| block_on(coming).map_err(|error| error.to_string())) {
            Ok(all) => {
                let bytes = all.iter().flat_map(|bytes| bytes.as_chunks::<4>().0);
                bytes.map(|four| f64::from(f32::from_ne_bytes(*four))).collect()
            }
            Err(said) => {
                failed(said);
                vec![f64::NAN; count]
            }
        }
    })
}

/// What Burn's thread for a GPU works on.
pub(super) type Server = <CudaRuntime as Runtime>::Server;

/// Numbers of a tensor, one behind the other.
#[derive(Clone)]
pub(super) struct Numbers(CubeTensor<CudaRuntime>);

/// A kernel reads 16 bytes at a time, from places where that is one step.
const STEP: u64 = 16;

impl Numbers {
    pub(super) fn of<const D: usize>(x: Tensor<Cuda, D>) -> Self {
        Self::lie(x.into_primitive().tensor())
    }

    pub(super) fn of_ints<const D: usize>(x: Tensor<Cuda, D, Int>) -> Self {
        Self::lie(x.into_primitive())
    }

    fn lie(x: CubeTensor<CudaRuntime>) -> Self {
        let x = into_contiguous(x);
        // A part of another tensor may begin anywhere.
        let begins = x.handle.offset_start.unwrap_or(0);
        let aligned = begins.is_multiple_of(STEP);
        if aligned { Self(x) } else { Self(x).copied() }
    }

    /// The same numbers in other memory. In one row: Burn may lay out a copy of several with gaps between them.
    fn copied(self) -> Self {
        let CubeTensor { client, device, handle, dtype, .. } = self.0.clone();
        let flat = |handle| {
            let count = self.0.meta.num_elements();
            CubeTensor::new_contiguous(client.clone(), device.clone(), [count].into(), handle, dtype)
        };
        let copy = flat(handle).copy();
        Self(CubeTensor::new_contiguous(
            client.clone(),
            device.clone(),
            self.0.meta.shape().clone(),
            copy.handle,
            dtype,
        ))
    }

    /// Room for as many numbers, beside `like`. What is in it is not known.
    pub(super) fn room<const D: usize>(like: &Self, shape: [usize; D], dtype: DType) -> Self {
        let CubeTensor { client, device, .. } = &like.0;
        let bytes = shape.iter().product::<usize>() * dtype.size();
        let handle = client.empty(bytes.max(STEP as usize));
        Self(CubeTensor::new_contiguous(client.clone(), device.clone(), shape.into(), handle, dtype))
    }

    /// Some of them, from one on that lies where kernels can read. Nothing is copied.
    pub(super) fn part(&self, first: usize, count: usize) -> Self {
        let CubeTensor { client, device, dtype, handle, .. } = &self.0;
        let [begins, bytes] = [first, count].map(|numbers| (numbers * dtype.size()) as u64);
        let handle = handle.clone().offset_start(begins);
        let rest = handle.size_in_used().saturating_sub(bytes);
        let handle = handle.offset_end(rest);
        Self(CubeTensor::new_contiguous(client.clone(), device.clone(), [count].into(), handle, *dtype))
    }

    pub(super) fn tensor<const D: usize>(self) -> Tensor<Cuda, D> {
        Tensor::from_primitive(TensorPrimitive::Float(self.0))
    }

    pub(super) fn at(&self) -> Binding {
        self.0.handle.clone().binding()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.meta.shape().num_elements()
    }

    pub(super) fn client(&self) -> &ComputeClient<CudaRuntime> {
        &self.0.client
    }

    pub(super) fn device(&self) -> &<CudaRuntime as Runtime>::Device {
        &self.0.device
    }

    /// Nothing else holds them, so they may be written over.
    pub(super) fn alone(&self) -> bool {
        self.0.can_mut()
    }

    /// Themselves where they may be written over, else a copy.
    pub(super) fn own(self) -> Self {
        if self.alone() { self } else { self.copied() }
    }
}
