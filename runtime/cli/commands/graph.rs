//! `muse graph`: draw a pipeline.
use crate::app::App;
use crate::args::PipelineArgs;
use crate::exit;
use crate::failure::CliResult;
use clap::{Args, ValueEnum};
use muse_runtime::graph_export::{Graph, MANY};

const EXAMPLES: &str = "\
Examples:
  muse graph pipelines/tiny.yaml --format svg > tiny.svg        opens in any browser
  muse graph pipelines/tiny.yaml --format mermaid               for a README on GitHub
  muse graph pipelines/tiny.yaml --format dot | dot -Tpdf > tiny.pdf
  muse graph pipelines/tiny.yaml --format json | jq .nodes";

/// Draw a pipeline.
///
/// Prints the stages and what flows between them. Colours say what a run would do with each. More than 12 stages of
/// one matrix are drawn as one box, unless --all asks for each; JSON always holds each.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct GraphArgs {
    /// The pipeline.
    #[command(flatten)]
    pub(crate) pipeline: PipelineArgs,
    /// Draw only these stages and what they stand on.
    #[arg(value_name = "STAGE")]
    pub(crate) stages: Vec<String>,
    /// The form.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: GraphFormat,
    /// Draw every stage of a matrix as a box of its own.
    #[arg(long)]
    pub(crate) all: bool,
}

/// A form of a drawing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    /// Graphviz.
    #[default]
    Dot,
    /// Mermaid, which GitHub and many editors draw.
    Mermaid,
    /// Nodes and edges.
    Json,
    /// A picture.
    Svg,
}

/// Draws.
pub(crate) fn run(app: &mut App<'_>, args: &GraphArgs) -> CliResult {
    let opened = app.open(&args.pipeline.pipeline, &args.pipeline.values)?;
    let plan = opened.plan(opened.targets(&args.stages)?)?;
    let graph = Graph::of(&opened.pipeline, &plan);
    let drawn = || if args.all { graph.clone() } else { graph.collapse(MANY) };
    match args.format {
        GraphFormat::Dot => app.out.text(&drawn().dot())?,
        GraphFormat::Mermaid => app.out.text(&drawn().mermaid())?,
        GraphFormat::Svg => app.out.text(&drawn().svg())?,
        GraphFormat::Json => app.out.json(&graph.json())?,
    }
    app.out.flush()?;
    Ok(exit::DONE)
}
