//! `muse log`: a stage's log.
use crate::app::App;
use crate::args::ValueArgs;
use crate::exit;
use crate::failure::{CliError, CliResult};
use clap::{Args, ValueHint};
use muse_runtime::run::file_name;
use muse_runtime::view::history;
use muse_store::Store;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  muse log pipelines/tiny.yaml base             what the stage printed, last attempt
  muse log pipelines/tiny.yaml base -f          go on as it prints, until it ends
  muse log pipelines/tiny.yaml base -n 20       the last 20 lines
  muse log pipelines/tiny.yaml base --attempt 1 the first of several tries";

/// A stage's log.
///
/// Prints what a stage wrote to its standard output and error in the last run that ran it. Logs belong to runs and
/// are kept for each attempt, so the log of a try that failed is there after the retry that went well.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct LogArgs {
    /// The pipeline file.
    #[arg(value_name = "PIPELINE", value_hint = ValueHint::FilePath)]
    pub(crate) pipeline: PathBuf,
    /// The stage.
    #[arg(value_name = "STAGE")]
    pub(crate) stage: String,
    /// Go on as the log grows, until the stage ends.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only the last lines.
    #[arg(long, short = 'n', value_name = "N")]
    pub(crate) lines: Option<usize>,
    /// The log of this attempt, from 1 [default: the last].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) attempt: Option<u32>,
}

/// Prints it.
pub(crate) fn run(app: &mut App<'_>, args: &LogArgs) -> CliResult {
    let store = app.store_of(&args.pipeline)?;
    let Some(newest) = history::log_of(&store, &args.pipeline, &args.stage)? else {
        // A pipeline that cannot be read today may have logs of before, so it is read only to say what is wrong.
        app.load(&args.pipeline, &ValueArgs::default(), false)?.find(&args.stage)?;
        let message =
            format!("stage `{}` of {} has no log on this store", args.stage, args.pipeline.display());
        return Err(CliError::failed(message).hint("a result that came from elsewhere has its log there"));
    };
    let path = match args.attempt {
        Some(number) => newest.with_file_name(format!("attempt-{number}.log")),
        None => newest,
    };
    let unread = |error: std::io::Error| CliError::io(exit::FAILED, "cannot read", &path)(error);
    let mut file = File::open(&path).map_err(unread)?;
    if let Some(lines) = args.lines {
        seek_to_last(&mut file, lines).map_err(unread)?;
    }
    let mut piece = vec![0; 1 << 16];
    loop {
        match file.read(&mut piece).map_err(unread)? {
            0 if !args.follow => break,
            0 => {
                app.out.flush()?;
                if !goes_on(&store, &path) {
                    // What was written between the last look and the end.
                    while let read @ 1.. = file.read(&mut piece).map_err(unread)? {
                        app.out.bytes(&piece[..read])?;
                    }
                    break;
                }
                std::thread::sleep(GLANCE);
            }
            read => app.out.bytes(&piece[..read])?,
        }
    }
    app.out.flush()?;
    Ok(exit::DONE)
}

/// How often a log that is followed is looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// Whether the stage whose log this is still runs: `runs/RUN/STAGE/attempt-N.log`.
fn goes_on(store: &Store, log: &Path) -> bool {
    let Some(stage) = log.parent() else { return false };
    let run = stage.parent().and_then(|run| run.file_name()).and_then(|run| run.to_str());
    let history = run.and_then(|run| history::read(store, run)).filter(|run| run.live);
    history.is_some_and(|run| {
        let mut stages = run.stages.iter();
        stages.any(|known| stage.ends_with(file_name(&known.stage)) && known.outcome.is_none())
    })
}

/// Moves to where the last `lines` lines begin.
fn seek_to_last(file: &mut File, lines: usize) -> std::io::Result<()> {
    let mut at = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok(());
    }
    let (mut seen, mut piece) = (0, vec![0; 1 << 14]);
    let end = at;
    while at > 0 {
        let size = at.min(piece.len() as u64);
        at -= size;
        file.seek(SeekFrom::Start(at))?;
        let part = &mut piece[..usize::try_from(size).unwrap_or(0)];
        file.read_exact(part)?;
        for (place, _) in part.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            // The last line's own end begins nothing.
            let begins = at + place as u64 + 1;
            if begins < end {
                seen += 1;
            }
            if seen == lines {
                file.seek(SeekFrom::Start(begins))?;
                return Ok(());
            }
        }
    }
    file.seek(SeekFrom::Start(0)).map(drop)
}
