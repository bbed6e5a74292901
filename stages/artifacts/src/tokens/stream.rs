//! The first pass of writing: documents' tokens to a flat file, one behind the other, and where each ends.
use super::{Dtype, Layout, Split};
use crate::{ArtifactError, Result};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Documents in memory, on their way to a stream: any thread makes one, the writer takes them in order.
#[derive(Debug)]
pub struct Block {
    dtype: Dtype,
    tokens: Vec<u8>,
    lengths: Vec<u64>,
    learned: Option<Vec<bool>>,
}

impl Block {
    /// An empty one. `masked` where not every token carries loss.
    pub fn new(dtype: Dtype, masked: bool) -> Self {
        Self { dtype, tokens: Vec::new(), lengths: Vec::new(), learned: masked.then(Vec::new) }
    }

    /// Adds a document, its end of text included. `learned` has as many as `ids`; `None` is all.
    pub fn push(&mut self, ids: &[u32], learned: Option<&[bool]>) {
        self.dtype.put(ids, &mut self.tokens);
        self.lengths.push(ids.len() as u64);
        if let Some(all) = &mut self.learned {
            match learned {
                Some(learned) => all.extend(learned),
                None => all.resize(all.len() + ids.len(), true),
            }
        }
    }

    /// How many tokens it has.
    pub fn tokens(&self) -> u64 {
        (self.tokens.len() / self.dtype.bytes()) as u64
    }
}

/// Writes a stream.
pub struct StreamWriter {
    stream: Stream,
    bin: BufWriter<File>,
    ends: BufWriter<File>,
    mask: Option<Bits>,
}

/// Documents on disk, not yet laid out in sequences.
#[derive(Debug)]
pub struct Stream {
    pub(super) folder: PathBuf,
    pub(super) split: Split,
    pub(super) dtype: Dtype,
    pub(super) masked: bool,
    pub(super) tokens: u64,
    pub(super) documents: u64,
}

/// Writes bits, the lowest of each byte first.
struct Bits {
    file: BufWriter<File>,
    byte: u8,
    count: u8,
}

impl Bits {
    fn push(&mut self, bit: bool) -> io::Result<()> {
        self.byte |= u8::from(bit) << self.count;
        self.count += 1;
        if self.count == 8 { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let byte = [self.byte];
        (self.byte, self.count) = (0, 0);
        self.file.write_all(&byte)
    }
}

pub(super) fn create(path: &Path) -> Result<BufWriter<File>> {
    File::create_new(path)
        .map(|file| BufWriter::with_capacity(1 << 18, file))
        .map_err(ArtifactError::io(path))
}

impl StreamWriter {
    /// A new stream in a folder, which is made.
    pub fn create(folder: &Path, split: Split, dtype: Dtype, masked: bool) -> Result<Self> {
        fs::create_dir_all(folder).map_err(ArtifactError::io(folder))?;
        let stream = Stream { folder: folder.to_owned(), split, dtype, masked, tokens: 0, documents: 0 };
        let mask =
            if masked { Some(Bits { file: create(&stream.path("mask"))?, byte: 0, count: 0 }) } else { None };
        Ok(Self { bin: create(&stream.path("bin"))?, ends: create(&stream.path("ends"))?, mask, stream })
    }

    /// Adds the documents of a block.
    pub fn append(&mut self, block: &Block) -> Result<()> {
        self.bin.write_all(&block.tokens).map_err(ArtifactError::io(self.stream.path("bin")))?;
        for length in &block.lengths {
            self.stream.tokens += length;
            self.end()?;
        }
        self.learn(block.learned.as_deref().unwrap_or_default())
    }

    /// Adds tokens that all carry loss to a document that [`Self::end`] will end.
    pub fn tokens(&mut self, ids: &[u32]) -> Result<()> {
        let mut bytes = Vec::with_capacity(ids.len() * self.stream.dtype.bytes());
        self.stream.dtype.put(ids, &mut bytes);
        self.bin.write_all(&bytes).map_err(ArtifactError::io(self.stream.path("bin")))?;
        self.stream.tokens += ids.len() as u64;
        self.learn(&vec![true; if self.mask.is_some() { ids.len() } else { 0 }])
    }

    /// Ends a document of one token or more.
    pub fn end(&mut self) -> Result<()> {
        self.stream.documents += 1;
        let end = self.stream.tokens.to_le_bytes();
        self.ends.write_all(&end).map_err(ArtifactError::io(self.stream.path("ends")))
    }

    fn learn(&mut self, learned: &[bool]) -> Result<()> {
        let Some(mask) = &mut self.mask else { return Ok(()) };
        let written = learned.iter().try_for_each(|bit| mask.push(*bit));
        written.map_err(ArtifactError::io(self.stream.path("mask")))
    }

    /// How many documents were written.
    pub fn documents(&self) -> u64 {
        self.stream.documents
    }

    /// Ends the stream.
    pub fn finish(mut self) -> Result<Stream> {
        self.bin.flush().map_err(ArtifactError::io(self.stream.path("bin")))?;
        self.ends.flush().map_err(ArtifactError::io(self.stream.path("ends")))?;
        if let Some(mask) = &mut self.mask {
            let rest = if mask.count > 0 { mask.flush() } else { Ok(()) };
            rest.and_then(|()| mask.file.flush()).map_err(ArtifactError::io(self.stream.path("mask")))?;
        }
        Ok(self.stream)
    }
}

impl Stream {
    /// How many tokens it has.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// How many documents it has.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    pub(super) fn path(&self, extension: &str) -> PathBuf {
        self.split.file(&self.folder, extension)
    }

    /// Where each document ends, in order.
    pub fn ends(&self) -> Result<impl Iterator<Item = Result<u64>> + use<>> {
        let path = self.path("ends");
        let mut file = BufReader::new(File::open(&path).map_err(ArtifactError::io(&path))?);
        Ok((0..self.documents).map(move |_| {
            let mut end = [0; 8];
            file.read_exact(&mut end).map_err(ArtifactError::io(&path))?;
            Ok(u64::from_le_bytes(end))
        }))
    }

    /// Second pass: sequences over these documents.
    pub fn lay_out(self, context: u32) -> Result<Layout> {
        Layout::new(self, context)
    }
}
