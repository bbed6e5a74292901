//! `muse inspect`: what a file, a folder or a result holds.
mod holds;

use crate::app::App;
use crate::args::ValueArgs;
use crate::exit;
use crate::failure::CliResult;
use crate::format::{duration, moment};
use crate::values::StageOfPipeline;
use clap::Args;
use holds::{Holds, Listed};
use muse_store::TreeEntry;

const EXAMPLES: &str = "\
Examples:
  muse inspect data/train.jsonl                 size, lines, first lines
  muse inspect out/tokenizer                    a folder: its files, largest first
  muse inspect pipelines/tiny.yaml:count        a stage's result";

/// What a file, a folder or a result holds.
///
/// Shows sizes, the first lines of a text and the largest files of a folder. PIPELINE:STAGE, with or without
/// `.OUTPUT`, shows what the store keeps for a stage: its outputs, how it was made and when.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct InspectArgs {
    /// A path, or PIPELINE:STAGE.
    #[arg(value_name = "WHAT")]
    pub(crate) what: String,
    /// Values of the pipeline.
    #[command(flatten)]
    pub(crate) values: ValueArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Shows it.
pub(crate) fn run(app: &mut App<'_>, args: &InspectArgs) -> CliResult {
    let path = app.environment.folder.join(&args.what);
    // A path that is there is meant as one, also with a colon in its name.
    match StageOfPipeline::find(&args.what) {
        Some(stage) if !path.exists() => result(app, args, &stage),
        _ => {
            let holds = Holds::of(&path)?;
            if args.json {
                app.out.json(&holds)?;
            } else {
                app.out.text(&holds.draw(&args.what))?;
            }
            app.out.flush()?;
            Ok(exit::DONE)
        }
    }
}

/// What the store keeps for a stage.
fn result(app: &mut App<'_>, args: &InspectArgs, stage: &StageOfPipeline) -> CliResult {
    let opened = app.open(&stage.pipeline, &args.values)?;
    let (number, output) = opened.one_stage(&stage.stage)?;
    let record = opened.result(&stage.pipeline, &args.values, number)?;
    let outputs =
        record.outputs.iter().filter(|(name, _)| output.is_none_or(|output| output == name.as_str()));
    let mut text = String::new();
    let mut held = std::collections::BTreeMap::new();
    for (name, artifact) in outputs {
        let holds = if artifact.tree {
            let tree = opened.store.tree(&artifact.digest)?;
            let listed = tree.entries().iter().filter_map(|entry| match entry {
                TreeEntry::File { path, bytes, digest, .. } => {
                    Some(Listed { name: path.clone(), bytes: *bytes, path: opened.store.blob_path(digest) })
                }
                TreeEntry::Empty { .. } => None,
            });
            Holds::folder(listed.collect())
        } else {
            Holds::of(&opened.store.blob_path(&artifact.digest))?
        };
        text += &holds.draw(name);
        text += &format!("  {}\n", artifact.digest);
        held.insert(name.clone(), holds);
    }
    if args.json {
        let made = serde_json::json!({ "made": record.made, "run": record.run, "seconds": record.seconds, "adopted": record.adopted });
        app.out.json(&serde_json::json!({ "stage": record.stage, "key": record.key.to_string(), "record": made, "outputs": held }))?;
    } else {
        let how = if record.adopted { "adopted" } else { "made" };
        text += &format!("{how} {} in {}\n", moment(&record.made), duration(record.seconds));
        app.out.text(&text)?;
    }
    app.out.flush()?;
    Ok(exit::DONE)
}
