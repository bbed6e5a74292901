//! One file over HTTP: asked for in parts, written as it comes.
use super::error::shown;
use super::target::Of;
use super::{NetError, Part, Target, Web};
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes are read in pieces of this size.
const PIECE: usize = 256 << 10;
/// And made to last on the disk this often: no more than this is lost of each connection by a kill.
const KEEP: u64 = 8 << 20;
const KEEP_AFTER: Duration = Duration::from_secs(1);

/// Fetches what `part` lacks of `range`.
pub(crate) fn fetch_range(
    web: &Web,
    target: &Target,
    part: &Part,
    range: &Range<u64>,
) -> Result<(), NetError> {
    while part.gap(range).is_some() {
        web.patience.insist(|came| match part.gap(range) {
            Some(gap) => once(web, target, part, gap, came),
            None => Ok(()),
        })?;
    }
    Ok(())
}

fn once(web: &Web, target: &Target, part: &Part, gap: Range<u64>, came: &mut u64) -> Result<(), NetError> {
    let etag = match &target.of {
        Of::Anyone { etag } => etag.as_deref(),
        Of::Hub { .. } => None,
    };
    let mut answer = web.get(&target.url, Some(gap.clone()), etag, target.repo())?;
    target.recognise(web, &answer)?;
    if answer.start > gap.start {
        let message = format!("{} answered with another part than was asked for", shown(&target.url));
        return Err(NetError::lasting(message));
    }
    let (mut at, mut kept, mut kept_at) = (answer.start, gap.start, Instant::now());
    let mut piece = vec![0; PIECE];
    let disk = |source| NetError::Disk { path: part.path().to_owned(), source };
    let end = loop {
        if at >= gap.end {
            break Ok(());
        }
        if let Err(stop) = web.go_on() {
            break Err(stop);
        }
        let read = match answer.body.read(&mut piece) {
            Ok(0) => break Err(NetError::passing(format!("{} ended early", target.name))),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                break Err(NetError::passing(format!("{} was cut: {}", target.name, inner(&error))));
            }
        };
        web.count(read as u64);
        // A server that knows no parts sends the whole: what is there already, or too much, is passed over.
        let skip = usize::try_from(gap.start.saturating_sub(at)).unwrap_or(usize::MAX).min(read);
        let room = usize::try_from(gap.end - at).unwrap_or(usize::MAX).min(read);
        if room > skip {
            part.write(at + skip as u64, &piece[skip..room]).map_err(disk)?;
            *came += (room - skip) as u64;
        }
        at += room as u64;
        if at > kept && (at - kept >= KEEP || kept_at.elapsed() >= KEEP_AFTER) {
            part.keep(kept..at).map_err(disk)?;
            (kept, kept_at) = (at, Instant::now());
        }
    };
    part.keep(kept..at.max(kept)).map_err(disk)?;
    end
}

/// What a server says of a URL.
pub(crate) struct Probe {
    /// Where it tells.
    pub(crate) size: Option<u64>,
    pub(crate) etag: Option<String>,
    /// It gives parts.
    pub(crate) parts: bool,
}

/// Asks a server for the first byte of a URL, to see what it says.
pub(crate) fn probe(web: &Web, url: &str) -> Result<Probe, NetError> {
    let answer = web.patience.insist(|_| web.get(url, Some(0..1), None, None))?;
    Ok(Probe { size: answer.total, etag: answer.etag, parts: answer.partial })
}

/// Fetches a URL whose size nobody tells, from its start to its end. A cut begins again.
pub(crate) fn stream_whole(
    web: &Web,
    name: &str,
    url: &str,
    to: &Path,
    checked: bool,
) -> Result<(), NetError> {
    let disk = |source| NetError::Disk { path: to.to_owned(), source };
    web.patience.insist(|_| {
        let mut answer = web.get(url, None, None, None)?;
        if !answer.framed && !checked {
            let help = "give its `sha256`, and it is checked by that";
            let message =
                format!("the server does not say where {name} ends, so that a cut could not be seen");
            return Err(NetError::Lasting { message, help: Some(help.into()) });
        }
        let mut file = File::create(to).map_err(disk)?;
        let mut piece = vec![0; PIECE];
        loop {
            web.patience.go_on()?;
            match answer.body.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => {
                    web.count(read as u64);
                    file.write_all(&piece[..read]).map_err(disk)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(NetError::passing(format!("{name} was cut: {}", inner(&error)))),
            }
        }
        file.sync_all().map_err(disk)
    })
}

fn inner(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>()) {
        Some(error) => Web::said(error),
        None => error.to_string(),
    }
}
