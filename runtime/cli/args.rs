//! What may be typed: global flags, the list of commands, and the groups of flags that commands share.
use crate::commands::{
    adopt, bench, chat, checkpoints, completions, diff, doctor, exec_stage, expand, gc, generate, get, graph,
    init, inspect, log, man, params, plan, run, runs, schema, serve, stages, status, update, validate,
    verify, why,
};
use crate::paint::ColorChoice;
use clap::{Args, Parser, Subcommand, ValueHint};
use std::path::PathBuf;

const FIRST_STEPS: &str = "\
First steps:
  muse init                                  asks, and writes a page of your own
  muse plan pipelines/quickstart.yaml        what a run would do, and why
  muse run pipelines/quickstart.yaml         do it; a second time nothing runs
  muse why pipelines/quickstart.yaml STAGE   what a stage's result depends on
  muse help run                              a page on each command

Exit codes:
  0  done, or nothing to do
  1  a stage failed, or a result asked for is not there
  2  the command line or a file is wrong
  3  `plan --exit-code`: there is work
  4  the store is damaged, full or out of reach
  130  interrupted; what was finished is kept";

/// make, but for language models.
///
/// A pipeline file names stages: data, a tokenizer, training, evaluation, export. Every stage has a key, the hash
/// of all that its result depends on, and the store keeps results by key. So muse runs what is not there yet, and
/// nothing else.
#[derive(Debug, Parser)]
#[command(name = "muse", version, after_help = FIRST_STEPS, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The flags that every command takes.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The flags that every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Where results are kept [default: `cache/` in the project].
    ///
    /// Several people and machines may share one folder, also over NFS.
    #[arg(long, global = true, value_name = "DIR", env = "MUSE_CACHE_DIR", hide_env_values = true)]
    #[arg(value_hint = ValueHint::DirPath)]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Colours in what muse prints.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_possible_values = false
    )]
    pub(crate) color: ColorChoice,
    /// Say only what failed.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more: hits, keys, causes.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

/// A pipeline and what changes it from outside.
#[derive(Clone, Debug, Args)]
pub(crate) struct PipelineArgs {
    /// The pipeline file.
    #[arg(value_name = "PIPELINE", value_hint = ValueHint::FilePath)]
    pub(crate) pipeline: PathBuf,
    /// What the file's parameters become.
    #[command(flatten)]
    pub(crate) values: ValueArgs,
}

/// What a pipeline's parameters become.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ValueArgs {
    /// Give a parameter another value, read as YAML. May be repeated.
    ///
    /// Stronger than a preset, which is stronger than the file.
    #[arg(long, value_name = "K=V")]
    pub(crate) set: Vec<String>,
    /// Take one of the file's `presets`.
    #[arg(long, value_name = "P")]
    pub(crate) preset: Option<String>,
}

/// Every command, in the order in which people come to need them. Its page is the documentation of its arguments.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(Box<init::InitArgs>),
    Run(run::RunArgs),
    Plan(plan::PlanArgs),
    Validate(validate::ValidateArgs),
    Why(why::WhyArgs),
    Status(status::StatusArgs),
    Log(log::LogArgs),
    Runs(runs::RunsArgs),
    Diff(diff::DiffArgs),
    Graph(graph::GraphArgs),
    Expand(expand::ExpandArgs),
    Update(update::UpdateArgs),
    Get(get::GetArgs),
    Adopt(adopt::AdoptArgs),
    Gc(gc::GcArgs),
    Verify(verify::VerifyArgs),
    Stages(stages::StagesArgs),
    Schema(schema::SchemaArgs),
    Params(params::ParamsArgs),
    Checkpoints(checkpoints::CheckpointsArgs),
    Generate(generate::GenerateArgs),
    Chat(chat::ChatArgs),
    Serve(serve::ServeArgs),
    Inspect(inspect::InspectArgs),
    Bench(bench::BenchArgs),
    Doctor(doctor::DoctorArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
    #[command(hide = true)]
    ExecStage(exec_stage::ExecStageArgs),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_page_teaches() {
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let page = command.clone().render_long_help().to_string();
            assert!(
                page.contains("Examples:\n  muse "),
                "`muse {} --help` shows no example",
                command.get_name()
            );
            let about = command.get_long_about().map(|about| about.to_string()).unwrap_or_default();
            assert!(about.len() > 120, "`muse {} --help` teaches nothing: {about:?}", command.get_name());
            assert!(command.get_about().is_some_and(|about| !about.to_string().ends_with('.')));
        }
    }

    #[test]
    fn a_flag_that_is_nearly_right_is_proposed() {
        let error = Cli::try_parse_from(["muse", "run", "a.yaml", "--keep-goin"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--keep-going"), "{error}");
        let error = Cli::try_parse_from(["muse", "valdate", "a.yaml"]).unwrap_err();
        assert!(error.to_string().contains("'validate'"), "{error}");
    }

    #[test]
    fn global_flags_stand_anywhere() {
        let cli = Cli::try_parse_from(["muse", "plan", "a.yaml", "-v", "--cache-dir", "c", "base"]).unwrap();
        assert!(cli.global.verbose && cli.global.cache_dir == Some("c".into()));
        assert!(Cli::try_parse_from(["muse", "-q", "-v", "runs"]).is_err());
    }
}
