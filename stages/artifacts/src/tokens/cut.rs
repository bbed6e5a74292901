//! Parts a stream in two at a token, so that the end of a text can be held back.
use super::stream::create;
use super::{Split, Stream};
use crate::{ArtifactError, Result};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

impl Stream {
    /// Takes what stands from token `at` on out of this stream: it becomes one for validation. A document that lies
    /// across becomes two, and nothing in the first part leads to the second.
    pub fn cut(mut self, at: u64) -> Result<(Self, Self)> {
        let at = at.min(self.tokens);
        let mut tail = Self { split: Split::Validation, folder: self.folder.clone(), documents: 0, ..self };
        tail.tokens = self.tokens - at;

        let path = tail.path("ends");
        let mut ends = create(&path)?;
        let (mut whole, mut last) = (0, 0);
        for end in self.ends()? {
            let end = end?;
            if end <= at {
                (whole, last) = (whole + 1, end);
            } else {
                tail.documents += 1;
                ends.write_all(&(end - at).to_le_bytes()).map_err(ArtifactError::io(&path))?;
            }
        }
        ends.flush().map_err(ArtifactError::io(&path))?;

        let path = self.path("ends");
        let parted = || -> io::Result<()> {
            let mut file = truncate(&path, whole * 8)?;
            if last < at { file.write_all(&at.to_le_bytes()) } else { Ok(()) }
        };
        parted().map_err(ArtifactError::io(&path))?;
        self.documents = whole + u64::from(last < at);

        let bytes = at * self.dtype.bytes() as u64;
        move_bytes(&self.path("bin"), bytes, &tail.path("bin"))?;
        if self.masked {
            move_bits(&self.path("mask"), at, tail.tokens, &tail.path("mask"))?;
        }
        self.tokens = at;
        Ok((self, tail))
    }
}

/// The file, shortened, ready to be added to.
fn truncate(path: &Path, bytes: u64) -> io::Result<File> {
    let mut file = File::options().write(true).open(path)?;
    file.set_len(bytes)?;
    file.seek(SeekFrom::End(0))?;
    Ok(file)
}

fn open_at(path: &Path, at: u64) -> Result<BufReader<File>> {
    let open = || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(at))?;
        Ok(BufReader::with_capacity(1 << 18, file))
    };
    open().map_err(ArtifactError::io(path))
}

fn move_bytes(from: &Path, at: u64, to: &Path) -> Result<()> {
    let mut source = open_at(from, at)?;
    let mut target = create(to)?;
    io::copy(&mut source, &mut target).and_then(|_| target.flush()).map_err(ArtifactError::io(to))?;
    truncate(from, at).map(drop).map_err(ArtifactError::io(from))
}

/// The same for bits: what stood at bit `at` stands at bit 0 afterwards.
fn move_bits(from: &Path, at: u64, count: u64, to: &Path) -> Result<()> {
    let shift = at % 8;
    let mut source = open_at(from, at / 8)?.bytes();
    let mut next = || source.next().transpose().map_err(ArtifactError::io(from));
    let mut target = create(to)?;
    let mut low = next()?.unwrap_or(0);
    let kept = low & !(0xff << shift);
    for byte in 0..count.div_ceil(8) {
        let high = next()?.unwrap_or(0);
        let mut bits = (u16::from(high) << 8 | u16::from(low)) >> shift;
        let left = count - byte * 8;
        if left < 8 {
            bits &= !(0xff << left);
        }
        target.write_all(&[bits as u8]).map_err(ArtifactError::io(to))?;
        low = high;
    }
    target.flush().map_err(ArtifactError::io(to))?;
    let cut = || {
        let mut file = truncate(from, at / 8)?;
        if shift > 0 { file.write_all(&[kept]) } else { Ok(()) }
    };
    cut().map_err(ArtifactError::io(from))
}
