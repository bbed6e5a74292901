//! What a task's file says of an item, filled in: templates, and expressions.
use fancy_regex::Regex;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value as Jinja};
use muse_stage::StageError;
use serde_json::{Map, Value};
use std::collections::HashSet;

/// The columns of an item, by name.
pub(crate) type Fields = Map<String, Value>;

/// Fills in templates of one task.
pub(crate) struct Templates {
    task: String,
    environment: Environment<'static>,
}

impl Templates {
    pub(crate) fn new(task: &str) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment
            .set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build().unwrap_or_default());
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("regex_replace", regex_replace);
        environment.add_filter("places", places);
        Self { task: task.to_owned(), environment }
    }

    /// What is wrong with a template, if anything.
    pub(crate) fn wrong_text(&self, source: &str) -> Option<String> {
        self.environment.template_from_str(source).err().map(|error| said(&error))
    }

    /// What is wrong with an expression, if anything.
    pub(crate) fn wrong_expression(&self, source: &str) -> Option<String> {
        self.environment.compile_expression(source).err().map(|error| said(&error))
    }

    /// A template filled in.
    pub(crate) fn text(&self, field: &str, source: &str, fields: &Fields) -> Result<String, StageError> {
        let fails = |error: Error| self.fails(field, &error, fields);
        let template = self.environment.template_from_str(source).map_err(fails)?;
        self.known(field, template.undeclared_variables(false), fields)?;
        template.render(Jinja::from(Serde(fields))).map_err(fails)
    }

    /// The value of an expression.
    pub(crate) fn value(&self, field: &str, source: &str, fields: &Fields) -> Result<Value, StageError> {
        let fails = |error: Error| self.fails(field, &error, fields);
        let expression = self.environment.compile_expression(source).map_err(fails)?;
        self.known(field, expression.undeclared_variables(false), fields)?;
        let value = expression.eval(Jinja::from(Serde(fields))).map_err(fails)?;
        if value.is_undefined() {
            let error = Error::new(ErrorKind::UndefinedError, format!("`{source}` is nothing"));
            return Err(fails(error));
        }
        serde_json::to_value(&value)
            .map_err(|error| StageError::new(format!("task `{}`, `{field}`: {error}", self.task)))
    }

    /// That an item has every column that is named.
    fn known(&self, field: &str, named: HashSet<String>, fields: &Fields) -> Result<(), StageError> {
        let globals: Vec<&str> = self.environment.globals().map(|(name, _)| name).collect();
        let mut missing: Vec<String> = named
            .into_iter()
            .filter(|name| !fields.contains_key(name) && !globals.contains(&name.as_str()))
            .collect();
        missing.sort();
        let Some(name) = missing.first() else { return Ok(()) };
        let message = format!(
            "task `{}`, `{field}`: the items have no column `{name}`; there are: {}",
            self.task,
            names(fields)
        );
        let near = fields.keys().map(|known| (strsim::jaro_winkler(name, known), known));
        let near = near.filter(|(near, _)| *near > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
        let help = match near {
            Some((_, near)) => format!("did you mean `{near}`?"),
            None => "change the task's file, or give it the data set that it is made for".to_owned(),
        };
        Err(StageError::new(message).help(help))
    }

    fn fails(&self, field: &str, error: &Error, fields: &Fields) -> StageError {
        let message = format!("task `{}`, `{field}`: {}", self.task, said(error));
        StageError::new(message).help(format!("the item's columns are: {}", names(fields)))
    }
}

fn names(fields: &Fields) -> String {
    fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// An error without the name of a template, since it has none.
fn said(error: &Error) -> String {
    let kind = error.kind().to_string();
    match (error.detail(), error.line()) {
        (Some(detail), Some(line)) if line > 1 => format!("{kind} in line {line}: {detail}"),
        (Some(detail), _) => format!("{kind}: {detail}"),
        (None, _) => kind,
    }
}

/// `text | regex_replace(pattern, with)`.
fn regex_replace(text: String, pattern: String, with: String) -> Result<String, Error> {
    let wrong = |error: fancy_regex::Error| Error::new(ErrorKind::InvalidOperation, error.to_string());
    let regex = Regex::new(&pattern).map_err(wrong)?;
    regex.try_replacen(&text, 0, with.as_str()).map(|text| text.into_owned()).map_err(wrong)
}

/// `list | places(value)`: where in the list the value stands.
fn places(list: Vec<Jinja>, value: Jinja) -> Vec<usize> {
    (0..).zip(list).filter(|(_, one)| *one == value).map(|(at, _)| at).collect()
}
