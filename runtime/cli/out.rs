//! Standard output, where data goes. Nobody reading any more is an end, not an error.
use crate::exit;
use crate::failure::{CliError, plain_io};
use serde::Serialize;
use std::io::{self, BufWriter, ErrorKind, Write};

/// A buffered writer to standard output whose errors are a command's end.
pub(crate) struct Out<'a> {
    writer: BufWriter<Box<dyn Write + 'a>>,
}

impl Out<'_> {
    /// Standard output.
    pub(crate) fn stdout() -> Self {
        Self::to(io::stdout())
    }
}

impl<'a> Out<'a> {
    /// Any writer, for tests.
    pub(crate) fn to(writer: impl Write + 'a) -> Self {
        Self { writer: BufWriter::with_capacity(32 * 1024, Box::new(writer)) }
    }

    /// Writes `text` as it is.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), CliError> {
        self.bytes(text.as_bytes())
    }

    /// Writes `text` and ends the line.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), CliError> {
        self.text(text)?;
        self.text("\n")
    }

    /// Writes bytes as they are: a log is whatever a stage wrote.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.writer.write_all(bytes).map_err(end)
    }

    /// Writes one JSON value on one line, and hands it over at once: who reads events wants them now.
    pub(crate) fn json_line(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        serde_json::to_writer(&mut self.writer, value).map_err(|error| end(error.into()))?;
        self.text("\n")?;
        self.flush()
    }

    /// Writes one JSON value for people and programs.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), CliError> {
        serde_json::to_writer_pretty(&mut self.writer, value).map_err(|error| end(error.into()))?;
        self.text("\n")?;
        self.flush()
    }

    /// Hands everything over. A command that forgets this still does it when the writer goes, but unheard.
    pub(crate) fn flush(&mut self) -> Result<(), CliError> {
        self.writer.flush().map_err(end)
    }
}

fn end(error: io::Error) -> CliError {
    if error.kind() == ErrorKind::BrokenPipe {
        return CliError::closed_pipe();
    }
    CliError::new(exit::FAILED, format!("cannot write to standard output: {}", plain_io(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refuses(ErrorKind);
    impl Write for Refuses {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_a_quiet_end_and_a_full_disk_is_not() {
        let closed = Out::to(Refuses(ErrorKind::BrokenPipe)).json(&1).unwrap_err();
        assert_eq!((closed.code, closed.message.as_str()), (exit::DONE, ""));
        let full = Out::to(Refuses(ErrorKind::StorageFull)).json_line(&1).unwrap_err();
        assert_eq!(full.code, exit::FAILED);
        assert!(full.message.starts_with("cannot write to standard output: "), "{full}");
    }

    #[test]
    fn json_lines_are_lines() {
        let mut bytes = Vec::new();
        let mut out = Out::to(&mut bytes);
        out.json_line(&serde_json::json!({ "a": "b\nc" })).unwrap();
        drop(out);
        assert_eq!(String::from_utf8(bytes).unwrap(), "{\"a\":\"b\\nc\"}\n");
    }
}
