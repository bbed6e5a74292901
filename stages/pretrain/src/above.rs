//! What speaks against a training before anything runs: the stages that make its data, and the machine.
use crate::params::Params;
use muse_model::count::TrainingMemory;
use muse_stage::{Above, FieldError, Machine};
use serde_json::Value;

/// What the data will be, as far as the stages above say.
#[derive(Clone, Copy, Debug, Default)]
struct Data {
    vocab_size: Option<usize>,
    context: Option<usize>,
}

impl Data {
    fn of(above: &Above<'_>) -> Self {
        let whole = |value: &Value| value.as_u64().and_then(|number| usize::try_from(number).ok());
        let Some(packed) = above.port("data").into_iter().find(|given| given.kind == "pack") else {
            return Self::default();
        };
        // Only these give as many tokens as they are asked for; others have what their text has.
        let exact = |value: &Value| ["bpe", "unigram"].contains(&value.as_str().unwrap_or_default());
        let tokenizers = packed.port("tokenizer").into_iter();
        let mut trained =
            tokenizers.filter(|given| given.kind == "tokenizer" && exact(&given.params["algorithm"]));
        Self {
            vocab_size: trained.next().and_then(|given| whole(&given.params["vocab_size"])),
            context: whole(&packed.params["context"]),
        }
    }
}

impl Params {
    /// Whether they fit the data that the stages above will make.
    pub(crate) fn check_above(&self, above: &Above<'_>) -> Result<(), FieldError> {
        let data = Data::of(above);
        // What is not known fits.
        let context = data.context.or(self.model.context).unwrap_or(1);
        self.check_data(data.vocab_size.unwrap_or(1), context)
    }

    /// Whether the machine has the memory for it.
    pub(crate) fn check_room(&self, above: &Above<'_>, machine: &Machine) -> Result<(), FieldError> {
        let data = Data::of(above);
        let (vocab_size, context) =
            (self.model.vocab_size.or(data.vocab_size), self.model.context.or(data.context));
        let (Some(vocab_size), Some(context)) = (vocab_size, context) else { return Ok(()) };
        let needs = TrainingMemory::of(&self.model.shape(vocab_size, context), &self.training(context));
        let (has, whose) = match machine.gpu_memory {
            Some(memory) => (memory, "the GPU"),
            None => (machine.memory, "this machine"),
        };
        if needs.total <= has {
            return Ok(());
        }
        let gib = |bytes: u64| bytes as f64 / (1_u64 << 30) as f64;
        let message =
            format!("a step takes {:.1} GiB of memory, and {whose} has {:.1}", gib(needs.total), gib(has));
        Err(FieldError::new("/model", message).help(self.what_saves_memory()))
    }

    fn what_saves_memory(&self) -> String {
        use crate::params::Recompute;
        use muse_model::optim::StateKind;
        let mut ways = Vec::new();
        if *self.recompute == Recompute::None {
            ways.push("`recompute: block`");
        }
        if self.optimizer.state != StateKind::Int8 {
            ways.push("`optimizer: { state: int8 }`");
        }
        ways.push("a smaller `micro_batch`");
        ways.push("a smaller model");
        format!("what saves memory: {}; `muse params` shows what goes where", ways.join(", "))
    }
}
