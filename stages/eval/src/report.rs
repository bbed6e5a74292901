//! `report.json`: the figures of all models, with their standard errors, what differs, and some items as they were asked.
use crate::judge::mean;
use crate::keep::lines;
use crate::measure::{has_words, measure};
use crate::params::Params;
use crate::prompt::{Ask, Questions};
use crate::record::{Measured, Record, rounded};
use crate::task::{Kind, Metric, Task};
use crate::turns::Chat;
use muse_artifacts::checkpoint::Weights;
use muse_inference::Source;
use muse_stage::StageError;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The version of the report's own format.
const FORMAT: u32 = 1;

/// What `report.json` holds.
#[derive(Debug, Serialize)]
pub(crate) struct Finished {
    format: u32,
    precision: Value,
    #[serde(skip_serializing_if = "is_default")]
    weights: Weights,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat: Option<Chat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    pub(crate) models: Vec<AboutModel>,
    pub(crate) tasks: Vec<AboutTask>,
}

/// A model that was asked.
#[derive(Debug, Serialize)]
pub(crate) struct AboutModel {
    pub(crate) name: String,
    tokenizer: String,
    context: usize,
}

/// A task with all its results.
#[derive(Debug, Serialize)]
pub(crate) struct AboutTask {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    made_for: Option<String>,
    few_shot: usize,
    pub(crate) items: usize,
    pub(crate) results: Vec<Results>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) differences: Vec<Difference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) samples: Vec<Sample>,
}

/// What a model came to.
#[derive(Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) model: String,
    /// Items whose beginning was left out.
    #[serde(skip_serializing_if = "is_zero")]
    cut: usize,
    pub(crate) metrics: BTreeMap<String, Figure>,
    /// The same by the values of a column.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<String, Group>,
}

/// A figure with its standard error, where there is one.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Figure {
    pub(crate) value: f64,
    pub(crate) stderr: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Group {
    items: usize,
    metrics: BTreeMap<String, Figure>,
}

/// How a model differs from the first one.
#[derive(Debug, Serialize)]
pub(crate) struct Difference {
    pub(crate) model: String,
    pub(crate) than: String,
    pub(crate) metric: String,
    pub(crate) difference: f64,
    /// Of the differences item by item.
    pub(crate) stderr: Option<f64>,
}

/// An item as it was asked.
#[derive(Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) item: usize,
    /// A text, or turns of a chat.
    pub(crate) prompt: Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) choices: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) right: Vec<String>,
}

/// The answers of a model to all items of a task.
pub(crate) struct Asked<'a> {
    pub(crate) model: &'a str,
    pub(crate) questions: &'a Questions<'a>,
    pub(crate) records: Vec<Record>,
}

/// A report that is being made.
pub(crate) struct Report<'a> {
    params: &'a Params,
    finished: Finished,
    /// Records by task, and in it by model.
    records: Vec<Vec<Vec<Record>>>,
    /// The task that was asked last.
    last: usize,
}

impl<'a> Report<'a> {
    pub(crate) fn new(params: &'a Params) -> Self {
        let precision = serde_json::to_value(params.precision).unwrap_or_default();
        let about = |task: &Task| AboutTask {
            name: task.name.clone(),
            kind: task.kind,
            version: task.version,
            made_for: task.made_for.clone(),
            few_shot: params.shots(task),
            items: 0,
            results: Vec::new(),
            differences: Vec::new(),
            samples: Vec::new(),
        };
        let tasks: Vec<AboutTask> = params.tasks.iter().map(|task| about(task)).collect();
        let limit = params.limit.map(|limit| limit.0);
        let records = tasks.iter().map(|_| Vec::new()).collect();
        let finished = Finished {
            format: FORMAT,
            precision,
            weights: params.weights,
            chat: params.chat,
            system: params.system.clone(),
            limit,
            models: Vec::new(),
            tasks,
        };
        Self { params, finished, records, last: 0 }
    }

    /// A model whose results come next.
    pub(crate) fn model(&mut self, name: &str, source: &Source) {
        let tokenizer = source.tokenizer.digest().to_owned();
        self.finished.models.push(AboutModel { name: name.to_owned(), tokenizer, context: source.context() });
    }

    /// Adds a model's results of a task.
    pub(crate) fn results(&mut self, asked: Asked<'_>) -> Result<(), StageError> {
        let Asked { model, questions, records } = asked;
        let task = questions.task;
        let Some(at) = self.finished.tasks.iter().position(|about| about.name == task.name) else {
            return Ok(());
        };
        self.last = at;
        let about = &mut self.finished.tasks[at];
        about.items = records.len();
        if about.samples.is_empty() {
            let shown = records.len().min(self.params.samples as usize);
            about.samples = (0..shown).map(|item| sample(questions, item)).collect::<Result<_, _>>()?;
        }
        let mut groups: BTreeMap<String, Vec<&Record>> = BTreeMap::new();
        for record in &records {
            record.group.iter().for_each(|group| groups.entry(group.clone()).or_default().push(record));
        }
        let all: Vec<&Record> = records.iter().collect();
        about.results.push(Results {
            model: model.to_owned(),
            cut: records.iter().filter(|record| record.cut).count(),
            metrics: figures(task, &all),
            groups: groups
                .into_iter()
                .map(|(name, some)| (name, Group { items: some.len(), metrics: figures(task, &some) }))
                .collect(),
        });
        if let Some(first) = self.records[at].first() {
            let than = &about.results[0];
            let new = differences(than, first, about.results.last().unwrap_or(than), &records);
            about.differences.extend(new);
        }
        self.records[at].push(records);
        Ok(())
    }

    /// The figures of the task that was asked last: model, task, figure, value.
    pub(crate) fn last(&self) -> Vec<(String, String, String, f64)> {
        let about = &self.finished.tasks[self.last];
        let Some(results) = about.results.last() else { return Vec::new() };
        let figure = |(name, figure): (&String, &Figure)| {
            (results.model.clone(), about.name.clone(), name.clone(), figure.value)
        };
        results.metrics.iter().map(figure).collect()
    }

    /// What became of each item.
    pub(crate) fn items(&self) -> String {
        self.records.iter().flatten().map(|records| lines(records)).collect()
    }

    pub(crate) fn finish(self) -> Finished {
        self.finished
    }
}

fn figures(task: &Task, records: &[&Record]) -> BTreeMap<String, Figure> {
    if task.kind == Kind::Perplexity {
        return measured(task, records);
    }
    let names = records.first().map(|record| record.scores.keys()).into_iter().flatten();
    let figure = |name: &String| {
        let (value, stderr) = mean(&scores(name, records.iter().copied()));
        Figure { value: rounded(value), stderr: stderr.map(rounded) }
    };
    names.map(|name| (name.clone(), figure(name))).collect()
}

/// The figures of texts. Of words there is one where there are words, or where the task asks for it by name.
fn measured(task: &Task, records: &[&Record]) -> BTreeMap<String, Figure> {
    let mut all = Measured::default();
    for one in records.iter().filter_map(|record| record.measured) {
        all.likelihood += one.likelihood;
        (all.tokens, all.bytes) = (all.tokens + one.tokens, all.bytes + one.bytes);
        (all.unspaced, all.words) = (all.unspaced + one.unspaced, all.words + one.words);
    }
    let wanted = |metric: &Metric| {
        *metric != Metric::WordPerplexity || task.metrics.contains(metric) || has_words(&all)
    };
    let figure = |metric: Metric| {
        let value = rounded(measure(metric, &all)?);
        Some((metric.name().to_owned(), Figure { value, stderr: None }))
    };
    task.figures().into_iter().filter(wanted).filter_map(figure).collect()
}

fn scores<'a>(name: &str, records: impl Iterator<Item = &'a Record>) -> Vec<f64> {
    records.filter_map(|record| record.scores.get(name).copied()).collect()
}

/// How results differ from the first ones, item by item where figures are means.
fn differences(than: &Results, first: &[Record], new: &Results, records: &[Record]) -> Vec<Difference> {
    let one = |(metric, figure): (&String, &Figure)| {
        let before = than.metrics.get(metric)?;
        let (a, b) = (scores(metric, first.iter()), scores(metric, records.iter()));
        let apart: Vec<f64> = a.iter().zip(&b).map(|(a, b)| b - a).collect();
        let stderr = if apart.is_empty() { None } else { mean(&apart).1.map(rounded) };
        Some(Difference {
            model: new.model.clone(),
            than: than.model.clone(),
            metric: metric.clone(),
            difference: rounded(figure.value - before.value),
            stderr,
        })
    };
    new.metrics.iter().filter_map(one).collect()
}

fn sample(questions: &Questions<'_>, item: usize) -> Result<Sample, StageError> {
    let question = questions.question(item)?;
    let (choices, right) = match question.ask {
        Ask::Choose { choices, right } => {
            let right = right.iter().map(|at| choices[*at].clone()).collect();
            (choices, right)
        }
        Ask::Write { answers } => (Vec::new(), answers),
        Ask::Measure { .. } | Ask::MeasureTokens { .. } => (Vec::new(), Vec::new()),
    };
    Ok(Sample { item, prompt: question.prompt.told(), choices, right })
}

fn is_default(weights: &Weights) -> bool {
    *weights == Weights::default()
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
