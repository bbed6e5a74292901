//! What the machine has and who holds it: processors, memory, GPUs by number.
use crate::document::Resources;

/// What stages may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Processors.
    pub cores: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// GPUs as CUDA numbers them.
    pub gpus: Vec<String>,
}

impl Machine {
    /// How many threads a stage may start.
    pub(crate) fn threads(&self, wants: &Resources, single_thread: bool) -> u32 {
        let default = if single_thread { 1 } else { self.cores };
        wants.cpu.unwrap_or(default).max(1)
    }
}

/// What is left of it while stages run.
#[derive(Debug)]
pub(crate) struct Slots {
    jobs: usize,
    cores: u32,
    memory: u64,
    gpus: Vec<String>,
    machine: Machine,
}

/// What one stage holds. Given back by value, so that it cannot be given back twice.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// How many threads the stage may start.
    pub(crate) threads: u32,
    memory: u64,
    cores: u32,
    /// The GPUs that are its own for now.
    pub(crate) gpus: Vec<String>,
}

impl Slots {
    /// All of `machine`, for at most `jobs` stages at once.
    pub(crate) fn new(machine: &Machine, jobs: usize) -> Self {
        let machine = Machine { cores: machine.cores.max(1), ..machine.clone() };
        Self {
            jobs: jobs.max(1),
            cores: machine.cores,
            memory: machine.memory,
            gpus: machine.gpus.clone(),
            machine,
        }
    }

    /// Takes what a stage wants, if it is free. Who wants more than there is gets all there is, alone.
    pub(crate) fn take(&mut self, wants: &Resources, single_thread: bool) -> Option<Held> {
        let threads = self.machine.threads(wants, single_thread);
        // A stage that would use all processors unasked shares them when others run beside it by `--jobs`.
        let cores = wants.cpu.unwrap_or(1).clamp(1, self.machine.cores);
        let memory = wants.memory.unwrap_or(0).min(self.machine.memory);
        let gpus = (wants.gpu.unwrap_or(0) as usize).min(self.machine.gpus.len());
        if self.jobs == 0 || self.cores < cores || self.memory < memory || self.gpus.len() < gpus {
            return None;
        }
        self.jobs -= 1;
        self.cores -= cores;
        self.memory -= memory;
        Some(Held { threads, memory, cores, gpus: self.gpus.drain(..gpus).collect() })
    }

    /// Whether no stage at all can start.
    pub(crate) fn full(&self) -> bool {
        self.jobs == 0 || self.cores == 0
    }

    /// Gives back what a stage held.
    pub(crate) fn give_back(&mut self, held: Held) {
        self.jobs += 1;
        self.cores += held.cores;
        self.memory += held.memory;
        self.gpus.extend(held.gpus);
        // The lowest number first, so that a machine with one busy GPU keeps using the same one.
        let order = |gpu: &String| self.machine.gpus.iter().position(|known| known == gpu);
        self.gpus.sort_by_key(order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine { cores: 4, memory: 100, gpus: vec!["0".into(), "1".into()] }
    }

    #[test]
    fn two_stages_never_share_a_gpu() {
        let mut slots = Slots::new(&machine(), 8);
        let one = Resources { gpu: Some(1), ..Resources::default() };
        let first = slots.take(&one, true).unwrap();
        let second = slots.take(&one, true).unwrap();
        assert_eq!((first.gpus.as_slice(), second.gpus.as_slice()), (&["0".into()][..], &["1".into()][..]));
        assert_eq!(slots.take(&one, true), None);
        slots.give_back(first);
        assert_eq!(slots.take(&one, true).unwrap().gpus, ["0"]);
    }

    #[test]
    fn a_stage_without_gpus_leaves_them_to_others() {
        let mut slots = Slots::new(&machine(), 8);
        let none = slots.take(&Resources { gpu: Some(0), ..Resources::default() }, true).unwrap();
        let unsaid = slots.take(&Resources::default(), true).unwrap();
        assert_eq!((none.gpus.len(), unsaid.gpus.len()), (0, 0));
        assert_eq!(
            slots.take(&Resources { gpu: Some(2), ..Resources::default() }, true).unwrap().gpus.len(),
            2
        );
        // On a machine without GPUs nobody waits for one.
        let mut slots = Slots::new(&Machine { gpus: vec![], ..machine() }, 8);
        assert_eq!(
            slots.take(&Resources { gpu: Some(1), ..Resources::default() }, true).unwrap().gpus.len(),
            0
        );
    }

    #[test]
    fn nothing_is_overcommitted_and_a_glutton_runs_alone() {
        let mut slots = Slots::new(&machine(), 2);
        let all = Resources { memory: Some(1000), cpu: Some(64), gpu: Some(9) };
        let held = slots.take(&all, true).unwrap();
        assert_eq!((held.threads, held.gpus.len()), (64, 2));
        assert_eq!(slots.take(&Resources::default(), true), None, "no core is left");
        slots.give_back(held);
        let half = Resources { memory: Some(60), ..Resources::default() };
        let first = slots.take(&half, true).unwrap();
        assert_eq!(slots.take(&half, true), None, "not enough memory is left");
        let second = slots.take(&Resources::default(), false).unwrap();
        assert_eq!(second.threads, 4);
        assert_eq!(slots.take(&Resources::default(), true), None, "two jobs at once");
        slots.give_back(second);
        slots.give_back(first);
        assert_eq!(slots.cores, 4);
    }
}
