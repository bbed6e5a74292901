//! `muse stages`: the stage kinds, and a page on each.
mod fields;
pub(crate) mod page;

use crate::app::App;
use crate::exit;
use crate::failure::{CliError, CliResult};
use crate::format::Table;
use clap::Args;
use muse_runtime::diagnostic::nearest;
use muse_runtime::document::PluginFinder;
use muse_runtime::exec::Plugins;
use muse_stage::Description;

const EXAMPLES: &str = "\
Examples:
  muse stages                      all kinds, in the order in which a language model is made
  muse stages command              one kind: ports, fields, defaults
  muse stages command --json       the same for programs, with the JSON Schema of its fields";

/// The stage kinds: ports, fields, defaults.
///
/// Without KIND lists what may stand behind `uses:`. With KIND shows its page: what it takes, what it makes, and
/// every field of `with:` with its type, its default and what it means.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct StagesArgs {
    /// A kind.
    #[arg(value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// Print JSON: an array of kinds, or one object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Shows them.
pub(crate) fn run(app: &mut App<'_>, args: &StagesArgs) -> CliResult {
    let kinds: Vec<Description> = app.kinds.iter().map(|kind| kind.describe()).collect();
    match &args.kind {
        None if args.json => app.out.json(&kinds)?,
        None => {
            let mut table = Table::default();
            for kind in &kinds {
                let doc = kind.doc.lines().next().unwrap_or_default();
                table.row([app.paint.strong(&kind.name), flow(kind), doc.to_owned()]);
            }
            app.out.text(&table.draw(""))?;
        }
        Some(name) => {
            let kind = match kinds.iter().find(|kind| kind.name == *name) {
                Some(kind) => kind.clone(),
                None => plugin(app, name)?.ok_or_else(|| unknown(name, &kinds))?,
            };
            if args.json {
                app.out.json(&kind)?;
            } else {
                app.out.text(&page::draw(&kind, app.paint))?;
            }
        }
    }
    app.out.flush()?;
    Ok(exit::DONE)
}

/// The kind of an executable `muse-stage-NAME` on the path.
fn plugin(app: &App<'_>, name: &str) -> CliResult<Option<Description>> {
    let plugins = Plugins { path: app.environment.text("PATH").unwrap_or_default().to_owned() };
    let named = !name.is_empty() && !name.contains('/');
    let found = if named { plugins.find(name, None).map_err(CliError::usage)? } else { None };
    Ok(found.map(|(_, description)| description))
}

fn unknown(name: &str, kinds: &[Description]) -> CliError {
    let error = CliError::usage(format!("there is no stage kind `{name}`"));
    match nearest(name, kinds.iter().map(|kind| kind.name.as_str())) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("`muse stages` lists them"),
    }
}

/// What goes in and what comes out, in one short text: `corpus…, tokenizer → tokens`.
fn flow(kind: &Description) -> String {
    let mut takes: Vec<String> = kind
        .inputs
        .iter()
        .map(|port| {
            let many = if port.many { "…" } else { "" };
            let maybe = if port.required { "" } else { "?" };
            format!("{}{many}{maybe}", port.name)
        })
        .collect();
    takes.extend(kind.any_input.then(|| "any".to_owned()));
    let makes = match kind.outputs.as_slice() {
        [] => "any".to_owned(),
        outputs => {
            let mut types: Vec<&str> = outputs.iter().map(|output| output.kind.name()).collect();
            types.dedup();
            types.join(", ")
        }
    };
    let takes = takes.join(", ");
    if takes.is_empty() { format!("→ {makes}") } else { format!("{takes} → {makes}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::printed_with;
    use muse_stage::{ArtifactType, Context, InputPort, OutputPort, Stage, StageError, schemars};
    use muse_stage::{Bytes, CommandText, Execution, InputFiles};
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use std::collections::BTreeMap;

    /// How to cut.
    #[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
    #[serde(rename_all = "kebab-case")]
    enum Strategy {
        /// One document behind the other.
        #[default]
        Concat,
        /// The one that fits best.
        BestFit,
    }

    /// A share, or the end.
    #[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
    struct Split {
        /// A share of the documents.
        tail: Option<f64>,
    }

    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    struct Params {
        /// What to start.
        run: CommandText,
        /// Input files by name.
        #[serde(default)]
        files: BTreeMap<String, InputFiles>,
        /// Tokens in a row.
        #[serde(default = "context")]
        #[schemars(range(min = 1, max = 65536))]
        context: u32,
        /// How documents become rows. This text is long enough to be wrapped by a page that is 100 columns wide, is it not.
        #[serde(default)]
        strategy: Strategy,
        /// What is held back.
        #[serde(default)]
        split: Split,
        names: Option<Vec<String>>,
        /// Memory for sorting.
        buffer: Option<Execution<Bytes>>,
    }

    fn context() -> u32 {
        512
    }

    struct Pack;
    impl Stage for Pack {
        type Params = Params;
        const KIND: &'static str = "pack";
        const VERSION: u32 = 3;
        const DOC: &'static str = "Rows of tokens from documents.\n\nKeeps the order of the corpus.";
        fn inputs(&self) -> Vec<InputPort> {
            vec![
                InputPort::required("corpus", &[ArtifactType::Corpus, ArtifactType::Folder]).many(),
                InputPort::optional("tokenizer", &[ArtifactType::Tokenizer]),
            ]
        }
        fn outputs(&self) -> Vec<OutputPort> {
            vec![
                OutputPort::new("train", ArtifactType::Tokens),
                OutputPort::new("valid", ArtifactType::Tokens),
            ]
        }
        fn run(&self, _: &mut Context, _: Params) -> Result<(), StageError> {
            Ok(())
        }
    }

    fn stages(kind: Option<&str>, json: bool) -> (Option<u8>, String) {
        printed_with(&[&Pack], |app| run(app, &StagesArgs { kind: kind.map(str::to_owned), json }))
    }

    #[test]
    fn a_page_says_all_that_may_be_written() {
        insta::assert_snapshot!(stages(Some("pack"), false).1);
    }

    #[test]
    fn the_list_is_one_line_a_kind() {
        assert_eq!(
            stages(None, false).1,
            "pack  corpus…, tokenizer? → tokens  Rows of tokens from documents.\n"
        );
    }

    #[test]
    fn programs_get_the_description() {
        let one: serde_json::Value = serde_json::from_str(&stages(Some("pack"), true).1).unwrap();
        assert_eq!(one["params"]["properties"]["context"]["default"], 512);
        let all: serde_json::Value = serde_json::from_str(&stages(None, true).1).unwrap();
        assert_eq!(all, serde_json::json!([one]));
    }

    #[test]
    fn a_kind_that_is_nearly_right_is_proposed() {
        let error = unknown("pakc", &[muse_stage::StageKind::describe(&Pack)]);
        assert_eq!((error.code, error.hints.as_slice()), (2, ["did you mean `pack`?".to_owned()].as_slice()));
        assert_eq!(stages(Some("pakc"), false), (None, String::new()));
    }
}
