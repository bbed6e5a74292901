//! The second pass of writing: which tokens make each sequence. Tokens stay where they are.
use super::index::{Piece, header};
use super::meta::SplitMeta;
use super::stream::{Stream, create};
use crate::{ArtifactError, Result};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes the index of a stream.
pub struct Layout {
    stream: Stream,
    context: u32,
    counts: SplitMeta,
    sequences: (PathBuf, BufWriter<File>),
    pieces: (PathBuf, BufWriter<File>),
}

impl Layout {
    pub(super) fn new(stream: Stream, context: u32) -> Result<Self> {
        let part = |name| create(&stream.path(name)).map(|file| (stream.path(name), file));
        let (sequences, pieces) = (part("sequences")?, part("pieces")?);
        let counts =
            SplitMeta { tokens: stream.tokens, documents: stream.documents, sequences: 0, pieces: 0 };
        Ok(Self { stream, context, counts, sequences, pieces })
    }

    /// Adds a sequence. All sequences together hold every token once.
    pub fn push(&mut self, pieces: &[Piece]) -> Result<()> {
        for piece in pieces {
            self.pieces.1.write_all(&piece.to_bytes()).map_err(ArtifactError::io(&self.pieces.0))?;
        }
        self.counts.pieces += pieces.len() as u64;
        self.counts.sequences += 1;
        let end = self.counts.pieces.to_le_bytes();
        self.sequences.1.write_all(&end).map_err(ArtifactError::io(&self.sequences.0))
    }

    /// Writes the index and answers what it counts.
    pub fn finish(self) -> Result<SplitMeta> {
        let Self { stream, context, counts, sequences, pieces } = self;
        let path = stream.path("idx");
        let mut index = create(&path)?;
        index.write_all(&header(context, &counts)).map_err(ArtifactError::io(&path))?;
        for (path, mut file) in [sequences, pieces] {
            file.flush().map_err(ArtifactError::io(&path))?;
        }
        for part in ["ends", "sequences", "pieces"].map(|name| stream.path(name)) {
            append(&mut index, &part)?;
            fs::remove_file(&part).map_err(ArtifactError::io(&part))?;
        }
        index.flush().map_err(ArtifactError::io(&path))?;
        Ok(counts)
    }
}

fn append(index: &mut impl Write, part: &Path) -> Result<()> {
    let mut file = File::open(part).map_err(ArtifactError::io(part))?;
    io::copy(&mut file, index).map(drop).map_err(ArtifactError::io(part))
}
