//! `muse params`: what a model costs before there is one.
mod page;

use crate::app::App;
use crate::args::ValueArgs;
use crate::exit;
use crate::failure::{CliError, CliResult};
use crate::format::exact;
use crate::values::StageOfPipeline;
use clap::{Args, ValueEnum, value_parser};
use muse_runtime::diagnostic::Diagnostic;
use muse_runtime::document::{self, StageSpec};
use muse_runtime::run::above;
use muse_stage::Above;
use muse_stages::budget::{self, Cost, Device, Model, Optimizer, Precision, States, Training};
use serde_json::{Value, json};
use std::path::Path;

const EXAMPLES: &str = "\
Examples:
  muse params configs/models/125m.yaml                         parameters, operations, memory
  muse params configs/models/1b.yaml --micro-batch 4 --context 4096 --recompute
  muse params configs/models/3b.yaml --optimizer muon --states int8 --precision bf16-stochastic
  muse params pipelines/moai_2b.yaml:base                      the model that a stage trains
  muse params configs/models/shakespeare_cpu.yaml --vocab-size 65 --device cpu
  muse params configs/models/7b.yaml --json | jq .cost.total";

/// What a model costs: parameters, operations, memory.
///
/// Counts before anything runs: parameters exactly and part by part, operations for a token, and the memory that a training
/// step takes at its peak for a batch, an optimizer and a precision. A micro-batch is what goes through the model at once;
/// more of them to a step take room for gradients alone.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct ParamsArgs {
    /// A file of `configs/models/`, or PIPELINE:STAGE of a stage that trains one, or goes on with one.
    #[arg(value_name = "MODEL")]
    pub(crate) model: String,
    /// How many tokens the vocabulary has, in place of what the file says.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1 << 22))]
    pub(crate) vocab_size: Option<u64>,
    /// Tokens of a sequence [default: the file's, else the data's, else 2048].
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1 << 27))]
    pub(crate) context: Option<u64>,
    /// What trains it: it decides in which portions the work is done.
    #[arg(long, value_name = "NAME", value_enum, default_value = "cuda")]
    pub(crate) device: DeviceArg,
    /// Sequences that go through the model at once [default: the stage's, else 8].
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1 << 27))]
    pub(crate) micro_batch: Option<u64>,
    /// What changes the weights [default: the stage's, else adamw].
    #[arg(long, value_name = "NAME", value_enum)]
    pub(crate) optimizer: Option<OptimizerArg>,
    /// What the numbers of the optimizer are [default: the stage's, else f32].
    #[arg(long, value_name = "TYPE", value_enum)]
    pub(crate) states: Option<StatesArg>,
    /// What weights and activations are [default: the stage's, else bf16].
    #[arg(long, value_name = "TYPE", value_enum)]
    pub(crate) precision: Option<PrecisionArg>,
    /// Blocks keep their input alone, and are computed a second time for their backward.
    #[arg(long)]
    pub(crate) recompute: bool,
    /// These inputs wait in the memory of the host.
    #[arg(long, requires = "recompute")]
    pub(crate) offload: bool,
    /// Values of the pipeline.
    #[command(flatten)]
    pub(crate) values: ValueArgs,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `--device`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceArg {
    /// The CPU.
    Cpu,
    /// A GPU.
    Cuda,
}

impl DeviceArg {
    fn device(self) -> Device {
        match self {
            Self::Cpu => Device::Cpu,
            Self::Cuda => Device::Gpu,
        }
    }
}

/// `--optimizer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OptimizerArg {
    /// Two numbers for each parameter.
    Adamw,
    /// One for those of the blocks' matrices, two for the others.
    #[value(alias = "muonclip")]
    Muon,
    /// One.
    Sgd,
}

/// `--states`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatesArg {
    /// Four bytes.
    F32,
    /// Two bytes.
    Bf16,
    /// One byte, and a scale for 256.
    Int8,
}

/// `--precision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrecisionArg {
    /// All in f32.
    F32,
    /// bf16, with weights in f32 behind it.
    Bf16,
    /// bf16 alone, rounded at random.
    Bf16Stochastic,
}

impl ParamsArgs {
    /// What is asked for, over what a stage says.
    fn training(&self, stage: Option<Training>) -> Training {
        let usual = stage.unwrap_or(USUAL);
        Training {
            micro_batch: self.micro_batch.unwrap_or(usual.micro_batch),
            // Fewer at once than the stage says are several to a step.
            adds_up: usual.adds_up || self.micro_batch.is_some_and(|own| own < usual.micro_batch),
            optimizer: self.optimizer.map_or(usual.optimizer, |optimizer| match optimizer {
                OptimizerArg::Adamw => Optimizer::Adamw,
                OptimizerArg::Muon => Optimizer::Muon,
                OptimizerArg::Sgd => Optimizer::Sgd,
            }),
            states: self.states.map_or(usual.states, |states| match states {
                StatesArg::F32 => States::F32,
                StatesArg::Bf16 => States::Bf16,
                StatesArg::Int8 => States::Int8,
            }),
            precision: self.precision.map_or(usual.precision, |precision| match precision {
                PrecisionArg::F32 => Precision::F32,
                PrecisionArg::Bf16 => Precision::Bf16,
                PrecisionArg::Bf16Stochastic => Precision::Bf16Stochastic,
            }),
            recompute: self.recompute || usual.recompute,
            offload: self.offload || usual.offload,
            lora: usual.lora,
        }
    }
}

/// How a model is trained where nobody says.
const USUAL: Training = Training {
    micro_batch: 8,
    adds_up: false,
    optimizer: Optimizer::Adamw,
    states: States::F32,
    precision: Precision::Bf16,
    recompute: false,
    offload: false,
    lora: None,
};
/// The longest sequence where nobody says.
const CONTEXT: usize = 2048;
/// Where a stage has the model that it goes on from.
const INIT: &str = "init";
/// More tokens at once than any memory has room for.
const MOST_TOKENS: u64 = 1 << 27;

/// A model to count, and of a stage what it says beside.
pub(super) struct Asked {
    pub(super) model: Model,
    /// Tokens of a sequence of its data.
    pub(super) context: Option<usize>,
    /// Its parameters.
    params: Option<Value>,
}

/// Counts and prints it.
pub(crate) fn run(app: &mut App<'_>, args: &ParamsArgs) -> CliResult {
    let Asked { model, context, params } = read(app, &args.model, &args.values)?;
    let given = |flag: Option<u64>| flag.and_then(|value| usize::try_from(value).ok());
    let context = given(args.context).or(model.context).or(context).unwrap_or(CONTEXT);
    let Some(vocab_size) = given(args.vocab_size).or(model.vocab_size) else {
        let error =
            CliError::usage(format!("`{}` leaves the size of the vocabulary to the data", args.model));
        return Err(error.hint("say how many tokens it has: `--vocab-size N`"));
    };
    let model = Model { vocab_size: Some(vocab_size), context: Some(context), ..model };
    let shape = model.shape(vocab_size, context);
    let training = args.training(params.and_then(|params| budget::training(&params, &shape)));
    if training.micro_batch.saturating_mul(context as u64) > MOST_TOKENS {
        let (batch, context) = (exact(training.micro_batch), exact(context as u64));
        return Err(CliError::usage(format!("a micro-batch of {batch} sequences of {context} tokens"))
            .hint(format!("{} tokens at once are the most", exact(MOST_TOKENS))));
    }
    let cost = Cost::of(&shape, &training, args.device.device());
    if args.json {
        let asked = json!({ "shape": shape, "training": training, "device": args.device.device() });
        app.out.json(&json!({ "model": args.model, "asked": asked, "cost": cost }))?;
    } else {
        app.out.text(&page::draw(&args.model, &shape, &training, &cost, app.paint))?;
        app.out.flush()?;
    }
    Ok(exit::DONE)
}

/// The model of a file, or of a stage.
pub(super) fn read(app: &App<'_>, model: &str, values: &ValueArgs) -> CliResult<Asked> {
    let path = app.environment.folder.join(model);
    // A path that is there is meant as one, also with a colon in its name.
    match StageOfPipeline::find(model).filter(|_| !path.exists()) {
        Some(stage) => of_stage(app, values, &stage),
        None => {
            let schema = budget::model_schema();
            let model = document::values(Path::new(model), "a model", &schema, budget::model)?;
            Ok(Asked { model, context: None, params: None })
        }
    }
}

fn of_stage(app: &App<'_>, values: &ValueArgs, stage: &StageOfPipeline) -> CliResult<Asked> {
    let pipeline = app.load(&stage.pipeline, values, false)?;
    // Stages of a matrix may differ in their model, so one must be named.
    let number = match pipeline.find(&stage.stage)? {
        [one] => *one,
        several => {
            let names = several.iter().take(4).map(|&stage| pipeline.stages[stage].name.as_str());
            let error = CliError::usage(format!("`{}` is {} stages", stage.stage, several.len()));
            let names: Vec<&str> = names.collect();
            return Err(error.hint(format!("name one of them: `{}`", names.join("`, `"))));
        }
    };
    let spec = &pipeline.stages[number];
    let above = above(&pipeline, number);
    let data = budget::Data::of(&above);
    let model = match spec.identity.get("model").filter(|model| model.is_object()) {
        Some(values) => budget::model(values).map_err(|errors| {
            let errors = errors.into_iter().map(|error| Diagnostic::at(spec.place.clone(), error.message));
            errors.collect::<Vec<_>>()
        })?,
        None => begun_with(spec, &above)?,
    };
    let vocab_size = model.vocab_size.or(data.vocab_size);
    let params = spec.params(|_| Value::Null);
    Ok(Asked { model: Model { vocab_size, ..model }, context: data.context, params: Some(params) })
}

/// The model that a stage goes on from.
fn begun_with(spec: &StageSpec, above: &Above<'_>) -> CliResult<Model> {
    let kind = spec.kind.name();
    if above.port(INIT).is_empty() {
        let message = format!("the stage `{}` is `{kind}`, which has no model to count", spec.name);
        return Err(CliError::usage(message).hint("name a stage that trains one, such as `pretrain`"));
    }
    let model = budget::model_at(above, INIT).ok_or_else(|| {
        let message = format!("what `{}` begins with is known only once it is made", spec.name);
        CliError::usage(message)
            .hint("`muse inspect` shows the model of a result; write it into a file and count that")
    })?;
    // Sequences are those of its own data.
    Ok(Model { context: None, ..model })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app;
    use crate::format::{bytes, count};
    use muse_stage::schemars::{self, JsonSchema};
    use muse_stage::{ArtifactType, ConfigFile, Context, OutputPort, Stage, StageError};
    use std::fs;

    fn args(model: &Path, rest: &[&str]) -> ParamsArgs {
        let words = [&["muse", "params", model.to_str().unwrap()], rest].concat();
        app::parse_for_tests(&words, |command| match command {
            crate::args::Command::Params(args) => args,
            other => panic!("{other:?}"),
        })
    }

    fn printed(text: &str, rest: &[&str]) -> (Option<u8>, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.yaml");
        fs::write(&path, text).unwrap();
        let (code, text) = app::printed_by(|app| run(app, &args(&path, rest)));
        (code, text.replace(&path.display().to_string(), "m.yaml"))
    }

    const GPT2: &str = "vocab_size: 32000\nlayers: 12\nwidth: 768\nheads: 12\nffn: 2048\nqk_norm: false\n";

    #[test]
    fn a_page_answers_every_question() {
        let (code, page) = printed(GPT2, &["--context", "1024"]);
        assert_eq!(code, Some(0));
        assert!(page.lines().all(|line| crate::format::width(line) <= 80), "{page}");
        insta::assert_snapshot!(page);
    }

    #[test]
    fn what_saves_memory_is_seen() {
        let yaml = GPT2.to_owned() + "kv_heads: 4\nwindow: 512\ntied: true\n";
        let flags = ["--recompute", "--offload", "--optimizer", "muon", "--states", "int8", "--precision"];
        insta::assert_snapshot!(printed(&yaml, &[&flags[..], &["bf16-stochastic"]].concat()).1);
    }

    #[test]
    fn matrices_of_low_rank_and_of_three_values_are_counted_as_they_are() {
        let yaml = GPT2.to_owned() + "linear: { low_rank: 16, round: ternary }\n";
        insta::assert_snapshot!(printed(&yaml, &["--device", "cpu", "--precision", "f32"]).1);
    }

    #[test]
    fn rows_of_two_cores_are_counted_as_they_are() {
        let yaml = GPT2.to_owned() + "tied: true\nembedding: { tensor_train: 16, round: int8 }\n";
        insta::assert_snapshot!(printed(&yaml, &["--micro-batch", "4"]).1);
    }

    #[test]
    fn json_has_every_number() {
        let text = printed(GPT2, &["--json", "--micro-batch", "4", "--vocab-size", "64000"]).1;
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["model"], "m.yaml");
        assert_eq!(value["asked"]["shape"]["vocab_size"], 64_000);
        assert_eq!(
            (&value["asked"]["shape"]["context"], &value["asked"]["training"]["micro_batch"]),
            (&json!(2048), &json!(4))
        );
        let total = 134_105_856 + 2 * 32_000 * 768;
        assert_eq!(value["cost"]["total"], total);
        assert_eq!(value["cost"]["bytes"]["bf16"], 2 * total);
        assert_eq!(value["cost"]["training"]["optimizer"], 8 * total);
    }

    #[test]
    fn what_cannot_be_counted_says_why() {
        let error = |text: &str, rest: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m.yaml");
            fs::write(&path, text).unwrap();
            let mut found = None;
            app::printed_by(|app| {
                found = run(app, &args(&path, rest)).err();
                Ok(0)
            });
            let error = found.unwrap();
            assert_eq!(error.code, exit::USAGE);
            (error.to_string(), error)
        };
        let (message, found) = error("layers: 2\nwidth: 64\nheads: 4\nffn: 128\n", &[]);
        assert!(message.ends_with("leaves the size of the vocabulary to the data"), "{message}");
        assert_eq!(found.hints, ["say how many tokens it has: `--vocab-size N`"]);
        let (message, found) = error("layers: 2\nwidth: 66\nheads: 4\nffn: 128\n", &[]);
        assert_eq!(message, "a width of 66 does not divide by 4 heads");
        assert_eq!(found.diagnostics[0].place.as_ref().unwrap().line_column(), (3, 8));
        let (message, _) = error(GPT2, &["--micro-batch", "100000000"]);
        assert_eq!(message, "a micro-batch of 100,000,000 sequences of 2,048 tokens");
    }

    /// A kind that trains a model.
    struct Trains;

    #[derive(serde::Serialize, serde::Deserialize, JsonSchema)]
    struct With {
        model: ConfigFile<Model>,
        #[serde(default)]
        precision: String,
        #[serde(default)]
        micro_batch: Option<u64>,
    }

    impl Stage for Trains {
        type Params = With;
        const KIND: &'static str = "trains";
        const VERSION: u32 = 1;
        const DOC: &'static str = "Trains a model.";

        fn outputs(&self) -> Vec<OutputPort> {
            vec![OutputPort::new("checkpoint", ArtifactType::Checkpoint)]
        }

        fn run(&self, _: &mut Context, _: With) -> Result<(), StageError> {
            Ok(())
        }
    }

    #[test]
    fn the_model_of_a_stage_is_counted_as_its_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let pipeline = folder.path().join("p.yaml");
        fs::write(folder.path().join("m.yaml"), GPT2).unwrap();
        let stages = "  base: { uses: trains, with: { model: m.yaml, precision: f32, micro_batch: 3 } }\n  \
                      many: { uses: trains, matrix: { n: [1, 2] }, with: { model: m.yaml } }\n";
        fs::write(&pipeline, format!("muse: 1\nstages:\n{stages}")).unwrap();
        let count = |stage: &str| {
            let what = format!("{}:{stage}", pipeline.display());
            let mut error = None;
            let (_, text) = app::printed_with(&[&Trains], |app| {
                let done = run(app, &args(Path::new(&what), &["--json"]));
                done.map_err(|failed| error = Some(failed.to_string())).or(Ok(0))
            });
            error.map_or_else(|| serde_json::from_str(&text).unwrap(), Value::from)
        };
        let base = count("base");
        assert_eq!(base["cost"]["total"], 134_105_856);
        assert_eq!(base["asked"]["training"]["precision"], "f32", "what the stage says");
        assert_eq!(
            (&base["asked"]["training"]["micro_batch"], &base["asked"]["shape"]["context"]),
            (&json!(3), &json!(2048))
        );
        assert_eq!(count("many[n=2]")["cost"]["total"], 134_105_856);
        assert_eq!(count("many"), "`many` is 2 stages");
    }

    /// What the second line of a preset must begin with. What it assumes, it says itself.
    fn line_of(path: &Path, line: &str) -> String {
        let asked = |before: &str, after: &str| {
            let number = line.split_once(before)?.1.split_once(after)?.0;
            Some(number.replace(',', ""))
        };
        let batch = asked("to train ", " × ").unwrap_or_else(|| "8".into());
        let context = asked(" × ", " tokens").unwrap_or_else(|| "2048".into());
        let precision = if line.contains("(f32") { "f32" } else { "bf16" };
        let vocabulary = asked("parameters with ", " tokens");
        let mut words =
            vec!["--json", "--micro-batch", &batch, "--context", &context, "--precision", precision];
        words.extend(vocabulary.iter().flat_map(|size| ["--vocab-size", size]));
        let (code, text) = app::printed_by(|app| run(app, &args(path, &words)));
        assert_eq!(code, Some(0), "{}", path.display());
        let cost: Value = serde_json::from_str(&text).unwrap();
        let number = |pointer: &str| cost.pointer(pointer).and_then(Value::as_u64).unwrap();
        let vocabulary = vocabulary.map_or(String::new(), |size| format!(" with {size} tokens"));
        format!(
            "# {} parameters{vocabulary}; {} to train {batch} × {} tokens ({precision}, AdamW), {} to use.",
            count(number("/cost/total") as f64),
            bytes(number("/cost/training/total")),
            exact(context.parse().unwrap()),
            bytes(number("/cost/inference/total")),
        )
    }

    #[test]
    fn every_preset_says_what_it_costs_and_where_its_schema_is() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let page = fs::read_to_string(root.join("docs/models.md")).unwrap();
        let mut wrong = Vec::new();
        let mut presets = 0;
        for entry in fs::read_dir(root.join("configs/models")).unwrap() {
            let path = entry.unwrap().path();
            presets += 1;
            let text = fs::read_to_string(&path).unwrap();
            let mut lines = text.lines();
            assert_eq!(
                lines.next(),
                Some("# yaml-language-server: $schema=../../docs/schema/model.schema.json")
            );
            let line = lines.next().unwrap();
            let right = line_of(&path, line);
            let purpose =
                line.strip_prefix(&format!("{right} ")).map(|purpose| purpose.trim_end_matches('.'));
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let (costs, _) = right.trim_start_matches("# ").split_once(" to train").unwrap();
            let (parameters, memory) = costs.split_once("; ").unwrap();
            let row = format!("| `{name}` | {parameters} | {memory} |");
            if purpose.is_none_or(|purpose| purpose.len() < 20) || !page.contains(&row) {
                wrong.push(format!("{}: `{right}` and a purpose; in docs/models.md `{row}`", path.display()));
            }
        }
        assert!(presets >= 12, "{presets} presets");
        assert!(wrong.is_empty(), "say what is true:\n{}", wrong.join("\n"));
    }

    #[test]
    fn presets_fit_where_their_files_say() {
        let needs = |preset: &str, flags: &[&str]| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("configs/models/{preset}.yaml"));
            let (_, text) = app::printed_by(|app| run(app, &args(&path, &[&["--json"], flags].concat())));
            let cost: Value = serde_json::from_str(&text).unwrap();
            cost["cost"]["training"]["total"].as_u64().unwrap()
        };
        let giga = 1_000_000_000;
        let small = ["--recompute", "--states", "int8", "--precision", "bf16-stochastic"];
        assert!(needs("350m", &small[..3]) < 8 * giga);
        assert!(needs("1b", &[]) < 80 * giga && needs("3b", &[]) > 80 * giga);
        assert!(needs("3b", &small[..1]) < 80 * giga);
        assert!(needs("7b", &small) < 80 * giga);
        assert!(needs("10b", &small) < 141 * giga && needs("10b", &small) > 80 * giga);
    }

    #[test]
    fn every_field_of_a_model_is_on_its_page() {
        let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/models.md")).unwrap();
        let schema = budget::model_schema();
        let mut fields: Vec<String> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        for inner in ["Linear", "Embedding", "Rope", "RopeScaling", "Mla", "Ttt", "Bk", "Experts"] {
            let inner = schema["$defs"][inner]["properties"].as_object().unwrap();
            fields.extend(inner.keys().cloned());
        }
        assert!(fields.len() > 20, "{fields:?}");
        let missing: Vec<_> = fields.iter().filter(|field| !page.contains(&format!("`{field}`"))).collect();
        assert!(missing.is_empty(), "docs/models.md does not say what these are: {missing:?}");
    }
}
