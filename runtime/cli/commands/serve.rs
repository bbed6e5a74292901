//! `muse serve`: a model over HTTP.
use crate::app::App;
use crate::exit;
use crate::failure::{CliError, CliResult, plain_io};
use crate::format::visible;
use crate::model::ModelArgs;
use crate::signals::Watch;
use crate::terminal::Terminal;
use crate::values::{duration, size};
use clap::{Args, value_parser};
use muse_inference::chat;
use muse_serve::{Log, Server, Settings};
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, SystemTime};

const EXAMPLES: &str = "\
Examples:
  muse serve pipelines/quickstart.yaml:chat           a page to chat in at http://127.0.0.1:8000
  muse serve out/model --port 9000 --slots 16         more texts at once
  MUSE_API_KEY=secret muse serve out/model --host 0.0.0.0    for others, who must show the key
  curl http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' \\
       -d '{\"messages\": [{\"role\": \"user\", \"content\": \"こんにちは\"}]}'";

/// A model over HTTP, as the OpenAI API speaks.
///
/// Serves completions and chats, whole or streamed, to as many at once as there are slots; the others wait in turn. At
/// `/` stands a page to chat in, at `/health` and `/metrics` what monitors ask for. It listens on this machine alone
/// unless `--host` says otherwise, and writes no prompt to its log unless told to.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// The model.
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// The port; 0 for any that is free.
    #[arg(long, value_name = "N", default_value_t = 8000)]
    pub(crate) port: u16,
    /// What the model is called [default: the last part of MODEL].
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Texts that are written at once; each takes memory for its whole context.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = value_parser!(u64).range(1..=4096))]
    pub(crate) slots: u64,
    /// Texts that may wait for a slot; more are told to come back.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u64).range(1..=1 << 20))]
    pub(crate) queue: u64,
    /// What whoever asks must show as `Authorization: Bearer KEY`.
    #[arg(long, value_name = "KEY", env = "MUSE_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,
    /// The largest request.
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = size)]
    pub(crate) max_body: u64,
    /// The most connections at once; more wait.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = value_parser!(u64).range(1..=1 << 20))]
    pub(crate) connections: u64,
    /// How long answers may take once the end was asked for.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) grace: Duration,
    /// Write what is asked to the log.
    #[arg(long)]
    pub(crate) log_prompts: bool,
}

/// Serves until a signal comes.
pub(crate) fn run(app: &mut App<'_>, args: &ServeArgs) -> CliResult {
    let address = SocketAddr::new(args.host, args.port);
    let wrong =
        |error: std::io::Error| CliError::failed(format!("cannot listen at {address}: {}", plain_io(&error)));
    room_for(args.connections);
    let server =
        Server::bind(address).map_err(|error| wrong(error).hint("`--port 0` takes one that is free"))?;
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let model = app.model(&args.model, count(args.slots), count(args.queue))?;
    let tokenizer = model.tokenizer();
    let (ends, ends_of_text) = (chat::ends(tokenizer)?, tokenizer.end_of_text().into_iter().collect());
    let terminal = app.terminal;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let settings = Settings {
        name: args.name.clone().unwrap_or_else(|| name_of(&args.model.model)),
        key: args.api_key.clone().filter(|key| !key.is_empty()),
        body: count(args.max_body),
        connections: count(args.connections),
        grace: args.grace,
        ends,
        ends_of_text,
        log: lines(terminal, "")?,
        log_prompts: if args.log_prompts { Some(lines(terminal, "asked: ")?) } else { None },
        started: now.as_secs(),
    };
    let (at, name, keyed) = (server.address().map_err(wrong)?, settings.name.clone(), settings.key.is_some());
    if !at.ip().is_loopback() && !keyed {
        terminal.warn("whoever reaches this address may ask: `--api-key` keeps others out");
    }
    let stop = server.stopper();
    // The second signal ends it without waiting for answers.
    let _watch = Watch::start(move |count| {
        stop.stop();
        if count > 1 {
            stop.stop_now();
        }
    })?;
    app.out.line(&format!("http://{at}"))?;
    app.out.flush()?;
    let (slots, context) = (args.slots, model.room().context);
    terminal.say(&format!("{name}: {slots} texts at once, {context} tokens each; Ctrl-C ends"));
    match server.run(model, settings) {
        Ok(true) => terminal.say("every answer was given"),
        Ok(false) => terminal.warn("some answers were cut short"),
        Err(error) => return Err(CliError::failed(format!("cannot serve: {}", plain_io(&error)))),
    }
    Ok(exit::DONE)
}

/// A log whose lines are printed by a thread of their own: where nobody reads them, lines are lost, and no answer waits.
fn lines(terminal: Terminal, before: &'static str) -> CliResult<Log> {
    const WAITING: usize = 1024;
    let (lines, printed) = sync_channel::<String>(WAITING);
    let print = move || printed.iter().for_each(|line| terminal.say(&format!("{before}{}", visible(&line))));
    let spawned = thread::Builder::new().name("log".into()).spawn(print);
    spawned.map_err(|error| CliError::failed(format!("cannot start a thread: {}", plain_io(&error))))?;
    Ok(Box::new(move |line| drop(lines.try_send(line.to_owned()))))
}

/// Every connection is an open file: takes as many as the system lets.
fn room_for(connections: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const OTHERS: u64 = 256;
    let limit = getrlimit(Resource::Nofile);
    let wanted = connections.saturating_add(OTHERS).min(limit.maximum.unwrap_or(u64::MAX));
    if limit.current.is_some_and(|current| current < wanted) {
        // Where it cannot be had, those for whom there is no room wait.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
    }
}

/// `quickstart:base` of `pipelines/quickstart.yaml:base`, `model` of `out/model/`.
fn name_of(model: &str) -> String {
    let last = model.trim_end_matches('/').rsplit('/').next().unwrap_or(model);
    last.replace(".yaml:", ":").replace(".yml:", ":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_called_by_the_last_part_of_its_place() {
        assert_eq!(name_of("pipelines/quickstart.yaml:base"), "quickstart:base");
        assert_eq!(name_of("out/model/"), "model");
        assert_eq!(name_of("model"), "model");
    }
}
