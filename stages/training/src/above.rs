//! What speaks against a training before anything runs: the stages that make its data, and the machine.
use crate::recipe::{Recipe, Recompute};
use crate::trainer::unlike;
pub use muse_artifacts::above::Data;

use muse_artifacts::above::model_of;
use muse_model::config::{Model, Shape};
use muse_model::count::{Device, TrainingMemory};
use muse_model::optim::StateKind;
use muse_stage::{Above, FieldError, Machine};

/// The model at a port, where the stages above say what it is.
pub fn model_at(above: &Above<'_>, port: &str) -> Option<Model> {
    let (config, data) = above.port(port).first().and_then(model_of)?;
    let model: Model = serde_json::from_value(config).ok()?;
    Some(Model {
        vocab_size: model.vocab_size.or(data.vocab_size),
        context: model.context.or(data.context),
        ..model
    })
}

/// Whether a model can begin with the weights at the port `init`, as far as the stages above say what they are.
pub fn check_init(model: &Model, above: &Above<'_>, pointer: &str) -> Result<(), FieldError> {
    let Some(begun) = model_at(above, "init") else { return Ok(()) };
    // What one of them does not say is as it is in the other.
    let vocab_size = begun.vocab_size.or(model.vocab_size).unwrap_or(1);
    let [has, wants] = [&begun, model].map(|one| one.shape(vocab_size, 1));
    match unlike(&has, &wants) {
        None => Ok(()),
        Some((name, has, wants)) => {
            let message =
                format!("`{name}` is {wants} in this model, and {has} in the one that it begins with");
            Err(FieldError::new(pointer, message).help("take the model of the stage at `init`"))
        }
    }
}

impl Recipe {
    /// Whether the machine has the memory to train a model on sequences of so many tokens; what is wrong is said at `pointer`.
    pub fn check_room(
        &self,
        model: &Model,
        data: &Data,
        machine: &Machine,
        pointer: &str,
    ) -> Result<(), FieldError> {
        let Some(context) = data.context.or(model.context) else { return Ok(()) };
        // What is known only once there is a tokenizer takes no memory here: all else may be too much already.
        let shape = Shape { context, ..model.shape(data.vocab_size.unwrap_or(1), context) };
        let device = if machine.gpu_memory.is_some() { Device::Gpu } else { Device::Cpu };
        let devices = machine.gpus as usize;
        self.check_devices(context, devices)?;
        let needs = TrainingMemory::of(&shape, &self.training(&shape, devices), device);
        // The memory of the host is the CPU's own.
        let (on_device, on_host) = match machine.gpu_memory {
            Some(_) => (needs.total, needs.host.saturating_mul(u64::from(machine.gpus.max(1)))),
            None => (0, needs.total.saturating_add(needs.host)),
        };
        let short = |takes: u64, has: u64, whose: &str| {
            let message = format!("a step takes {} of memory, and {whose} {}", size(takes), size(has));
            (takes > has).then(|| FieldError::new(pointer, message))
        };
        let raise = "where `resources.memory` is less than there is, raise it";
        if let Some(error) = short(on_device, machine.gpu_memory.unwrap_or(u64::MAX), "the GPU has") {
            Err(error.help(self.what_saves_memory(context, devices)))
        } else if let Some(error) = short(on_host, machine.memory, "this stage may take") {
            let ways = match machine.gpu_memory {
                Some(_) => "with `offload: false` it takes none of the host's, and more of the GPU's".into(),
                None => self.what_saves_memory(context, devices),
            };
            Err(error.help(format!("{ways}; {raise}")))
        } else {
            Ok(())
        }
    }

    fn what_saves_memory(&self, context: usize, devices: usize) -> String {
        let mut ways = Vec::new();
        if self.recompute == Recompute::None {
            ways.push("`recompute: block`");
        }
        if self.optimizer.state != StateKind::Int8 {
            ways.push("`optimizer: { state: int8 }`");
        }
        if self.step_size(context, None, devices).micro_batch > 1 {
            ways.push("a smaller `micro_batch`");
        }
        ways.push("a smaller model");
        format!("what saves memory: {}; `muse params` shows what goes where", ways.join(", "))
    }
}

/// A size in the largest unit of which there is one.
fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        ..0x10_0000 => (1 << 10, "KiB"),
        0x10_0000..0x4000_0000 => (1 << 20, "MiB"),
        _ => (1 << 30, "GiB"),
    };
    format!("{:.2} {name}", bytes as f64 / f64::from(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_their_own_units() {
        let seen = [1 << 10, 3 << 19, (1 << 30) - 1, 5 << 30].map(size);
        assert_eq!(seen, ["1.00 KiB", "1.50 MiB", "1024.00 MiB", "5.00 GiB"]);
    }
}
