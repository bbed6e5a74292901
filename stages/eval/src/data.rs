//! The items of a task: where they are, and what is in them.
use crate::params::Params;
use crate::rows::Rows;
use crate::task::{Kind, Task};
use crate::template::Fields;
use muse_artifacts::tokens::{Split, Tokens};
use muse_stage::{Context, StageError};
use std::path::PathBuf;

/// What packed tokens have and nothing else.
const TOKENS: &str = "meta.json";

/// The items of a task.
pub(crate) enum Data {
    /// Rows, and those that examples are taken of, where these are others.
    Rows { items: Vec<Fields>, examples: Option<Vec<Fields>> },
    /// Documents that were packed and held back.
    Tokens(Box<Tokens>),
}

impl Data {
    /// Reads the items of a task.
    pub(crate) fn of(context: &Context, params: &Params, task: &Task) -> Result<Self, StageError> {
        let root = place(context, params, task)?;
        let within = |error: StageError| match error {
            StageError::Failed { message, help } => {
                StageError::Failed { message: format!("task `{}`: {message}", task.name), help }
            }
            other => other,
        };
        if root.join(TOKENS).is_file() {
            if task.kind != Kind::Perplexity {
                return Err(StageError::new(format!("task `{}`: its data is packed tokens", task.name))
                    .help("`download` with `as: files` brings a data set of questions"));
            }
            return Ok(Self::Tokens(Box::new(Tokens::open(&root)?)));
        }
        let (limit, shots) = (params.most(), params.shots(task) > 0);
        let others = task.few_shot.items.as_deref().filter(|_| shots);
        let read = |glob: &str, most| {
            Rows { root: &root, glob, columns: &task.columns, most }.read().map_err(within)
        };
        // Examples that are other items are taken of all of them.
        let mut items = read(&task.items, if shots && others.is_none() { usize::MAX } else { limit })?;
        if items.is_empty() {
            return Err(StageError::new(format!("task `{}`: there are no items", task.name)));
        }
        let examples = match others {
            Some(_) if root.is_file() => {
                let message =
                    format!("task `{}`: its data is one file, and its examples are in another", task.name);
                return Err(StageError::new(message)
                    .help("give it a folder with both, or write `few_shot: 0` beside `tasks`"));
            }
            Some(glob) => Some(read(glob, usize::MAX)?),
            None if shots && items.len() > limit => {
                let all = items.clone();
                items.truncate(limit);
                Some(all)
            }
            None => None,
        };
        Ok(Self::Rows { items, examples })
    }

    /// How many items there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Rows { items, .. } => items.len(),
            Self::Tokens(tokens) => usize::try_from(tokens.documents(Split::Validation)).unwrap_or_default(),
        }
    }
}

/// Where the data of a task is: its own files, else the entry with its name, else the only one that no task's name is.
fn place(context: &Context, params: &Params, task: &Task) -> Result<PathBuf, StageError> {
    if let Some(files) = &task.files {
        return Ok(context.work().join(files.path()));
    }
    let entries = context.entries("data");
    let stage = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    if let Some((_, path)) = entries.iter().find(|(name, _)| stage(name) == task.name) {
        return Ok(path.clone());
    }
    let named = |name: &str| params.tasks.iter().any(|task| task.name == stage(name));
    let left: Vec<_> = entries.iter().filter(|(name, _)| !named(name)).collect();
    if let [(_, path)] = left.as_slice() {
        return Ok(path.clone());
    }
    let made_for = task.made_for.as_deref().unwrap_or("its items");
    let help = format!("name a stage `{}` that gives {made_for}, and list it at the port `data`", task.name);
    let message = match left.as_slice() {
        [] => format!("there is no data for the task `{}`", task.name),
        several => {
            let names: Vec<_> = several.iter().map(|(name, _)| format!("`{name}`")).collect();
            format!("the data of the task `{}` may be any of {}", task.name, names.join(", "))
        }
    };
    Err(StageError::new(message).help(help))
}
