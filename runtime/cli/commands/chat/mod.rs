//! `muse chat`: a conversation with a model.
mod lines;
mod talk;

use crate::app::App;
use crate::exit;
use crate::failure::{CliError, CliResult};
use crate::model::{ModelArgs, SamplingArgs};
use crate::signals::Watch;
use clap::Args;
use lines::Lines;
use muse_artifacts::corpus::Message;
use muse_inference::{Answer, Model, News, chat};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use talk::{Does, Talk};

const EXAMPLES: &str = "\
Examples:
  muse chat pipelines/quickstart.yaml:chat                 with a stage's model
  muse chat out/model --system '短く答えてください。'        with a folder that `export` made
  printf 'こんにちは\\n元気?\\n' | muse chat out/model -q     a line is a turn
In the conversation, `/help` lists the commands.";

/// How often an answer that takes long looks for Ctrl-C.
const LOOKS: Duration = Duration::from_millis(50);

/// Talk with a model.
///
/// A line is what you say; the answer appears as it comes, and Ctrl-C cuts it short. The model is told the whole
/// conversation each time, as the chat template of its training writes it; where that grows too long, the oldest turns
/// are left out. Commands begin with a slash: `/help` lists them.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct ChatArgs {
    /// The model.
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// What the model is told before the conversation begins.
    #[arg(long, value_name = "TEXT")]
    pub(crate) system: Option<String>,
    /// How tokens are chosen.
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
}

/// Talks.
pub(crate) fn run(app: &mut App<'_>, args: &ChatArgs) -> CliResult {
    let model = app.model(&args.model, 1, 1)?;
    let tokenizer = model.tokenizer();
    if !tokenizer.has_chat_template() {
        return Err(CliError::usage("the model has no chat template: it has not learned to talk")
            .hint("`muse generate` goes on with a text; `sft` teaches a model to answer"));
    }
    let ends = chat::ends(tokenizer)?;
    let mut lines = Lines::open(app.paint)?;
    // Where lines are typed, Ctrl-C is a key there, and a signal only while the model speaks.
    let watch = if lines.typed() { Some(Watch::start(|_| ())?) } else { None };
    let mut talk = Talk::new(args.system.clone(), args.sampling.clone());
    if lines.typed() {
        app.terminal.say("a line is what you say; `/help` lists commands, Ctrl-D ends");
    }
    while let Some(line) = lines.next()? {
        match talk.line(&line) {
            Does::Says(text) => app.terminal.say(&text),
            Does::Nothing => {}
            Does::Ends => break,
            Does::Asks => {
                let heard = watch.as_ref().map(Watch::count);
                let answer = ask(app, &model, &talk, &ends)?;
                let text = show(app, &answer, heard)?;
                talk.answered(text);
            }
        }
    }
    app.out.flush()?;
    Ok(exit::DONE)
}

/// Asks for the answer to what was said so far.
fn ask(app: &App<'_>, model: &Model, talk: &Talk, ends: &[u32]) -> CliResult<Answer> {
    let context = model.room().context;
    let sampling = talk.sampling();
    // Room for an answer, but never more than a quarter of all.
    let answer = sampling.max_tokens.unwrap_or(usize::MAX).clamp(1, (context / 4).max(1));
    let messages: Vec<Message> = talk.messages();
    let prompt = chat::prompt(model.tokenizer(), &messages, context - answer)?;
    if prompt.left_out > 0 {
        app.terminal.detail(&format!("the first {} messages have no room any more", prompt.left_out));
    }
    Ok(model.answer(sampling.order(prompt.ids, usize::MAX, ends.to_vec(), talk.turns()))?)
}

/// Shows an answer as it comes, until a signal does.
fn show(app: &mut App<'_>, answer: &Answer, heard: Option<&AtomicU32>) -> CliResult<String> {
    let before = heard.map(|heard| heard.load(Ordering::SeqCst));
    let mut text = String::new();
    while heard.map(|heard| heard.load(Ordering::SeqCst)) == before {
        match answer.wait_for(LOOKS) {
            None => {}
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(News::Ended(_))) => break,
            Some(Ok(News::Piece(piece))) => {
                app.out.text(&piece.text)?;
                app.out.flush()?;
                text += &piece.text;
            }
        }
    }
    app.out.line("")?;
    app.out.flush()?;
    Ok(text)
}
