//! What the schema cannot say of the parameters, and what the stages above and the machine say against them.
use crate::params::Params;
use muse_model::config::Model;
use muse_stage::{Above, FieldError, Machine};
use muse_training::above::{Data, model_at};
use muse_training::check::{check_batch, check_steps};

/// Nobody learns the same more often.
const MOST_EPOCHS: f64 = 10_000.0;

impl Params {
    /// Whether they make sense.
    pub fn check(&self) -> Result<(), FieldError> {
        check_batch(self.batch_tokens.0)?;
        self.check_length()?;
        self.recipe(1).check(None)
    }

    fn check_length(&self) -> Result<(), FieldError> {
        let given = [
            ("epochs", self.epochs.is_some()),
            ("tokens", self.tokens.is_some()),
            ("steps", self.steps.is_some()),
        ];
        let mut given = given.into_iter().filter_map(|(name, there)| there.then_some(name));
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            let message = format!("`{first}` and `{second}` both say how long to train");
            return Err(FieldError::new(format!("/{second}"), message).help("take one of them away"));
        }
        if let Some(epochs) = self.epochs.filter(|epochs| !(*epochs > 0.0 && *epochs <= MOST_EPOCHS)) {
            let help = format!("more than 0, and {MOST_EPOCHS} at most; 1 to 5 are usual");
            return Err(FieldError::new("/epochs", format!("{epochs} times all data")).help(help));
        }
        match (self.tokens, self.steps) {
            (Some(tokens), _) => {
                let said = format!("`tokens` is {}", tokens.0.0);
                check_steps("/tokens", &said, self.steps().unwrap_or_default())
            }
            (None, Some(steps)) => check_steps("/steps", &format!("`steps` is {}", steps.0.0), steps.0.0),
            (None, None) => Ok(()),
        }
    }

    /// Whether they fit a model, and data of this vocabulary, as far as it is known, and of sequences of this length.
    pub(crate) fn check_data(
        &self,
        model: &Model,
        vocab_size: Option<usize>,
        context: usize,
    ) -> Result<(), FieldError> {
        if let (Some(has), Some(wants)) = (model.vocab_size, vocab_size)
            && has < wants
        {
            let message = format!("the model at `init` has {has} tokens, and the data's tokenizer {wants}");
            return Err(FieldError::new("", message).help("pack with the tokenizer that the model learned"));
        }
        if let Some(has) = model.context.filter(|has| *has < context) {
            let message = format!("sequences of {context} tokens, and the model at `init` has learned {has}");
            return Err(FieldError::new("", message).help(format!("pack with `context: {has}` or less")));
        }
        let recipe = self.recipe(1);
        recipe.check(Some(model))?;
        recipe.check_context(context)
    }

    /// Whether they fit the data and the model that the stages above will make.
    pub(crate) fn check_above(&self, above: &Above<'_>) -> Result<(), FieldError> {
        let data = Data::of(above);
        masked(data.masked.unwrap_or(true))?;
        // What is not known fits.
        match (model_at(above, "init"), data.context) {
            (Some(model), context) => self.check_data(&model, data.vocab_size, context.unwrap_or(1)),
            (None, Some(context)) => self.recipe(1).check_context(context),
            (None, None) => Ok(()),
        }
    }

    /// Whether the machine has the memory for it, where the model is known.
    pub(crate) fn check_room(&self, above: &Above<'_>, machine: &Machine) -> Result<(), FieldError> {
        let Some(model) = model_at(above, "init") else { return Ok(()) };
        self.recipe(1).check_room(&model, &Data::of(above), machine, "")
    }
}

/// Whether the data is one to learn what the assistant says.
pub(crate) fn masked(is: bool) -> Result<(), FieldError> {
    if is {
        return Ok(());
    }
    let message = "every token of the data carries loss, also what people ask";
    Err(FieldError::new("", message).help("pack chats with `mask: assistant`"))
}
