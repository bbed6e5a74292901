//! Tokens in the files of others: flat `train.bin` (nanoGPT, Bit-Llama), and the pair `.bin` and `.idx` of MUSE.
//!
//! A flat file is tokens and nothing else. MUSE's `.bin` is flat too, with four bytes a token; its `.idx` is the word
//! `MUSE`, version 1 as u32, and for each document its first token and its length as u64.
use super::{Dtype, Split, Tokens};
use crate::{ArtifactError, Result};
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 4] = b"MUSE";
const VERSION: u32 = 1;
/// Tokens that are read at once.
const CHUNK: usize = 1 << 16;

/// Reads a flat file.
pub struct Flat {
    path: PathBuf,
    file: BufReader<File>,
    dtype: Dtype,
    tokens: u64,
    done: u64,
}

impl Flat {
    /// Opens a flat file.
    pub fn open(path: &Path, dtype: Dtype) -> Result<Self> {
        let file = File::open(path).map_err(ArtifactError::io(path))?;
        let bytes = file.metadata().map_err(ArtifactError::io(path))?.len();
        let width = dtype.bytes() as u64;
        if bytes % width != 0 {
            let said = format!("{bytes} bytes are no whole number of tokens of {width} bytes");
            let help = "it was cut, or its `dtype` is another one";
            return Err(ArtifactError::format(path, said).help(help));
        }
        let file = BufReader::with_capacity(1 << 18, file);
        Ok(Self { path: path.to_owned(), file, dtype, tokens: bytes / width, done: 0 })
    }

    /// How many tokens it has.
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// How many were read.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// The next tokens, `most` or fewer; none at the end. One that the vocabulary does not have is an error.
    pub fn read(&mut self, most: u64, vocab_size: u32) -> Result<Vec<u32>> {
        let count = most.min(self.tokens - self.done).min(CHUNK as u64) as usize;
        let mut bytes = vec![0; count * self.dtype.bytes()];
        self.file.read_exact(&mut bytes).map_err(ArtifactError::io(&self.path))?;
        let ids: Vec<u32> = self.dtype.tokens(&bytes).collect();
        if let Some(at) = ids.iter().position(|id| *id >= vocab_size) {
            let said = format!(
                "token {} is {}, and the tokenizer's vocabulary ends at {vocab_size}",
                self.done + at as u64,
                ids[at]
            );
            let help = "take the tokenizer that made the file; or its `dtype` is another one";
            return Err(ArtifactError::format(&self.path, said).help(help));
        }
        self.done += count as u64;
        Ok(ids)
    }
}

/// The documents' lengths of an `.idx` of MUSE, which must follow each other and fill its `.bin` of `tokens`.
pub fn muse_lengths(path: &Path, tokens: u64) -> Result<impl Iterator<Item = Result<u64>> + use<>> {
    let mut file = File::open(path).map_err(ArtifactError::io(path))?;
    let bytes = file.metadata().map_err(ArtifactError::io(path))?.len();
    let mut header = [0; 8];
    let started = bytes >= 8 && file.read_exact(&mut header).is_ok();
    let wrong = |path: &Path, said: String| {
        let help = "an index of MUSE is `MUSE`, version 1 as u32, and two u64 for each document: first token, length";
        ArtifactError::format(path, said).help(help)
    };
    if !started || header.get(..4) != Some(MAGIC) {
        return Err(wrong(path, "not an index of MUSE".into()));
    }
    if header.get(4..) != Some(&VERSION.to_le_bytes()) {
        return Err(wrong(path, "an index of MUSE of another version than 1".into()));
    }
    if (bytes - 8) % 16 != 0 {
        return Err(wrong(path, format!("{bytes} bytes are no whole number of documents")));
    }
    let (count, path) = ((bytes - 8) / 16, path.to_owned());
    if count == 0 && tokens > 0 {
        return Err(wrong(&path, format!("it has no documents, and its `.bin` has {tokens} tokens")));
    }
    let mut file = BufReader::new(file);
    let mut next = 0;
    let documents = (0..count).map(move |at| {
        let mut pair = [0; 16];
        file.read_exact(&mut pair).map_err(ArtifactError::io(&path))?;
        let number = |range: std::ops::Range<usize>| {
            pair.get(range).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
        };
        let (offset, length) = (number(0..8), number(8..16));
        let end = offset.checked_add(length).filter(|end| offset == next && *end <= tokens);
        let last = at + 1 == count;
        match end {
            Some(end) if !last || end == tokens => next = end,
            _ => {
                let said = format!(
                    "document {at} has {length} tokens from token {offset} on; it should begin at {next}, and the \
                     last should end at {tokens}"
                );
                return Err(wrong(&path, said));
            }
        }
        Ok(length)
    });
    Ok(documents)
}

/// Writes packed tokens as MUSE has them: for each side `.bin` and `.idx`, and `metadata.json`.
pub fn write_muse<E: From<ArtifactError>>(
    tokens: &Tokens,
    folder: &Path,
    mut go_on: impl FnMut() -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    fs::create_dir_all(folder).map_err(ArtifactError::io(folder))?;
    for split in Split::ALL {
        let (bin, idx) = (split.file(folder, "bin"), split.file(folder, "idx"));
        let (mut to_bin, mut to_idx) = (create(&bin)?, create(&idx)?);
        to_idx
            .write_all(MAGIC)
            .and_then(|()| to_idx.write_all(&VERSION.to_le_bytes()))
            .map_err(ArtifactError::io(&idx))?;
        // Read as a file, not as memory: each token is looked at once.
        let meta = tokens.meta();
        let mut flat = Flat::open(&split.file(tokens.folder(), "bin"), meta.dtype)?;
        let mut bytes = Vec::new();
        while flat.done() < flat.tokens() {
            go_on()?;
            bytes.clear();
            Dtype::U32.put(&flat.read(u64::MAX, meta.vocab_size)?, &mut bytes);
            to_bin.write_all(&bytes).map_err(ArtifactError::io(&bin))?;
        }
        for number in 0..tokens.documents(split) {
            let place = tokens.place(split, number)?;
            let pair = [place.start.to_le_bytes(), (place.end - place.start).to_le_bytes()].concat();
            to_idx.write_all(&pair).map_err(ArtifactError::io(&idx))?;
        }
        to_bin.flush().map_err(ArtifactError::io(&bin))?;
        to_idx.flush().map_err(ArtifactError::io(&idx))?;
    }
    let counts = |split| {
        let count = match split {
            Split::Train => tokens.meta().train,
            Split::Validation => tokens.meta().validation,
        };
        (count.documents, count.tokens)
    };
    let (train, validation) = (counts(Split::Train), counts(Split::Validation));
    let about = serde_json::json!({
        "dataset": "muse",
        "doc_count": { "train": train.0, "validation": validation.0 },
        "token_counts": { "train": train.1, "validation": validation.1 },
    });
    let path = folder.join("metadata.json");
    let text = serde_json::to_string_pretty(&about).unwrap_or_default() + "\n";
    Ok(fs::write(&path, text).map_err(ArtifactError::io(&path))?)
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    File::create_new(path).map(BufWriter::new).map_err(ArtifactError::io(path))
}
