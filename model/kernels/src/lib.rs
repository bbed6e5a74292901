//! The operations of a language model: one trait over any backend of Burn, with faster bodies for some.
//!
//! [`Ops`] lists them; `plain` is what they mean, in Burn's own operations; `grad` hangs them into Burn's automatic
//! differentiation; `cpu` has bodies for the CPU. A model that is written with `Ops` runs on all of them unchanged. [`Decode`] is what a
//! model in use asks of a device; `cpu` and `cuda` have one each. `group` is for several devices that train one model.
mod cpu;
mod cuda;
mod decode;
mod experts;
mod grad;
mod group;
mod ops;
mod parts;
mod plain;

pub use cpu::{Cpu, fill, likeliest, mean_size, share_out, weights, with_threads};
pub use cuda::{
    Gpu, GpuLibrary, GpuModel, gpu_count, gpu_failure, gpu_libraries, gpu_memory, gpu_name, keep_kernels_in,
    on_gpus,
};
pub use decode::{
    CacheSize, Decode, DeviceError, DeviceResult, Feed, Heads, Kept, LatentRows, Latents, Links, Picked,
    Step, Values,
};
pub use experts::{Choice, Dealing, choose};
pub use grad::back_from;
pub use group::{Bucket, By, Member};
pub use ops::{
    AdamStep, Angles, Attended, Cores, Dropout, Gated, HeadLoss, Later, Learning, Linking, LogitLoss, Move,
    NO_LABEL, Normed, Objective, Ops, Placing, Push, Rounding, Sight, Turned,
};
pub use parts::{InMemory, PORTION, Part, Parts, TwoBits};
pub use plain::{ahead, newton_schulz};

#[cfg(test)]
mod tests;
