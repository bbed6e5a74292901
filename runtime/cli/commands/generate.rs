//! `muse generate`: a model goes on with a text.
use crate::app::App;
use crate::exit;
use crate::failure::{CliError, CliResult};
use crate::model::{ModelArgs, SamplingArgs};
use clap::Args;
use muse_inference::{Answer, Ended, News, Reason, chat, encode};
use serde_json::json;
use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  muse generate pipelines/quickstart.yaml:base --prompt 'むかしむかし'     a stage's model
  muse generate out/model --prompt 'Once upon a time' --max-tokens 200    a folder that `export` made
  muse generate out/model --prompt-file story.txt --temperature 0         the likeliest text
  muse generate out/model --prompt A --prompt B --json                    several at once, an object a line
  echo -n 'Dear' | muse generate out/model --prompt-file - --seed 7       from a pipe, the same each time";

/// Tokens that are written where nobody says how many.
const USUAL: usize = 256;
/// Texts that are written at once.
const SIDE_BY_SIDE: usize = 8;

/// A model goes on with a text.
///
/// Writes what the model makes of each prompt, up to the end that the model has learned, to a `--stop`, or to
/// `--max-tokens`. The prompt itself is not repeated. In a terminal, text is shown as it comes; several prompts are
/// worked on side by side. For a conversation there is `muse chat`.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct GenerateArgs {
    /// The model.
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// What to go on with. May be repeated.
    #[arg(long, value_name = "TEXT", required_unless_present = "prompt_file")]
    pub(crate) prompt: Vec<String>,
    /// A file that holds a prompt; `-` is standard input. May be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) prompt_file: Vec<PathBuf>,
    /// How tokens are chosen.
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    /// Show text as it comes, also where nobody looks.
    #[arg(long)]
    pub(crate) stream: bool,
    /// Print one JSON object for each prompt.
    #[arg(long, conflicts_with = "stream")]
    pub(crate) json: bool,
}

/// Writes them.
pub(crate) fn run(app: &mut App<'_>, args: &GenerateArgs) -> CliResult {
    let mut prompts = args.prompt.clone();
    for path in &args.prompt_file {
        prompts.push(read(&app.environment.folder, path)?);
    }
    let begin = Instant::now();
    let model = app.model(&args.model, prompts.len().min(SIDE_BY_SIDE), prompts.len())?;
    app.terminal.detail(&format!("the model is ready after {:.1} s", begin.elapsed().as_secs_f64()));
    let ends = chat::ends(model.tokenizer())?;
    let mut answers = Vec::new();
    for (prompt, number) in prompts.iter().zip(0..) {
        let ids = encode(model.tokenizer(), prompt)?;
        answers.push(model.answer(args.sampling.order(ids, USUAL, ends.clone(), number))?);
    }
    let live = !args.json && (args.stream || io::stdout().is_terminal());
    for (number, (prompt, answer)) in prompts.iter().zip(answers).enumerate() {
        if number > 0 && !args.json {
            app.out.line("")?;
        }
        let (text, ended) = one(app, &answer, live, args.json)?;
        if args.json {
            app.out.json_line(&json!({
                "prompt": prompt,
                "text": text,
                "finish_reason": reason(ended.reason),
                "usage": { "prompt_tokens": ended.prompt, "completion_tokens": ended.written },
            }))?;
        } else if !text.ends_with('\n') {
            app.out.line("")?;
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let written = model.totals().written.load(std::sync::atomic::Ordering::Relaxed);
    app.terminal.detail(&format!("{written} tokens, {seconds:.1} s in all"));
    app.out.flush()?;
    Ok(exit::DONE)
}

/// Writes an answer as it comes.
fn one(app: &mut App<'_>, answer: &Answer, live: bool, silent: bool) -> CliResult<(String, Ended)> {
    let mut text = String::new();
    loop {
        match answer.wait()? {
            News::Piece(piece) => {
                if !silent {
                    app.out.text(&piece.text)?;
                }
                if live {
                    app.out.flush()?;
                }
                text += &piece.text;
            }
            News::Ended(ended) => return Ok((text, ended)),
        }
    }
}

/// Why a text ended, as the OpenAI API says it.
pub(crate) fn reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Stop => "stop",
        Reason::Length => "length",
    }
}

fn read(folder: &Path, path: &Path) -> CliResult<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        let read = io::stdin().read_to_string(&mut text);
        read.map_err(|error| CliError::usage(format!("cannot read standard input: {error}")))?;
        return Ok(text);
    }
    let path = folder.join(path);
    fs::read_to_string(&path).map_err(CliError::io(exit::USAGE, "cannot read", &path))
}
