//! One file for each command: its arguments, its page, what it does.
pub(crate) mod adopt;
pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod checkpoints;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod exec_stage;
pub(crate) mod expand;
pub(crate) mod gc;
pub(crate) mod generate;
pub(crate) mod get;
pub(crate) mod graph;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod log;
pub(crate) mod man;
pub(crate) mod params;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod schema;
pub(crate) mod serve;
pub(crate) mod stages;
pub(crate) mod status;
pub(crate) mod update;
pub(crate) mod validate;
pub(crate) mod verify;
pub(crate) mod why;

use crate::app::App;
use crate::args::Command;
use crate::failure::CliResult;

/// Does what was asked.
pub(crate) fn dispatch(app: &mut App<'_>, command: &Command) -> CliResult {
    match command {
        Command::Run(args) => run::run(app, args),
        Command::Plan(args) => plan::run(app, args),
        Command::Validate(args) => validate::run(app, args),
        Command::Why(args) => why::run(app, args),
        Command::Status(args) => status::run(app, args),
        Command::Log(args) => log::run(app, args),
        Command::Runs(args) => runs::run(app, args),
        Command::Diff(args) => diff::run(app, args),
        Command::Graph(args) => graph::run(app, args),
        Command::Expand(args) => expand::run(app, args),
        Command::Update(args) => update::run(app, args),
        Command::Get(args) => get::run(app, args),
        Command::Adopt(args) => adopt::run(app, args),
        Command::Gc(args) => gc::run(app, args),
        Command::Verify(args) => verify::run(app, args),
        Command::Stages(args) => stages::run(app, args),
        Command::Schema(args) => schema::run(app, args),
        Command::Params(args) => params::run(app, args),
        Command::Checkpoints(args) => checkpoints::run(app, args),
        Command::Generate(args) => generate::run(app, args),
        Command::Chat(args) => chat::run(app, args),
        Command::Serve(args) => serve::run(app, args),
        Command::Init(args) => init::run(app, args),
        Command::Inspect(args) => inspect::run(app, args),
        Command::Bench(args) => bench::run(app, args),
        Command::Doctor(args) => doctor::run(app, args),
        Command::Completions(args) => completions::run(app, args),
        Command::Man(args) => man::run(app, args),
        Command::ExecStage(args) => exec_stage::run(app, args),
    }
}
