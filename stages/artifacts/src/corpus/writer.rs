//! Writes a corpus: documents go in one by one, memory stays bounded, the same documents give the same bytes.
use super::schema::{message, schema};
use super::{BodyRef, DocumentRef};
use crate::{ArtifactError, Result};
use arrow_array::builder::{ListBuilder, StringBuilder, StructBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A row group ends behind so many bytes of text.
const GROUP_BYTES: usize = 8 << 20;
/// And no later than behind so many documents.
const GROUP_ROWS: usize = 1 << 16;
/// A file ends behind so many bytes of text.
const FILE_BYTES: u64 = 256 << 20;

/// What a corpus holds, by source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Documents.
    pub documents: u64,
    /// Of these, conversations.
    pub chats: u64,
    /// Bytes of text, in UTF-8.
    pub bytes: u64,
    /// Characters.
    pub characters: u64,
}

/// Writes a corpus.
pub struct CorpusWriter {
    folder: PathBuf,
    rows: Rows,
    file: Option<ArrowWriter<File>>,
    /// How many files there are, the open one too.
    files: usize,
    /// Bytes of text in the open file.
    in_file: u64,
    totals: BTreeMap<String, Totals>,
}

/// The row group that is being gathered.
struct Rows {
    text: StringBuilder,
    messages: ListBuilder<StructBuilder>,
    source: StringBuilder,
    bytes: usize,
    count: usize,
}

impl CorpusWriter {
    /// A corpus in a folder, which is made.
    pub fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(ArtifactError::io(folder))?;
        let folder = folder.to_owned();
        Ok(Self { folder, rows: Rows::new(), file: None, files: 0, in_file: 0, totals: BTreeMap::new() })
    }

    /// Adds a document.
    pub fn push(&mut self, document: &DocumentRef<'_>) -> Result<()> {
        if !self.totals.contains_key(document.source) {
            self.totals.insert(document.source.to_owned(), Totals::default());
        }
        let added = self.rows.push(document);
        if let Some(totals) = self.totals.get_mut(document.source) {
            totals.documents += 1;
            totals.chats += u64::from(matches!(document.body, BodyRef::Chat(_)));
            totals.bytes += added as u64;
            totals.characters += document.characters();
        }
        if self.rows.bytes >= GROUP_BYTES || self.rows.count >= GROUP_ROWS {
            self.flush()?;
        }
        Ok(())
    }

    /// What was written so far, by source.
    pub fn totals(&self) -> &BTreeMap<String, Totals> {
        &self.totals
    }

    /// Ends the corpus and writes `report.json`: totals, and under its own names what `more` holds (an object).
    pub fn finish(mut self, more: Value) -> Result<()> {
        // A corpus without documents has one file, so that it is a corpus.
        if self.rows.count > 0 || self.files == 0 {
            self.flush()?;
        }
        self.close()?;
        let sum = self.totals.values().fold(Totals::default(), |sum, one| Totals {
            documents: sum.documents + one.documents,
            chats: sum.chats + one.chats,
            bytes: sum.bytes + one.bytes,
            characters: sum.characters + one.characters,
        });
        let mut report = serde_json::json!({ "format": 1, "total": sum, "sources": self.totals });
        if let (Some(report), Value::Object(more)) = (report.as_object_mut(), more) {
            report.extend(more);
        }
        let path = self.folder.join("report.json");
        let text = serde_json::to_string_pretty(&report).unwrap_or_default() + "\n";
        fs::write(&path, text).map_err(ArtifactError::io(&path))
    }

    fn flush(&mut self) -> Result<()> {
        if self.file.is_none() {
            self.open()?;
        }
        let path = self.path();
        self.in_file += self.rows.bytes as u64;
        let batch = self.rows.batch().map_err(|error| ArtifactError::format(&path, error.to_string()))?;
        if let Some(file) = &mut self.file {
            let written = file.write(&batch).and_then(|()| file.flush());
            written.map_err(|error| write_error(&path, error))?;
        }
        if self.in_file >= FILE_BYTES {
            self.close()?;
        }
        Ok(())
    }

    /// The file that is open.
    fn path(&self) -> PathBuf {
        self.folder.join(format!("{:05}.parquet", self.files.saturating_sub(1)))
    }

    fn open(&mut self) -> Result<()> {
        self.files += 1;
        let path = self.path();
        let file = File::create_new(&path).map_err(ArtifactError::io(&path))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(None)
            .set_created_by("muse".into())
            .build();
        let writer = ArrowWriter::try_new(file, schema(), Some(properties));
        self.file = Some(writer.map_err(|error| write_error(&path, error))?);
        self.in_file = 0;
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let Some(file) = self.file.take() else { return Ok(()) };
        file.close().map(drop).map_err(|error| write_error(&self.path(), error))
    }
}

/// What went wrong below the parquet writer: where it was the disk, the disk's own words.
fn write_error(path: &Path, error: parquet::errors::ParquetError) -> ArtifactError {
    if let parquet::errors::ParquetError::External(inner) = error {
        return match inner.downcast::<std::io::Error>() {
            Ok(source) => ArtifactError::Io { path: path.to_owned(), source: *source },
            Err(other) => ArtifactError::format(path, other.to_string()),
        };
    }
    ArtifactError::format(path, error.to_string())
}

impl Rows {
    fn new() -> Self {
        let fields = message().iter().map(|_| Box::new(StringBuilder::new()) as _).collect();
        let message = StructBuilder::new(message(), fields);
        Self {
            text: StringBuilder::new(),
            messages: ListBuilder::new(message).with_field(super::schema::element()),
            source: StringBuilder::new(),
            bytes: 0,
            count: 0,
        }
    }

    /// Adds a row and answers how many bytes of text it has.
    fn push(&mut self, document: &DocumentRef<'_>) -> usize {
        let bytes = document.bytes();
        match &document.body {
            BodyRef::Text(text) => {
                self.text.append_value(text);
                self.messages.append_null();
            }
            BodyRef::Chat(messages) => {
                self.text.append_null();
                let rows = self.messages.values();
                for message in messages {
                    let values = [Some(message.role), Some(message.content), message.extra];
                    for (at, value) in values.into_iter().enumerate() {
                        if let Some(column) = rows.field_builder::<StringBuilder>(at) {
                            column.append_option(value);
                        }
                    }
                    rows.append(true);
                }
                self.messages.append(true);
            }
        }
        self.source.append_value(document.source);
        self.bytes += bytes;
        self.count += 1;
        bytes
    }

    fn batch(&mut self) -> std::result::Result<RecordBatch, arrow_schema::ArrowError> {
        (self.bytes, self.count) = (0, 0);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.text.finish()),
            Arc::new(self.messages.finish()),
            Arc::new(self.source.finish()),
        ];
        RecordBatch::try_new(schema(), columns)
    }
}
