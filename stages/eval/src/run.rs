//! `eval` from its inputs to its report: all tasks are looked at first, then each model is asked all of them.
use crate::ask::{Model, source};
use crate::data::Data;
use crate::keep::{Keep, PORTION};
use crate::page;
use crate::params::Params;
use crate::prompt::{Question, Questions};
use crate::record::Record;
use crate::report::{Asked, Report};
use muse_inference::{Device, Source};
use muse_model::kernels::with_threads;
use muse_stage::{Context, StageError};
use std::fs;

/// What a model is called where the port is no list.
const ONLY: &str = "model";

pub(crate) fn run(context: &mut Context, params: &Params) -> Result<(), StageError> {
    with_threads(context.threads(), || evaluate(context, params))
}

fn evaluate(context: &mut Context, params: &Params) -> Result<(), StageError> {
    let keep = Keep::of(context)?;
    let tokenizer = context.optional("tokenizer");
    let gpu = !context.gpus().is_empty();
    // What is wrong is said before hours of work.
    let mut tasks = Vec::new();
    for task in &params.tasks {
        let data = Data::of(context, params, task)?;
        let made_by = match &data {
            Data::Tokens(tokens) => Some(tokens.meta().tokenizer.clone()),
            Data::Rows { .. } => None,
        };
        let questions = Questions::new(params, task, data)?;
        let count = questions.count(params);
        if count == 0 {
            return Err(StageError::new(format!("task `{}`: there are no items", task.name)));
        }
        (0..count).try_for_each(|item| questions.question(item).map(drop))?;
        tasks.push((questions, count, made_by));
    }
    let mut models = Vec::new();
    for (name, path) in context.entries("model") {
        let name = if name.is_empty() { ONLY.to_owned() } else { name };
        let source = source(&path, tokenizer.as_deref(), params.weights)?;
        if params.chat.is_some() && !source.tokenizer.has_chat_template() {
            return Err(StageError::new(format!("the tokenizer of `{name}` has no chat template"))
                .help("leave `chat` out, or take a model that learned to chat"));
        }
        for (questions, _, made_by) in &tasks {
            check_tokens(&name, &source, &questions.task.name, made_by.as_deref())?;
        }
        models.push((name, path));
    }
    let total = (models.len() * tasks.iter().map(|(_, count, _)| count).sum::<usize>()) as u64;
    let mut report = Report::new(params);
    let mut done = 0;
    for (number, (name, path)) in models.iter().enumerate() {
        let source = source(path, tokenizer.as_deref(), params.weights)?;
        report.model(name, &source);
        let mut source = Some(source);
        let mut model = None;
        for (at, (questions, count, _)) in tasks.iter().enumerate() {
            let mut records = Vec::with_capacity(*count);
            for (portion, first) in (0..*count).step_by(PORTION).enumerate() {
                context.go_on()?;
                let items = first..(first + PORTION).min(*count);
                let found = match keep.get(number, at, portion, items.len()) {
                    Some(found) => found,
                    None => {
                        let asked: Result<Vec<Question>, _> =
                            items.map(|item| questions.question(item)).collect();
                        // Where all is there already, nothing is brought to the device.
                        if let Some(source) = source.take() {
                            let device = if gpu { Device::Cuda(0) } else { Device::Cpu };
                            model = Some(Model::open(name, source, device, params.precision.kept())?);
                        }
                        let Some(model) = &mut model else {
                            return Err(StageError::new("the model is gone"));
                        };
                        let new = answer(context, model, questions, &asked?)?;
                        keep.put(number, at, portion, &new)?;
                        new
                    }
                };
                done += found.len() as u64;
                records.extend(found);
                context.progress(done, Some(total), "items");
            }
            report.results(Asked { model: name, questions, records })?;
            tell(context, &report, at as u64 + 1, models.len() > 1);
        }
    }
    write(context, report)
}

fn answer(
    context: &Context,
    model: &mut Model,
    questions: &Questions<'_>,
    asked: &[Question],
) -> Result<Vec<Record>, StageError> {
    let stop = || context.cancelled();
    model.answer(questions.task, asked, &stop)?.ok_or(StageError::Interrupted)
}

/// Tokens mean something to the tokenizer alone that made them.
fn check_tokens(model: &str, source: &Source, task: &str, made_by: Option<&str>) -> Result<(), StageError> {
    let own = source.tokenizer.digest();
    match made_by.filter(|made_by| *made_by != own) {
        None => Ok(()),
        Some(_) => Err(StageError::new(format!("task `{task}`: the tokens are not those of `{model}`"))
            .help("take its own packed data, or measure text: a corpus is the same for all models")),
    }
}

/// Tells the figures of the last task.
fn tell(context: &mut Context, report: &Report<'_>, step: u64, several: bool) {
    for (model, task, metric, value) in report.last() {
        let name = if several { format!("{model}/{task}/{metric}") } else { format!("{task}/{metric}") };
        context.metric(step, &name, value);
    }
}

fn write(context: &Context, report: Report<'_>) -> Result<(), StageError> {
    let folder = context.output("report");
    fs::create_dir_all(&folder).map_err(StageError::io(&folder))?;
    let items = report.items();
    let report = report.finish();
    let json = serde_json::to_string_pretty(&report).unwrap_or_default() + "\n";
    for (name, text) in [("report.json", json), ("report.md", page::draw(&report)), ("items.jsonl", items)] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(StageError::io(&path))?;
    }
    Ok(())
}
