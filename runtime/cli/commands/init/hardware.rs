//! What will train: the device, its memory, and about how fast it is.
use super::answers::Answers;
use super::choices::Precision;
use crate::environment::Environment;
use crate::failure::{CliError, CliResult};
use crate::format::plural;
use crate::machine::{Driver, Gpu, Machine};
use crate::values::Device;
use muse_stages::budget;

/// Operations a second that one core does in a training: quickstart's takes three minutes on two cores.
const CORE: f64 = 6e10;
/// Two cores do 1.65 times what one does, and more of them go on like that.
const CORES: f64 = 0.72;
/// The share of a GPU's peak that a training in bf16 does: what a model of 134M does on an H200 with 8 sequences. Larger ones do more, up
/// to 0.58; other cards were not timed.
const SHARE_OF_PEAK: f64 = 0.4;
/// The same in f32: a guess, as a product is made of three there, and none was timed.
const SHARE_IN_F32: f64 = 0.1;
/// Seconds that a GPU takes for a block, however little goes through it: 7.1 ms for twelve on an H200.
const BLOCK: f64 = 6e-4;
/// A GPU that is not known counts as this one.
const UNKNOWN: &str = "RTX 3090";

/// What will train.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hardware {
    /// A GPU does.
    pub(crate) on_gpu: bool,
    /// Its name, or how many cores there are.
    pub(crate) name: String,
    /// Its memory in bytes.
    pub(crate) memory: u64,
    /// Cores of the processor.
    pub(crate) cores: u32,
    /// There are GPUs in this machine, whatever trains.
    pub(crate) has_gpus: bool,
}

/// What this machine has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    machine: Machine,
}

impl Found {
    /// Looks.
    pub(crate) fn detect(environment: &Environment) -> Self {
        let gpus = Driver::detect().visible(environment);
        Self { machine: Machine { gpus, ..Machine::without_gpus() } }
    }

    /// A machine of a test's own.
    #[cfg(test)]
    pub(crate) fn of(cores: u32, memory_bytes: u64, gpus: &[(&str, u64)]) -> Self {
        let gpu = |(index, (name, memory)): (u32, &(&str, u64))| Gpu {
            id: index.to_string(),
            index,
            name: (*name).to_owned(),
            memory: *memory,
            free: *memory,
        };
        Self { machine: Machine { cores, memory_bytes, gpus: (0..).zip(gpus).map(gpu).collect() } }
    }

    /// What of it will train, as the answers say.
    pub(crate) fn choose(&self, answers: &Answers) -> CliResult<Hardware> {
        let gpu = match (&answers.gpu, answers.device.unwrap_or_default()) {
            (Some(name), _) => return self.elsewhere(name, answers.memory),
            (None, Device::Cpu) => None,
            (None, Device::Auto) => self.machine.gpus.first(),
            (None, Device::Cuda(number)) => Some(self.gpu(number.unwrap_or(0))?),
        };
        let cores = self.machine.cores;
        let (name, memory) = match gpu {
            Some(gpu) => (gpu.name.clone(), gpu.memory),
            None => (plural(cores as usize, "core"), self.machine.memory_bytes),
        };
        match answers.memory.unwrap_or(memory) {
            0 => Err(CliError::usage(format!("nothing says how much memory there is: {name}"))
                .hint("say it: `--memory 16GiB`")),
            memory => Ok(Hardware { on_gpu: gpu.is_some(), name, memory, cores, has_gpus: self.has_gpus() }),
        }
    }

    /// There is a GPU, whatever trains.
    pub(crate) fn has_gpus(&self) -> bool {
        !self.machine.gpus.is_empty()
    }

    fn gpu(&self, number: u32) -> CliResult<&Gpu> {
        self.machine.gpus.get(number as usize).ok_or_else(|| {
            let there = self.machine.gpus.len();
            CliError::usage(format!("there is no GPU {number}: {there} can be seen"))
                .hint("for a GPU that is elsewhere: `--gpu H100 --memory 80GiB`")
        })
    }

    fn elsewhere(&self, name: &str, memory: Option<u64>) -> CliResult<Hardware> {
        let Some(memory) = memory else {
            return Err(CliError::usage(format!("`--gpu {name}` does not say how much memory it has"))
                .hint("say it: `--memory 80GiB`"));
        };
        let (cores, has_gpus) = (self.machine.cores, self.has_gpus());
        Ok(Hardware { on_gpu: true, name: name.to_owned(), memory, cores, has_gpus })
    }
}

impl Hardware {
    /// A share of its memory.
    pub(crate) fn part(&self, share: f64) -> u64 {
        (self.memory as f64 * share) as u64
    }

    /// Operations a second in a training, about.
    pub(crate) fn speed(&self, precision: Precision) -> f64 {
        if !self.on_gpu {
            return CORE * f64::from(self.cores.max(1)).powf(CORES);
        }
        let known = budget::gpu_peak(&self.name, precision.into());
        known.or_else(|| budget::gpu_peak(UNKNOWN, precision.into())).unwrap_or(0.0) * share(precision)
    }

    /// Seconds that a block takes, whatever goes through it.
    pub(crate) fn block(&self) -> f64 {
        if self.on_gpu { BLOCK } else { 0.0 }
    }

    /// What the time that is expected goes by, in a few words.
    pub(crate) fn assumes(&self, precision: Precision) -> String {
        let known = budget::gpu_peak(&self.name, budget::Precision::Bf16).is_some();
        match (self.on_gpu, known) {
            (false, _) => format!("at {:.0}e9 operations a second", self.speed(Precision::F32) / 1e9),
            (true, true) => format!("at {:.0}% of its peak", share(precision) * 100.0),
            (true, false) => format!("at {:.0}% of the peak of an {UNKNOWN}", share(precision) * 100.0),
        }
    }
}

fn share(precision: Precision) -> f64 {
    if precision == Precision::F32 { SHARE_IN_F32 } else { SHARE_OF_PEAK }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(change: impl FnOnce(&mut Answers)) -> Answers {
        let mut answers = Answers::default();
        change(&mut answers);
        answers
    }

    #[test]
    fn a_gpu_goes_before_the_processor_unless_somebody_says_so() {
        let found = Found::of(8, 32 << 30, &[("NVIDIA H200", 141 << 30), ("NVIDIA A10", 24 << 30)]);
        let chosen = |device: &str| found.choose(&answers(|all| all.device = device.parse().ok())).unwrap();
        assert_eq!(chosen("auto").name, "NVIDIA H200");
        assert_eq!((chosen("cuda:1").memory, chosen("cuda:1").on_gpu), (24 << 30, true));
        assert_eq!((chosen("cpu").name.as_str(), chosen("cpu").memory), ("8 cores", 32 << 30));
        let error = found.choose(&answers(|all| all.device = Some(Device::Cuda(Some(2))))).unwrap_err();
        assert_eq!(error.to_string(), "there is no GPU 2: 2 can be seen");
        assert!(
            Found::of(2, 1 << 30, &[]).choose(&answers(|all| all.device = Some(Device::Cuda(None)))).is_err()
        );
    }

    #[test]
    fn a_gpu_elsewhere_is_known_by_its_name_and_memory() {
        let found = Found::of(2, 8 << 30, &[]);
        let gpu = |name: &str, memory| {
            found.choose(&answers(|all| (all.gpu, all.memory) = (Some(name.to_owned()), memory)))
        };
        let h100 = gpu("H100", Some(80 << 30)).unwrap();
        assert!((h100.speed(Precision::Bf16) - 395.6e12).abs() < 1e9);
        assert_eq!(h100.assumes(Precision::Bf16), "at 40% of its peak");
        assert_eq!(h100.assumes(Precision::F32), "at 10% of its peak");
        let odd = gpu("Quadro", Some(8 << 30)).unwrap();
        assert!(
            odd.speed(Precision::Bf16) < h100.speed(Precision::F32)
                && odd.assumes(Precision::Bf16).contains("3090")
        );
        assert!(gpu("H100", None).unwrap_err().hints[0].contains("--memory"));
        // A machine that does not say how much memory it has is no reason to give up.
        let silent = Found::of(2, 0, &[]);
        assert!(silent.choose(&Answers::default()).unwrap_err().hints[0].contains("--memory"));
        assert_eq!(silent.choose(&answers(|all| all.memory = Some(7))).unwrap().memory, 7);
    }

    #[test]
    fn more_cores_are_faster() {
        let speed =
            |cores| Found::of(cores, 1, &[]).choose(&Answers::default()).unwrap().speed(Precision::F32);
        assert!(speed(1) < speed(2) && speed(2) < 2.0 * speed(1) && speed(64) > 10.0 * speed(1));
    }
}
