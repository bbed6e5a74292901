//! A zip of files: each is read as if it stood beside the zip.
use super::stream::{Bytes, Counted, Stream};
use super::{Flow, Reading, Taker, broken, open};
use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

/// Pieces of a file that wait to be read.
const WAITING: usize = 4;
const PIECE: usize = 1 << 18;

pub(super) fn read(reading: &mut Reading, path: &Path, name: &str, taker: &mut dyn Taker) -> Flow {
    let failed =
        |error: &dyn std::fmt::Display| broken(name, &format!("not a zip that can be read: {error}"));
    let mut archive = zip::ZipArchive::new(open(path)?).map_err(|error| failed(&error))?;
    let names: Result<Vec<String>, _> = archive.file_names().map(|name| name.map(Into::into)).collect();
    let mut members: Vec<(String, usize)> =
        names.map_err(|error| failed(&error))?.into_iter().zip(0..).collect();
    members.retain(|(inner, _)| {
        !inner.ends_with('/') && !inner.split('/').any(|part| part.starts_with(['.', '_']))
    });
    members.sort();
    for (inner, at) in members {
        let (send, pieces) = sync_channel(WAITING);
        // A member lends from its archive, so it is unpacked by a thread that has both, and gives the archive back.
        let unpacker = std::thread::spawn(move || {
            let end = unpack(&mut archive, at, &mut |piece| send.send(Ok(piece)).is_ok());
            if let Err(error) = end {
                let _ = send.send(Err(error));
            }
            archive
        });
        let bytes: Bytes = Box::new(Counted {
            inner: Pieces { from: pieces, piece: io::Cursor::new(Vec::new()) },
            bytes: Arc::clone(&reading.done),
        });
        let full = format!("{name}/{inner}");
        let stream = Stream::open(bytes, &full)?;
        if reading.stream(stream, &full, taker)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        // One that broke down must not pass for the end of its file.
        archive = unpacker.join().map_err(|_| broken(&full, "it cannot be unpacked"))?;
    }
    Ok(ControlFlow::Continue(()))
}

fn unpack(
    archive: &mut zip::ZipArchive<File>,
    at: usize,
    take: &mut dyn FnMut(Vec<u8>) -> bool,
) -> io::Result<()> {
    let mut member = archive.by_index(at).map_err(io::Error::other)?;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        Read::take(&mut member, PIECE as u64).read_to_end(&mut piece)?;
        if piece.is_empty() || !take(piece) {
            return Ok(());
        }
    }
}

struct Pieces {
    from: Receiver<io::Result<Vec<u8>>>,
    piece: io::Cursor<Vec<u8>>,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.from.recv() {
                Ok(piece) => self.piece = io::Cursor::new(piece?),
                Err(_) => return Ok(0),
            }
        }
    }
}
