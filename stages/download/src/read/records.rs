//! Rows of any format become documents, once it is known what their columns are read as.
use super::chat::Row;
use super::plan::{Column, Kind, Plan};
use super::{Flow, Reading, Taker, broken_row};
use muse_artifacts::corpus::{BodyRef, Document};
use muse_stage::StageError;
use serde_json::Value;
use std::ops::ControlFlow;

/// So many rows are looked at to see what the columns are.
const SAMPLE: usize = 100;
/// And no more of them than so many bytes.
const SAMPLE_BYTES: usize = 4 << 20;

/// What to do where files do not have the same columns.
const TOGETHER: &str = "files with other columns are another source; a glob such as `*.jsonl` names only those that \
                        belong together";

/// Takes rows as they come.
pub(super) struct Records<'a> {
    pub(super) reading: &'a mut Reading,
    pub(super) name: &'a str,
    pub(super) taker: &'a mut dyn Taker,
    /// Rows that wait until it is known what they are.
    waiting: Vec<(u64, Row)>,
    bytes: usize,
}

impl<'a> Records<'a> {
    pub(super) fn new(reading: &'a mut Reading, name: &'a str, taker: &'a mut dyn Taker) -> Self {
        Self { reading, name, taker, waiting: Vec::new(), bytes: 0 }
    }

    /// Takes a row. `size` is about what it has in memory.
    pub(super) fn row(&mut self, number: u64, row: Row, size: usize) -> Flow {
        if let Some(rows) = &mut self.reading.looking {
            rows.push(row);
            self.bytes += size;
            let enough = rows.len() >= SAMPLE || self.bytes >= SAMPLE_BYTES;
            return Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) });
        }
        if let Some(plan) = &self.reading.plan {
            return give(plan, number, &row, self.name, self.taker);
        }
        self.bytes += size;
        self.waiting.push((number, row));
        if self.waiting.len() >= SAMPLE || self.bytes >= SAMPLE_BYTES {
            self.decide()
        } else {
            Ok(ControlFlow::Continue(()))
        }
    }

    /// There are no more rows in this file.
    pub(super) fn end(mut self) -> Flow {
        if self.waiting.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        self.decide()
    }

    fn decide(&mut self) -> Flow {
        let rows = std::mem::take(&mut self.waiting);
        let columns = columns(rows.iter().map(|(_, row)| row));
        self.reading.decide(&columns, self.name)?;
        let Some(plan) = &self.reading.plan else { return Ok(ControlFlow::Continue(())) };
        for (number, row) in &rows {
            if give(plan, *number, row, self.name, self.taker)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Reading {
    /// Settles what is read, by the columns of the first file that has some; the others must have them too.
    pub(super) fn decide(&mut self, columns: &[Column], name: &str) -> Result<(), StageError> {
        match &self.plan {
            None => {
                let plan = Plan::find(columns, self.wish.text.as_deref(), self.wish.messages.as_deref());
                let plan = plan.map_err(|error| match error {
                    StageError::Failed { message, help } => {
                        StageError::Failed { message: format!("{name}: {message}"), help }
                    }
                    other => other,
                })?;
                self.plan = Some((plan, name.to_owned()));
                Ok(())
            }
            Some((plan, first)) => {
                let there = |wanted: &&str| columns.iter().any(|column| column.name == **wanted);
                match plan.needed().into_iter().find(|wanted| !there(wanted)) {
                    None => Ok(()),
                    Some(wanted) => {
                        let message = format!(
                            "{name}: no column `{wanted}`, by which {first} was read; there are: {}",
                            super::plan::list_of(columns)
                        );
                        Err(StageError::new(message).help(TOGETHER))
                    }
                }
            }
        }
    }
}

/// What the values of some rows say of their columns, in the order of their names.
pub(crate) fn columns<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for (name, value) in rows.flatten() {
        let kind = match value {
            Value::String(text) => Kind::Text(text.len() as u64),
            Value::Array(_) => Kind::List,
            _ => Kind::Other,
        };
        match columns.iter_mut().find(|column| column.name == *name) {
            None => columns.push(Column { name: name.clone(), kind }),
            Some(column) => match (&mut column.kind, kind) {
                (Kind::Text(bytes), Kind::Text(more)) => *bytes = bytes.saturating_add(more),
                (known @ Kind::Other, kind) => *known = kind,
                _ => {}
            },
        }
    }
    columns.sort_by(|a, b| a.name.cmp(&b.name));
    columns
}

fn give((plan, first): &(Plan, String), number: u64, row: &Row, name: &str, taker: &mut dyn Taker) -> Flow {
    // The usual case without a copy.
    if let Plan::Text(column) = plan
        && let Some(Value::String(text)) = row.get(column)
        && !text.is_empty()
    {
        return taker.document(&BodyRef::Text(text));
    }
    let document = plan.document(row).map_err(|what| {
        let error = broken_row(name, number, &what);
        if name == first {
            error
        } else {
            error.help(format!("{first} was read as {}: {TOGETHER}", plan.describe()))
        }
    })?;
    match document {
        None => {
            taker.empty();
            Ok(ControlFlow::Continue(()))
        }
        Some(body) => taker.document(&Document { body, source: String::new() }.borrow().body),
    }
}
