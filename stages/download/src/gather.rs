//! Takes documents into a corpus, counts what was not taken, and refuses to make an empty one.
use crate::params::Params;
use crate::read::{Flow, Place, Reading, Taker, Wish};
use muse_artifacts::corpus::{BodyRef, CorpusWriter, DocumentRef};
use muse_stage::{Context, StageError};
use serde_json::{Map, Value, json};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Of so many files the report says the names.
const NAMED: usize = 20;

/// A file to read.
pub(crate) struct Item {
    /// What messages and the report call it.
    pub(crate) name: String,
    /// What its documents name as their source.
    pub(crate) source: String,
    pub(crate) bytes: u64,
    pub(crate) place: Place,
}

/// A corpus that is being made.
pub(crate) struct Gather<'a> {
    pub(crate) context: &'a mut Context,
    writer: CorpusWriter,
    source: String,
    limit: Option<u64>,
    taken: u64,
    empty: u64,
    mended: u64,
    /// Bytes that were gone through, and how many there are.
    done: Arc<AtomicU64>,
    total: Option<u64>,
}

impl<'a> Gather<'a> {
    pub(crate) fn new(context: &'a mut Context, params: &Params) -> Result<Self, StageError> {
        let writer = CorpusWriter::create(&context.output("corpus"))?;
        Ok(Self {
            context,
            writer,
            source: String::new(),
            limit: params.limit.map(|limit| limit.0),
            taken: 0,
            empty: 0,
            mended: 0,
            done: Arc::default(),
            total: None,
        })
    }

    /// Reads files one after the other, as many as the limit needs, and ends the corpus. `about` says where they are
    /// from, for the report.
    pub(crate) fn files(
        mut self,
        items: Vec<Item>,
        params: &Params,
        mut about: Map<String, Value>,
    ) -> Result<(), StageError> {
        let mut reading = Reading::new(Wish::of(params));
        self.done = Arc::clone(&reading.done);
        self.total = Some(items.iter().map(|item| item.bytes).sum());
        let names: Vec<String> = items.iter().take(NAMED).map(|item| item.name.clone()).collect();
        about.insert("files".into(), items.len().into());
        about.insert("bytes".into(), self.total.into());
        let (count, mut read) = (items.len(), 0u64);
        // One after the other goes when it was read: each may hold files open.
        for item in items {
            self.context.go_on()?;
            self.source = item.source;
            let end = reading.file(&item.place, &item.name, &mut self)?;
            read += 1;
            if end.is_break() {
                break;
            }
        }
        about.insert("files_read".into(), read.into());
        if let Some((plan, _)) = &reading.plan {
            about.insert("read_as".into(), plan.describe().into());
        }
        if self.taken == 0 {
            return Err(self.nothing(&names, count));
        }
        about.insert("first_files".into(), json!(names));
        self.finish(about)
    }

    /// Ends the corpus.
    pub(crate) fn finish(self, mut about: Map<String, Value>) -> Result<(), StageError> {
        if self.empty > 0 {
            about.insert("empty_rows".into(), self.empty.into());
        }
        if self.mended > 0 {
            about.insert("rows_with_broken_escapes".into(), self.mended.into());
        }
        self.context.progress(self.taken, Some(self.taken), "documents");
        Ok(self.writer.finish(json!({ "download": about }))?)
    }

    /// The documents of `source` come now.
    pub(crate) fn begin_source(&mut self, source: &str) {
        source.clone_into(&mut self.source);
    }

    fn nothing(&self, names: &[String], count: usize) -> StageError {
        let names = &names[..names.len().min(5)];
        let more = count - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let what = format!("there is no document in {}{more}", names.join(", "));
        if self.empty == 0 {
            return StageError::new(what).help("the files are empty");
        }
        StageError::new(format!("{what}: {0} of {0} rows and files are empty", self.empty))
            .help("name another column by `text:` or `messages:`")
    }
}

impl Taker for Gather<'_> {
    fn document(&mut self, body: &BodyRef<'_>) -> Flow {
        self.context.go_on()?;
        // A clone of a chat copies references.
        let document = DocumentRef { body: body.clone(), source: &self.source };
        self.writer.push(&document)?;
        self.taken += 1;
        match (self.limit, self.total) {
            (None, Some(total)) => {
                let done = self.done.load(Ordering::Relaxed).min(total.saturating_sub(1));
                self.context.progress(done, Some(total), "bytes");
            }
            (limit, _) => self.context.progress(self.taken, limit, "documents"),
        }
        let full = self.limit.is_some_and(|limit| self.taken >= limit);
        Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn empty(&mut self) {
        self.empty += 1;
    }

    fn mended(&mut self) {
        self.mended += 1;
    }

    fn room(&self) -> Option<u64> {
        self.limit.map(|limit| limit - self.taken.min(limit))
    }
}
