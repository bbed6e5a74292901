//! The same training job for everybody: how fast a machine trains a model. Steps are those of a training, on tokens of chance.
pub use muse_model::kernels::{GpuLibrary, gpu_libraries, keep_kernels_in};

use crate::peak;
use crate::side_by_side::side_by_side;
use crate::tell::program_memory;
use crate::trainer::{ahead, failed, waited_with};
use burn::backend::cuda::CudaDevice;
use burn::backend::{Cuda, Flex};
use burn::tensor::DType;
use muse_model::buckets::Onto;
use muse_model::config::{Model, Shape};
use muse_model::count::{Flops, Precision};
use muse_model::kernels::{Member, Objective, Ops, gpu_memory, on_gpus, with_threads};
use muse_model::net::{Batch, Net, Setting, Weight};
use muse_model::optim::{Clip, Optimizer, OptimizerConfig, OptimizerKind, Told};
use muse_model::pass::{Recompute, pass};
use muse_stage::StageError;
use std::collections::VecDeque;
use std::time::Instant;

/// What is trained, and where.
#[derive(Clone, Debug)]
pub struct Job {
    /// The model, with its vocabulary and context.
    pub model: Model,
    /// Its sizes.
    pub shape: Shape,
    /// What weights and activations are: f32 or bf16.
    pub precision: Precision,
    /// Muon for matrices, else AdamW for all.
    pub muon: bool,
    /// Sequences of a step on each device.
    pub sequences: usize,
    /// Steps that are timed.
    pub steps: usize,
    /// On so many GPUs, the first that this process sees; where it is 0, on the CPU.
    pub gpus: usize,
    /// Threads on the CPU.
    pub threads: usize,
}

/// How it went.
#[derive(Clone, Debug)]
pub struct Measured {
    /// From the start until the first step was over: libraries, kernels, weights.
    pub first_step: f64,
    /// Seconds of each step that was timed, the shortest first.
    pub steps: Vec<f64>,
    /// Seconds of all of them.
    pub all: f64,
    /// The most memory that was taken: of the GPU, or by this process. None where nobody says.
    pub memory: Option<u64>,
    /// Operations a second that the device can do, as far as is known.
    pub peak: Option<f64>,
    /// Operations a second that the model took.
    pub done: f64,
    /// The loss of the first step and of the last.
    pub losses: [f64; 2],
    /// Why GPUs put their gradients together by way of the host's memory, where they need not.
    pub by_way_of_host: Option<String>,
}

impl Measured {
    /// Seconds of a step in the middle.
    pub fn median(&self) -> f64 {
        self.steps[self.steps.len() / 2]
    }
}

/// Steps before those that are timed.
const WARM: usize = 4;
/// A rate that harms no model of any size.
const RATE: f64 = 1e-4;

/// Does the job.
pub fn bench(job: &Job) -> Result<Measured, StageError> {
    let started = Instant::now();
    with_threads(job.threads, || {
        if job.gpus > 0 {
            let before = gpu_memory().unwrap_or(0);
            let devices = (0..job.gpus).map(CudaDevice::new).collect();
            let mut measured = on_gpus(|| on::<Cuda>(job, devices, started)).map_err(failed)??;
            measured.memory = gpu_memory().map(|now| now.saturating_sub(before));
            measured.peak = peak::of_gpu(job.precision).map(|peak| peak * job.gpus as f64);
            return Ok(measured);
        }
        let mut measured = on::<Flex>(job, vec![Default::default()], started)?;
        measured.memory = program_memory();
        measured.peak = Some(peak::measured::<Flex>(&Default::default()));
        Ok(measured)
    })
}

/// The job on each of these devices, as the first sees it.
fn on<B: Ops>(job: &Job, devices: Vec<B::Device>, started: Instant) -> Result<Measured, StageError> {
    let mut works = devices.into_iter().map(|device| {
        move |member: Option<&Member>| {
            let way = member.map_or(Ok(None), |member| B::join(member, &device)).map_err(failed)?;
            Ok(Measured { by_way_of_host: way, ..steps::<B>(job, &device, member, started)? })
        }
    });
    let first = works.next().ok_or_else(|| StageError::new("there is no device"))?;
    let others = works.map(|work| move |member: &Member| work(Some(member)).map(drop)).collect();
    side_by_side(job.threads, first, others)
}

fn steps<B: Ops>(
    job: &Job,
    device: &B::Device,
    member: Option<&Member>,
    started: Instant,
) -> Result<Measured, StageError> {
    let Job { model, shape, sequences, .. } = job;
    let (rank, devices) = member.map_or((0, 1), |member| (member.rank(), member.count()));
    let dtype = if job.precision == Precision::F32 { DType::F32 } else { DType::BF16 };
    let mut net = Some(Net::<B>::new(model, shape, 1, device));
    let kind = if job.muon { OptimizerKind::Muon } else { OptimizerKind::Adamw };
    let config = OptimizerConfig { kind, ..Default::default() };
    let optimizer = Optimizer::<B>::new(&config, Weight::all(shape), device);
    let mut optimizer = optimizer.map_err(|error| StageError::new(error.to_string()))?;
    let setting = Setting::new(model, shape.context, dtype, device);
    let rows = sequences * shape.context;
    let mut clip = Clip::new(1.0, device);
    let mut made = 0;
    let mut ask = || -> Result<Told, StageError> {
        made += 1;
        let tokens = tokens(rows + 1, shape.vocab_size, made * devices as u64 + rank as u64);
        let batch = Batch::<B>::plain(shape.context, &tokens[..rows], &tokens[1..], device);
        let acting = net.as_ref().expect("a step puts it back");
        let share = 1.0 / (devices * rows) as f64;
        let onto = Onto { so_far: None, member };
        let own = pass(acting, &batch, &setting, &Objective::PLAIN, share, Recompute::Nothing, onto);
        let passed = match member {
            Some(member) => own.together(member).map_err(failed)?,
            None => own,
        };
        let (scale, told) = clip.of(passed.loss, passed.grads.iter());
        let told = waited_with(member, told);
        optimizer.begin(made, RATE, scale, passed.grads);
        net = net.take().map(|net| net.changed_together(|weights| optimizer.update(weights)));
        Ok(told)
    };
    let look = |told: Told| -> Result<f64, StageError> {
        let (loss, _) = told.loss_and_norm();
        B::checked(device).map_err(failed)?;
        member.and_then(Member::over).map_or(Ok(loss), |over| Err(failed(over)))
    };
    let first_loss = look(ask()?)?;
    let first_step = started.elapsed().as_secs_f64();
    // As a training does it, steps are asked for before the one before is looked at.
    let mut asked = (0..ahead::<B>(member)).map(|_| ask()).collect::<Result<VecDeque<_>, _>>()?;
    let mut step = || {
        asked.push_back(ask()?);
        asked.pop_front().map_or(Ok(f64::NAN), look)
    };
    for _ in 1..WARM {
        step()?;
    }
    let (begin, mut last, mut steps) = (Instant::now(), first_loss, Vec::new());
    for _ in 0..job.steps.max(1) {
        let begin = Instant::now();
        last = step()?;
        steps.push(begin.elapsed().as_secs_f64());
    }
    let all = begin.elapsed().as_secs_f64();
    let done = Flops::of(shape).training as f64 * (devices * rows * steps.len()) as f64 / all;
    steps.sort_by(f64::total_cmp);
    let losses = [first_loss, last];
    Ok(Measured { first_step, steps, all, memory: None, peak: None, done, losses, by_way_of_host: None })
}

/// Tokens of chance, other ones each step.
fn tokens(count: usize, vocabulary: usize, step: u64) -> Vec<i32> {
    let mut state = step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state =
            (state ^ (state >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(0x9e37_79b9_7f4a_7c15);
        (state >> 33) as usize
    };
    (0..count).map(|_| (next() % vocabulary.max(1)) as i32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_measured() {
        let model = Model { vocab_size: Some(32), context: Some(16), ..Model::new(1, 16, 2, 32) };
        let shape = model.shape(32, 16);
        let job = Job {
            model,
            shape,
            precision: Precision::F32,
            muon: false,
            sequences: 2,
            steps: 3,
            gpus: 0,
            threads: 1,
        };
        let measured = bench(&job).unwrap();
        assert_eq!(measured.steps.len(), 3);
        assert!(measured.steps.is_sorted() && measured.median() > 0.0);
        assert!(measured.all >= measured.steps.iter().sum::<f64>() && measured.first_step > 0.0);
        let operations = Flops::of(&job.shape).training as f64 * (2 * 16 * 3) as f64;
        assert!((measured.done * measured.all / operations - 1.0).abs() < 1e-9);
        assert!(measured.peak.unwrap() > 0.0 && measured.memory.unwrap() > 1 << 20);
        // Nobody knows yet which of 32 tokens comes next.
        assert!((measured.losses[0] - 32_f64.ln()).abs() < 0.2, "{:?}", measured.losses);
    }

    #[test]
    fn several_devices_do_the_job_together() {
        let model = Model { vocab_size: Some(32), context: Some(16), ..Model::new(1, 16, 2, 32) };
        let shape = model.shape(32, 16);
        let (precision, muon) = (Precision::F32, false);
        let job = Job { model, shape, precision, muon, sequences: 2, steps: 2, gpus: 0, threads: 1 };
        let measured = on::<Flex>(&job, vec![Default::default(); 3], Instant::now()).unwrap();
        let operations = Flops::of(&job.shape).training as f64 * (3 * 2 * 16 * 2) as f64;
        assert!((measured.done * measured.all / operations - 1.0).abs() < 1e-9);
        assert!((measured.losses[0] - 32_f64.ln()).abs() < 0.2, "{:?}", measured.losses);
    }

    #[test]
    fn tokens_are_spread_and_differ_from_step_to_step() {
        let of = |step| tokens(4000, 10, step);
        assert_ne!(of(1), of(2));
        assert_eq!(of(3), of(3));
        for token in 0..10 {
            let count = of(1).iter().filter(|one| **one == token).count();
            assert!((250..550).contains(&count), "{token}: {count} of 4,000");
        }
    }
}
