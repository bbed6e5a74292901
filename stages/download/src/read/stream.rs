//! The bytes of a file in reading order: unpacked, without a byte order mark, line by line where wanted.
use super::{LARGEST, broken};
use flate2::read::MultiGzDecoder;
use muse_stage::StageError;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// So much is looked at before it is decided what a file holds.
const BEGIN: usize = 64 << 10;

/// Bytes that can be read on another thread.
pub(crate) type Bytes = Box<dyn Read + Send>;

/// Unpacked bytes, of which the first are known.
pub(crate) struct Stream {
    begin: Vec<u8>,
    rest: Bytes,
    /// Bytes of a byte order mark that were taken off.
    mark: u64,
}

/// Counts what is read.
pub(crate) struct Counted<R> {
    pub(crate) inner: R,
    pub(crate) bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

impl Stream {
    /// Unpacks by the first bytes, whatever the file is called.
    pub(crate) fn open(mut bytes: Bytes, name: &str) -> Result<Self, StageError> {
        let failed = |error: io::Error| broken(name, &unreadable(&error));
        for _ in 0..3 {
            let head = fill(&mut bytes, 4).map_err(failed)?;
            let packed = match head.as_slice() {
                [0x1f, 0x8b, ..] => Some(true),
                [0x28, 0xb5, 0x2f, 0xfd] => Some(false),
                // A zstd file may begin with a frame to be skipped.
                [at, 0x2a, 0x4d, 0x18] if at & 0xf0 == 0x50 => Some(false),
                _ => None,
            };
            let whole = Cursor::new(head).chain(bytes);
            match packed {
                Some(true) => bytes = Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 17, whole))),
                Some(false) => {
                    let mut decoder = zstd::stream::read::Decoder::new(whole).map_err(failed)?;
                    // Written with long windows, as large data sets are.
                    decoder.window_log_max(31).map_err(failed)?;
                    bytes = Box::new(decoder);
                }
                None => return Self::plain(Box::new(whole), name),
            }
        }
        Err(broken(name, "it is packed more than twice"))
    }

    fn plain(mut rest: Bytes, name: &str) -> Result<Self, StageError> {
        let mut begin = fill(&mut rest, BEGIN).map_err(|error| broken(name, &unreadable(&error)))?;
        let mut mark = 0;
        match begin.as_slice() {
            [0xef, 0xbb, 0xbf, ..] => {
                begin.drain(..3);
                mark = 3;
            }
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                let help = "text must be UTF-8: `iconv -f UTF-16 -t UTF-8 FILE > NEW` makes it so";
                return Err(broken(name, "it is UTF-16").help(help));
            }
            _ => {}
        }
        Ok(Self { begin, rest, mark })
    }

    /// How it begins.
    pub(crate) fn begin(&self) -> &[u8] {
        &self.begin
    }

    /// All bytes from the start.
    pub(crate) fn into_read(self) -> io::Chain<Cursor<Vec<u8>>, Bytes> {
        Cursor::new(self.begin).chain(self.rest)
    }

    /// Its lines.
    pub(crate) fn lines(self, name: &str) -> Lines<'_> {
        let offset = self.mark;
        Lines {
            name,
            from: BufReader::with_capacity(1 << 17, self.into_read()),
            line: 0,
            offset,
            buffer: Vec::new(),
        }
    }
}

/// Why bytes could not be read, where they are packed more often than not.
pub(crate) fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends early: it was cut, or is still being written".into(),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => format!("it cannot be unpacked: {error}"),
        _ => format!("it cannot be read: {error}"),
    }
}

fn fill(bytes: &mut Bytes, most: usize) -> io::Result<Vec<u8>> {
    let mut begin = Vec::new();
    bytes.take(most as u64).read_to_end(&mut begin)?;
    Ok(begin)
}

/// Lines that are checked to be text.
pub(crate) struct Lines<'a> {
    name: &'a str,
    from: BufReader<io::Chain<Cursor<Vec<u8>>, Bytes>>,
    line: u64,
    /// Where the next line begins.
    offset: u64,
    buffer: Vec<u8>,
}

impl Lines<'_> {
    /// The next line without its end, and its number from 1 on.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &str)>, StageError> {
        self.buffer.clear();
        let mut limited = (&mut self.from).take(LARGEST + 1);
        let read = limited.read_until(b'\n', &mut self.buffer);
        let read = read.map_err(|error| broken(self.name, &unreadable(&error)))?;
        if read == 0 {
            return Ok(None);
        }
        self.line += 1;
        if self.buffer.len() as u64 > LARGEST {
            let message = format!("line {} is longer than {} MiB", self.line, LARGEST >> 20);
            return Err(broken(self.name, &message));
        }
        let start = self.offset;
        self.offset += read as u64;
        let line = self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match std::str::from_utf8(line) {
            Ok(text) => Ok(Some((self.line, text))),
            Err(error) => Err(not_text(self.name, self.line, start + error.valid_up_to() as u64)),
        }
    }
}

/// Bytes that are no UTF-8.
pub(crate) fn not_text(name: &str, line: u64, offset: u64) -> StageError {
    let help = "text must be UTF-8: `iconv -f ENCODING -t UTF-8 FILE > NEW` makes it so";
    broken(name, &format!("line {line}: byte {offset} is no UTF-8")).help(help)
}
