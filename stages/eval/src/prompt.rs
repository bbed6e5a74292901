//! Questions: what a model is asked of an item, with the examples before it, and what would be right.
use crate::chance::Python;
use crate::data::Data;
use crate::params::Params;
use crate::task::{Kind, Pick, Task};
use crate::template::{Fields, Templates};
use crate::turns::{Prompt, Turn, joined};
use muse_artifacts::tokens::{DocumentTokens, Loss, Split, Tokens};
use muse_stage::StageError;
use serde_json::Value;
use std::collections::HashMap;

/// What is asked of an item.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Question {
    /// The item's number, from 0.
    pub(crate) item: usize,
    pub(crate) id: Option<Value>,
    pub(crate) group: Option<String>,
    /// All that stands before the answer.
    pub(crate) prompt: Prompt,
    pub(crate) ask: Ask,
}

/// How it is asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    /// Which of these is the likeliest; places of those that are right.
    Choose { choices: Vec<String>, right: Vec<usize> },
    /// What comes next; any of these is right.
    Write { answers: Vec<String> },
    /// How likely a text is.
    Measure { text: String },
    /// The same of tokens; of a chat only of those that the assistant says.
    MeasureTokens { ids: Vec<u32>, said: Option<Vec<bool>> },
}

/// Makes questions of a task's items.
pub(crate) struct Questions<'a> {
    pub(crate) task: &'a Task,
    params: &'a Params,
    templates: Templates,
    data: Data,
    /// Places of the examples of each item.
    shots: Vec<Vec<usize>>,
}

impl<'a> Questions<'a> {
    pub(crate) fn new(params: &'a Params, task: &'a Task, data: Data) -> Result<Self, StageError> {
        let count = params.shots(task);
        let shots = match &data {
            Data::Rows { items, examples } if count > 0 => shots(task, count, items, examples.as_deref())?,
            _ => Vec::new(),
        };
        Ok(Self { task, params, templates: Templates::new(&task.name), data, shots })
    }

    /// How many there are, of at most so many.
    pub(crate) fn count(&self, params: &Params) -> usize {
        self.data.len().min(params.most())
    }

    /// The question of an item.
    pub(crate) fn question(&self, item: usize) -> Result<Question, StageError> {
        let (items, examples) = match &self.data {
            Data::Tokens(tokens) => return measured(tokens, item),
            Data::Rows { items, examples } => (items, examples.as_deref().unwrap_or(items)),
        };
        let fields = &items[item];
        let task = self.task;
        let id = task.id.as_ref().map(|id| self.templates.value("id", id, fields)).transpose()?;
        let group = task.group.as_ref().map(|group| self.column("group", group, fields)).transpose()?;
        let group = group.map(|group| group.as_str().map_or_else(|| group.to_string(), str::to_owned));
        if task.kind == Kind::Perplexity {
            let text = self.texts(fields)?.into_iter().next().unwrap_or_default();
            return Ok(Question { item, id, group, prompt: nothing(), ask: Ask::Measure { text } });
        }
        let description = self.templates.text("description", &task.description, fields)?;
        let said = self.params.system.as_deref().unwrap_or_default();
        let said = joined(said, description, &task.few_shot.delimiter);
        let mut turns = Vec::new();
        if !said.is_empty() {
            turns.push(Turn::new("system", said, ""));
        }
        for shot in self.shots.get(item).into_iter().flatten() {
            let example = &examples[*shot];
            let asked = self.templates.text("prompt", &task.prompt, example)?;
            turns.push(Turn::new("user", asked, &task.target_delimiter));
            turns.push(Turn::new("assistant", self.answer(example)?, &task.few_shot.delimiter));
        }
        turns.push(Turn::new("user", self.templates.text("prompt", &task.prompt, fields)?, ""));
        let prompt = Prompt::of(self.params.chat, turns);
        let ask = match task.kind {
            Kind::MultipleChoice => {
                let choices = self.choices(fields)?;
                let right = self.right(&choices, fields)?;
                Ask::Choose { choices, right }
            }
            _ => Ask::Write { answers: self.texts(fields)? },
        };
        Ok(Question { item, id, group, prompt, ask })
    }

    /// What is written behind an example.
    fn answer(&self, fields: &Fields) -> Result<String, StageError> {
        if self.task.kind == Kind::MultipleChoice {
            let choices = self.choices(fields)?;
            let right = self.right(&choices, fields)?;
            return Ok(right.first().map(|at| choices[*at].clone()).unwrap_or_default());
        }
        Ok(self.texts(fields)?.into_iter().next().unwrap_or_default())
    }

    fn choices(&self, fields: &Fields) -> Result<Vec<String>, StageError> {
        let task = self.task;
        let Some(from) = &task.choices_from else {
            return task.choices.iter().map(|text| self.templates.text("choices", text, fields)).collect();
        };
        let all = match self.templates.value("choices_from", from, fields)? {
            Value::Array(all) if all.len() > 1 => all,
            other => return Err(self.wrong("choices_from", &other, "a list of choices")),
        };
        let texts = all.into_iter().map(|one| match one {
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            other => Err(self.wrong("choices_from", &other, "a text")),
        });
        let Some(template) = &task.choice else { return texts.collect() };
        let write = |text: Result<String, StageError>| {
            let mut fields = fields.clone();
            fields.insert("choice".into(), text?.into());
            self.templates.text("choice", template, &fields)
        };
        texts.map(write).collect()
    }

    /// Places of the right choices.
    fn right(&self, choices: &[String], fields: &Fields) -> Result<Vec<usize>, StageError> {
        let target = self.templates.value("target", &self.task.target, fields)?;
        let place = |one: &Value| {
            let place = match one {
                Value::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
                Value::String(text) => {
                    choices.iter().position(|choice| choice == text).or_else(|| text.parse().ok())
                }
                _ => None,
            };
            place.filter(|place| *place < choices.len()).ok_or_else(|| {
                let message = format!(
                    "task `{}`, `target`: {one} is none of the {} choices",
                    self.task.name,
                    choices.len()
                );
                StageError::new(message)
                    .help("take the side of the data set whose answers are known, or change `target`")
            })
        };
        match &target {
            Value::Array(all) if all.is_empty() => {
                Err(self.wrong("target", &target, "a choice that is right"))
            }
            Value::Array(all) => all.iter().map(place).collect(),
            one => Ok(vec![place(one)?]),
        }
    }

    /// The texts that are right, or the text that is measured.
    fn texts(&self, fields: &Fields) -> Result<Vec<String>, StageError> {
        let target = self.templates.value("target", &self.task.target, fields)?;
        let text = |one: &Value| match one {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            other => Err(self.wrong("target", other, "a text")),
        };
        match &target {
            Value::Array(all) if !all.is_empty() => all.iter().map(text).collect(),
            one => Ok(vec![text(one)?]),
        }
    }

    fn column(&self, field: &str, name: &str, fields: &Fields) -> Result<Value, StageError> {
        self.templates.value(field, name, fields)
    }

    fn wrong(&self, field: &str, found: &Value, wanted: &str) -> StageError {
        let found: String = found.to_string().chars().take(80).collect();
        StageError::new(format!("task `{}`, `{field}`: {found} is not {wanted}", self.task.name))
    }
}

/// A document that was packed, without the token that ends it.
fn measured(tokens: &Tokens, item: usize) -> Result<Question, StageError> {
    let DocumentTokens { mut ids, learned } = tokens.document(Split::Validation, item as u64)?;
    let said = (tokens.meta().loss == Loss::Mask).then_some(learned);
    ids.pop_if(|last| *last == tokens.meta().end_of_text);
    let ask = Ask::MeasureTokens { ids, said };
    Ok(Question { item, id: None, group: None, prompt: nothing(), ask })
}

/// What stands before a text that is measured.
fn nothing() -> Prompt {
    Prompt::Text(String::new())
}

/// Places of the examples of each item.
fn shots(
    task: &Task,
    count: usize,
    items: &[Fields],
    examples: Option<&[Fields]>,
) -> Result<Vec<Vec<usize>>, StageError> {
    let few = &task.few_shot;
    let own = examples.is_none() || few.items.is_none();
    let pool = examples.unwrap_or(items);
    let mut chances: HashMap<String, Python> = HashMap::new();
    let mut all = Vec::with_capacity(items.len());
    for item in items {
        let value = few.same.as_ref().map(|column| item.get(column));
        let like =
            |example: &Fields| few.same.as_ref().is_none_or(|column| Some(example.get(column)) == value);
        let mut places: Vec<usize> = (0..pool.len()).filter(|at| like(&pool[*at])).collect();
        let chosen: Vec<usize> = match few.pick {
            Pick::First => {
                places.retain(|at| !own || pool[*at] != *item);
                places.truncate(count);
                places
            }
            Pick::Random => {
                let group = value.flatten().map(Value::to_string).unwrap_or_default();
                let chance = chances.entry(group).or_insert_with(|| Python::new(few.seed));
                // One more, for the item itself may be among them.
                let some = chance.sample(places.len(), count + usize::from(own));
                some.into_iter()
                    .map(|at| places[at])
                    .filter(|at| !own || pool[*at] != *item)
                    .take(count)
                    .collect()
            }
        };
        if chosen.len() < count {
            let message =
                format!("task `{}`: {count} examples are wanted, and there are {}", task.name, chosen.len());
            return Err(
                StageError::new(message).help("ask for fewer by `few_shot`, or give it more to choose from")
            );
        }
        all.push(chosen);
    }
    Ok(all)
}
