//! `eval`: how good models are.
//!
//! `task` is a task's file and `check` what its schema cannot say; `data` finds the items of a task and `rows` reads them; `prompt`
//! makes questions of items, by `template` and with examples by `chance`, as `turns`. `above` is what is checked before anything runs. `ask` puts questions to a model, `measure` texts, and `judge` says how good
//! the answers are; `run` is the loop, `record` what becomes of an item and `keep` what is kept of it; `report` and `page` are what comes out.
mod above;
mod ask;
mod chance;
mod check;
mod data;
mod judge;
mod keep;
mod measure;
mod page;
mod params;
mod prompt;
mod record;
mod report;
mod rows;
mod run;
mod task;
mod template;
#[cfg(test)]
mod tests;
mod turns;

pub use params::Params;
pub use task::Task;

use muse_stage::schemars::generate::SchemaSettings;
use muse_stage::{
    Above, ArtifactType, Context, Description, FieldError, InputPort, Machine, OutputPort, Stage, StageError,
};

/// Says how good models are.
pub struct Eval;

impl Stage for Eval {
    type Params = Params;
    const KIND: &'static str = "eval";
    const VERSION: u32 = 2;
    const DOC: &'static str = "Says how good models are, by tasks and by held-out text.\n\n\
        Figures are those of lm-evaluation-harness: multiple choice by log-likelihood, generation by exact match, perplexity \
        and bits per byte. A task takes the entry of `data` that has its name, else the only one that is named after no task; \
        its own `files` go before both. Several models are compared, item by item.\n\n\
        `report.json` has all figures with their standard errors, `report.md` the same as tables, `items.jsonl` what became of \
        each item.";

    fn inputs(&self) -> Vec<InputPort> {
        use ArtifactType::{Checkpoint, Corpus, File, Folder, Tokenizer, Tokens};
        vec![
            InputPort::required("model", &[Checkpoint, Folder]).many(),
            InputPort::optional("tokenizer", &[Tokenizer]),
            InputPort::optional("data", &[Folder, File, Corpus, Tokens]).many(),
        ]
    }

    fn outputs(&self) -> Vec<OutputPort> {
        vec![OutputPort::new("report", ArtifactType::Report)]
    }

    fn habits(&self, description: Description) -> Description {
        Description { resumes: true, device: true, ..description }
    }

    fn check(&self, params: &Params) -> Result<(), FieldError> {
        check::params(params)
    }

    fn fits(&self, _: &Params, above: &Above<'_>) -> Result<(), FieldError> {
        above::fits(above)
    }

    fn room(&self, params: &Params, above: &Above<'_>, machine: &Machine) -> Result<(), FieldError> {
        above::room(params, above, machine)
    }

    fn run(&self, context: &mut Context, params: Params) -> Result<(), StageError> {
        run::run(context, &params)
    }
}

/// The schema of a task's file, for editors.
pub fn task_schema() -> serde_json::Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Task>().to_value()
}
