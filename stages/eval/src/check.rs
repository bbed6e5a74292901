//! What the schema cannot say of the parameters and of tasks' files.
use crate::params::Params;
use crate::task::{Kind, Task};
use crate::template::Templates;
use fancy_regex::Regex;
use globset::Glob;
use muse_stage::FieldError;

pub(crate) fn params(params: &Params) -> Result<(), FieldError> {
    if params.tasks.is_empty() {
        return Err(
            FieldError::new("/tasks", "there is nothing to ask").help("name a file of `configs/tasks/`")
        );
    }
    if params.limit.is_some_and(|limit| limit.0 == 0) {
        return Err(FieldError::new("/limit", "no items").help("leave `limit` out for all"));
    }
    for (at, one) in params.tasks.iter().enumerate() {
        let here = format!("/tasks/{at}");
        if params.tasks[..at].iter().any(|other| other.name == one.name) {
            let message = format!("two tasks are called `{}`", one.name);
            return Err(
                FieldError::new(format!("{here}/name"), message).help("give one of them another `name`")
            );
        }
        task(one).map_err(|error| FieldError { pointer: format!("{here}{}", error.pointer), ..error })?;
    }
    Ok(())
}

/// Whether a task makes sense.
fn task(task: &Task) -> Result<(), FieldError> {
    only_of_its_kind(task)?;
    if task.kind == Kind::MultipleChoice && task.choices.is_empty() == task.choices_from.is_none() {
        let message = "the choices are said by either `choices` or `choices_from`";
        return Err(FieldError::new("", message).help("write one of them"));
    }
    if task.choice.is_some() && task.choices_from.is_none() {
        return Err(FieldError::new("/choice", "there is no `choices_from` whose texts it could write"));
    }
    written(task)?;
    let globs = [("/items", Some(&task.items)), ("/few_shot/items", task.few_shot.items.as_ref())];
    for (pointer, glob) in globs.into_iter().filter_map(|(pointer, glob)| Some((pointer, glob?))) {
        Glob::new(glob).map_err(|error| FieldError::new(pointer, error.kind().to_string()))?;
    }
    let filters = task.filters.iter().enumerate();
    let filters =
        filters.filter_map(|(at, filter)| Some((format!("/filters/{at}/regex"), filter.regex.as_ref()?)));
    let ignored = task.ignore.patterns.iter().enumerate();
    let ignored = ignored.map(|(at, pattern)| (format!("/ignore/patterns/{at}"), pattern));
    for (pointer, pattern) in filters.chain(ignored) {
        Regex::new(pattern).map_err(|error| FieldError::new(pointer, format!("no pattern: {error}")))?;
    }
    Ok(())
}

/// That templates and expressions can be read.
fn written(task: &Task) -> Result<(), FieldError> {
    let templates = Templates::new(&task.name);
    let mut texts = vec![("/description".to_owned(), &task.description), ("/prompt".into(), &task.prompt)];
    texts.extend((0..).zip(&task.choices).map(|(at, text): (usize, _)| (format!("/choices/{at}"), text)));
    texts.extend(task.choice.as_ref().map(|text| ("/choice".into(), text)));
    for (pointer, text) in texts {
        if let Some(wrong) = templates.wrong_text(text) {
            return Err(FieldError::new(pointer, wrong));
        }
    }
    let expressions = [
        ("/target", Some(&task.target)),
        ("/choices_from", task.choices_from.as_ref()),
        ("/id", task.id.as_ref()),
    ];
    for (pointer, text) in expressions.into_iter().filter_map(|(pointer, text)| Some((pointer, text?))) {
        if let Some(wrong) = templates.wrong_expression(text) {
            let help = "an expression is what stands between `{{` and `}}` of a template, without these";
            return Err(FieldError::new(pointer, wrong).help(help));
        }
    }
    Ok(())
}

/// That nothing is said which its kind does not have.
fn only_of_its_kind(task: &Task) -> Result<(), FieldError> {
    use Kind::{Generate, MultipleChoice, Perplexity};
    let fields: [(&str, bool, &[Kind]); 9] = [
        ("choices", !task.choices.is_empty(), &[MultipleChoice]),
        ("choices_from", task.choices_from.is_some(), &[MultipleChoice]),
        ("choice", task.choice.is_some(), &[MultipleChoice]),
        ("stops", !task.stops.is_empty(), &[Generate]),
        ("filters", !task.filters.is_empty(), &[Generate]),
        ("ignore", task.ignore != Default::default(), &[Generate]),
        ("prompt", !task.prompt.is_empty(), &[MultipleChoice, Generate]),
        ("description", !task.description.is_empty(), &[MultipleChoice, Generate]),
        ("few_shot", task.few_shot.count > 0, &[MultipleChoice, Generate]),
    ];
    if let Some((field, _, _)) = fields.iter().find(|(_, said, kinds)| *said && !kinds.contains(&task.kind)) {
        let message = format!("a task of kind `{}` has no `{field}`", task.kind.name());
        return Err(FieldError::new(format!("/{field}"), message).help("leave it out, or change `kind`"));
    }
    if task.prompt.is_empty() && task.kind != Perplexity {
        return Err(FieldError::new("", "nothing is asked").help("write a `prompt`"));
    }
    let odd = task.metrics.iter().position(|metric| metric.kind() != task.kind);
    if let Some(at) = odd {
        let message = format!("a task of kind `{}` has no `{}`", task.kind.name(), task.metrics[at].name());
        return Err(FieldError::new(format!("/metrics/{at}"), message).help("leave it out"));
    }
    Ok(())
}
