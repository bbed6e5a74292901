//! `muse gc`: free space in the store.
use crate::app::App;
use crate::exit;
use crate::failure::CliResult;
use crate::format::{Table, bytes, plural, visible};
use crate::values::size;
use clap::Args;
use muse_runtime::gc;

const EXAMPLES: &str = "\
Examples:
  muse gc --dry-run                what would go, to the byte
  muse gc                          temp results, results past their duration, what no last run names
  muse gc --max-size 200GiB        then the longest unused, until the store is that small
  muse gc --keep-last 5            keep what the last 5 runs of each pipeline name";

/// Free space in the store.
///
/// Without flags: results kept as `temp`, results past their duration, and what no last run of a pipeline names.
/// Results kept `forever`, and what a live run holds, stay. What goes can be made again: its record stays, so that
/// stages standing on it remain hits.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct GcArgs {
    /// Go on by last use until the store is this small.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_size: Option<u64>,
    /// Keep what the last N runs of each pipeline name.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep_last: Option<u32>,
    /// Only say what would go.
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Frees.
pub(crate) fn run(app: &mut App<'_>, args: &GcArgs) -> CliResult {
    let store = app.store();
    let policy = gc::policy(&store, args.keep_last.unwrap_or(1) as usize, args.max_size)?;
    let plan = store.gc_plan(&policy)?;
    app.complain(&store);
    let freed = if args.dry_run { plan.frees } else { store.gc_apply(&plan)? };
    if args.json {
        let drop: Vec<_> = plan
            .drop
            .iter()
            .map(|drop| {
                let key = drop.key.map(|key| key.to_string());
                serde_json::json!({ "key": key, "stage": drop.stage, "pipeline": drop.pipeline, "bytes": drop.bytes, "why": drop.why.to_string() })
            })
            .collect();
        let litter: u64 = plan.litter.iter().map(|litter| litter.bytes).sum();
        app.out.json(&serde_json::json!({ "dry_run": args.dry_run, "drop": drop, "freed": freed, "stays": plan.stays, "litter": litter }))?;
        return Ok(exit::DONE);
    }
    let mut table = Table::new(&[0]);
    for drop in &plan.drop {
        let name = match drop.key {
            Some(_) => format!("{}:{}", drop.pipeline, drop.stage),
            None => "content".to_owned(),
        };
        table.row([bytes(drop.bytes), visible(&name), app.paint.faint(&drop.why.to_string())]);
    }
    let litter: u64 = plan.litter.iter().map(|litter| litter.bytes).sum();
    if !plan.litter.is_empty() {
        let left = plural(plan.litter.len(), "leftover");
        table.row([bytes(litter), left, app.paint.faint("of runs that are over")]);
    }
    app.out.text(&table.draw(""))?;
    let word = if args.dry_run { "would free" } else { "freed" };
    app.out.line(&format!("{word} {} of results, {} stay", bytes(freed), bytes(plan.stays)))?;
    app.out.flush()?;
    Ok(exit::DONE)
}
