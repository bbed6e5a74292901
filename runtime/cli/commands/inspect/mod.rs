//! `muse inspect`: what a file, a folder or a result holds.
mod compare;
mod holds;
mod hub;

use crate::app::App;
use crate::args::ValueArgs;
use crate::display::tree;
use crate::exit;
use crate::failure::{CliError, CliResult};
use crate::format::{duration, moment};
use crate::open::Opened;
use crate::values::StageOfPipeline;
use clap::Args;
use holds::{Holds, Listed};
use muse_stages::look;
use muse_store::{Record, TreeEntry};
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  muse inspect data/train.jsonl                 columns, what would be read as text or chat, first rows
  muse inspect out/tokenizer                    a folder: its files, its report, its first documents
  muse inspect pipelines/tiny.yaml:count        a stage's result
  muse inspect hub:roneneldan/TinyStories       a data set of the hub: configurations, splits, sizes, licence, rows
  muse inspect hub:models/Qwen/Qwen3-0.6B@main  a model's repository, of a branch, a tag or a commit
  muse inspect a/ b/ p.yaml:tokenizer --text t  tokenizers side by side on a text";

/// What a file, a folder, a result or a data set of the hub holds.
///
/// Shows columns and rows of data files, the report of what a stage made, sizes and first lines of the rest. PIPELINE:STAGE,
/// with or without `.OUTPUT`, shows what the store keeps for a stage: its outputs, how it was made and when. Several
/// tokenizers are compared, by how many characters and bytes a token stands for.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct InspectArgs {
    /// A path, PIPELINE:STAGE, or hub:OWNER/NAME.
    #[arg(value_name = "WHAT", required = true)]
    pub(crate) what: Vec<String>,
    /// A text to compare tokenizers on. May be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) text: Vec<PathBuf>,
    /// Values of the pipeline.
    #[command(flatten)]
    pub(crate) values: ValueArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Shows it.
pub(crate) fn run(app: &mut App<'_>, args: &InspectArgs) -> CliResult {
    let [what] = args.what.as_slice() else { return compare::compare(app, args) };
    let path = app.environment.folder.join(what);
    // A path that is there is meant as one, also with a colon in its name.
    match StageOfPipeline::find(what) {
        _ if path.exists() => {}
        _ if what.starts_with(hub::PREFIX) => return hub::show(app, what, args.json),
        Some(stage) => return result(app, args, &stage),
        None => {}
    }
    let holds = Holds::of(&path)?;
    let data = match &holds {
        Holds::File { .. } => {
            look::inspect_file(&path).map_err(|error| CliError::usage(error.to_string()))?
        }
        Holds::Folder { .. } => None,
    };
    // Of plain text the first lines say it all.
    match data.filter(|data| data["format"] != "text") {
        Some(data) if args.json => app.out.json(&serde_json::json!({ "file": holds, "data": data }))?,
        Some(mut data) => {
            // The first line has these.
            data.as_object_mut()
                .into_iter()
                .for_each(|data| data.retain(|name, _| name != "bytes" && name != "file"));
            app.out.text(&format!("{}{}", holds.line(what), tree::draw(&data, 2)))?;
        }
        None if args.json => app.out.json(&holds)?,
        None => app.out.text(&holds.draw(what))?,
    }
    app.out.flush()?;
    Ok(exit::DONE)
}

/// The record of a stage, of which only the output that was asked for is left, where one was.
fn made(app: &App<'_>, args: &InspectArgs, stage: &StageOfPipeline) -> CliResult<(Opened, Record)> {
    let opened = app.open(&stage.pipeline, &args.values)?;
    let (number, output) = opened.one_stage(&stage.stage)?;
    let mut record = opened.result(&stage.pipeline, &args.values, number)?;
    record.outputs.retain(|name, _| output.is_none_or(|output| output == name));
    Ok((opened, record))
}

/// What the store keeps for a stage.
fn result(app: &mut App<'_>, args: &InspectArgs, stage: &StageOfPipeline) -> CliResult {
    let (opened, record) = made(app, args, stage)?;
    let mut text = String::new();
    let mut held = std::collections::BTreeMap::new();
    for (name, artifact) in &record.outputs {
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
