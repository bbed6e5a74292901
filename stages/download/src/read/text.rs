//! Plain text: a file, a paragraph or a line is a document.
use super::stream::{Stream, not_text, unreadable};
use super::{Flow, LARGEST, Reading, Taker, broken};
use crate::params::Documents;
use muse_artifacts::corpus::BodyRef;
use std::io::Read;
use std::ops::ControlFlow;

pub(super) fn read(reading: &Reading, stream: Stream, name: &str, taker: &mut dyn Taker) -> Flow {
    match reading.wish.documents {
        Documents::File => whole(stream, name, taker),
        Documents::Paragraph => paragraphs(stream, name, taker),
        Documents::Line => lines(stream, name, taker),
    }
}

fn whole(stream: Stream, name: &str, taker: &mut dyn Taker) -> Flow {
    let mut bytes = Vec::new();
    let read = stream.into_read().take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| broken(name, &unreadable(&error)))?;
    if bytes.len() as u64 > LARGEST {
        let message = format!("as one document it is too large: more than {} MiB", LARGEST >> 20);
        return Err(broken(name, &message).help("write `documents: paragraph` or `documents: line`"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let line = good.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        not_text(name, line, good.len() as u64)
    })?;
    give(text, taker)
}

fn paragraphs(stream: Stream, name: &str, taker: &mut dyn Taker) -> Flow {
    let mut lines = stream.lines(name);
    let mut paragraph = String::new();
    while let Some((number, line)) = lines.next()? {
        if !line.trim().is_empty() {
            if !paragraph.is_empty() {
                paragraph.push('\n');
            }
            paragraph.push_str(line);
            if paragraph.len() as u64 > LARGEST {
                let message =
                    format!("the paragraph up to line {number} is larger than {} MiB", LARGEST >> 20);
                return Err(broken(name, &message).help("write `documents: line`"));
            }
        } else if !paragraph.is_empty() {
            if give(&paragraph, taker)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            paragraph.clear();
        }
    }
    if paragraph.is_empty() { Ok(ControlFlow::Continue(())) } else { give(&paragraph, taker) }
}

fn lines(stream: Stream, name: &str, taker: &mut dyn Taker) -> Flow {
    let mut lines = stream.lines(name);
    while let Some((_, line)) = lines.next()? {
        if !line.trim().is_empty() && give(line, taker)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn give(text: &str, taker: &mut dyn Taker) -> Flow {
    if text.is_empty() {
        taker.empty();
        return Ok(ControlFlow::Continue(()));
    }
    taker.document(&BodyRef::Text(text))
}
