//! Events on standard output, one JSON object a line.
use super::Reporter;
use crate::out::Out;
use muse_runtime::event::Event;

/// Writes events as they come.
pub(crate) struct Json<'a> {
    write: Box<dyn FnMut(&Event) -> bool + 'a>,
    closed: bool,
}

impl<'a> Json<'a> {
    /// Writes to `out`.
    pub(crate) fn new(out: &'a mut Out<'_>) -> Self {
        Self { write: Box::new(move |event| out.json_line(event).is_ok()), closed: false }
    }
}

impl Reporter for Json<'_> {
    fn event(&mut self, event: &Event) {
        if !self.closed {
            self.closed = !(self.write)(event);
        }
    }

    fn closed(&self) -> bool {
        self.closed
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use std::io::{self, Write};

    #[test]
    fn a_line_is_an_event_with_its_time() {
        let mut bytes = Vec::new();
        let mut out = Out::to(&mut bytes);
        let events = sample::run();
        let mut json = Json::new(&mut out);
        events.iter().for_each(|event| json.event(event));
        drop(json);
        drop(out);
        let text = String::from_utf8(bytes).unwrap();
        let read: Vec<Event> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, events);
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(
            (&first["event"], &first["time"]),
            (&"run_started".into(), &"2026-01-31T12:00:00.000Z".into())
        );
    }

    #[test]
    fn a_reader_that_went_away_is_noticed() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut out = Out::to(Closed);
        let mut json = Json::new(&mut out);
        assert!(!json.closed());
        json.event(&sample::run()[0]);
        assert!(json.closed());
    }
}
