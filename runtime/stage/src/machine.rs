//! What a stage may count on where it is about to run.

/// The machine, as far as it is one stage's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Memory in bytes: what the stage reserves, else all there is; `u64::MAX` where that is not known.
    pub memory: u64,
    /// Where it will compute on GPUs, the memory in bytes of the smallest that it may get; `u64::MAX` where that is
    /// not known.
    pub gpu_memory: Option<u64>,
    /// How many GPUs it will compute on.
    pub gpus: u32,
    /// How many threads it may start.
    pub threads: u32,
}
