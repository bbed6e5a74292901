//! Many files at once, large ones in parts, with a look at the clock and at whether to stop.
use super::fetch::fetch_range;
use super::{Check, NetError, Part, Target, Web};
use muse_stage::{Context, StageError};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Requests at once.
pub(super) const CONNECTIONS: usize = 8;
/// A request is for no more than this, so that one large file keeps all connections busy.
pub(crate) const SEGMENT: u64 = 16 << 20;
/// How often progress is told and the wish to stop is heard.
const GLANCE: Duration = Duration::from_millis(100);
/// How long a connection has to put down what it has when all is over.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// A file to fetch.
pub(crate) struct Wanted {
    pub(crate) target: Target,
    /// Where it goes. What stands there already is whole and right.
    pub(crate) path: PathBuf,
}

/// A file that is under way.
struct Open {
    wanted: Wanted,
    part: Part,
    /// Segments that are not there yet.
    left: AtomicUsize,
}

/// A part of a file that one request is for.
type Segment = (Arc<Open>, Range<u64>);

/// What is not given out yet.
struct Queue {
    files: std::vec::IntoIter<Wanted>,
    open: Option<(Arc<Open>, Vec<Range<u64>>)>,
}

struct Shared {
    web: Arc<Web>,
    queue: Mutex<Queue>,
    /// Bytes of files that are whole, or were there before.
    ready: AtomicU64,
}

/// Fetches all files; each is whole and checked when it has its name. The first error ends it.
pub(crate) fn fetch_all(web: &Arc<Web>, files: Vec<Wanted>, context: &mut Context) -> Result<(), StageError> {
    let total = files.iter().map(|file| file.target.size).sum();
    let before = web.fetched();
    let shared = Arc::new(Shared {
        web: Arc::clone(web),
        queue: Mutex::new(Queue { files: files.into_iter(), open: None }),
        ready: AtomicU64::new(0),
    });
    let (send, heard) = channel();
    // Not scoped: a connection that hangs must not keep a stage from stopping.
    for _ in 0..CONNECTIONS {
        let (shared, send) = (Arc::clone(&shared), send.clone());
        std::thread::spawn(move || _ = send.send(work(&shared)));
    }
    drop(send);
    let mut working = CONNECTIONS;
    let end = loop {
        if working == 0 {
            break Ok(());
        }
        match heard.recv_timeout(GLANCE) {
            Ok(Ok(())) => working -= 1,
            Ok(Err(error)) => {
                working -= 1;
                break Err(error.into());
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Err(stop) = context.go_on() {
                    break Err(stop);
                }
                let done = shared.ready.load(Ordering::Relaxed) + (web.fetched() - before);
                context.progress(done.min(total), Some(total), "bytes");
            }
            // A thread that is gone without a word has panicked.
            Err(RecvTimeoutError::Disconnected) => break Err(StageError::new("a connection broke down")),
        }
    };
    if end.is_ok() {
        context.progress(total, Some(total), "bytes");
    } else {
        // The others put down what they have, if they can do it soon.
        web.halt();
        while working > 0 && heard.recv_timeout(LAST_MOMENT).is_ok() {
            working -= 1;
        }
    }
    end
}

fn work(shared: &Shared) -> Result<(), NetError> {
    loop {
        shared.web.go_on()?;
        let Some((open, range)) = next(shared)? else { return Ok(()) };
        fetch_range(&shared.web, &open.wanted.target, &open.part, &range)?;
        if open.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            close(shared, open)?;
        }
    }
}

/// The next segment; opens the next file where the last one is given out.
fn next(shared: &Shared) -> Result<Option<Segment>, NetError> {
    let mut queue = shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some((open, segments)) = &mut queue.open {
            if let Some(segment) = segments.pop() {
                return Ok(Some((Arc::clone(open), segment)));
            }
            queue.open = None;
        }
        let Some(wanted) = queue.files.next() else { return Ok(None) };
        if there(&wanted.path, wanted.target.size) {
            shared.ready.fetch_add(wanted.target.size, Ordering::Relaxed);
            continue;
        }
        let disk = |source| NetError::Disk { path: wanted.path.clone(), source };
        let part = Part::open(&wanted.path, wanted.target.size, &wanted.target.tag()).map_err(disk)?;
        shared.ready.fetch_add(part.bytes(), Ordering::Relaxed);
        // One for a file that lacks nothing too: somebody has to close it. Taken from the back.
        let each = if wanted.target.parts { SEGMENT } else { part.size().max(1) };
        let mut segments: Vec<Range<u64>> = (0..part.size().div_ceil(each).max(1))
            .map(|at| at * each..at.saturating_add(1).saturating_mul(each).min(part.size()))
            .collect();
        segments.reverse();
        let left = AtomicUsize::new(segments.len());
        queue.open = Some((Arc::new(Open { wanted, part, left }), segments));
    }
}

/// All bytes are there: whether they are right decides.
fn close(shared: &Shared, open: Arc<Open>) -> Result<(), NetError> {
    {
        // The queue still holds a file of which all is given out.
        let mut queue = shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.open.as_ref().is_some_and(|(last, _)| Arc::ptr_eq(last, &open)) {
            queue.open = None;
        }
    }
    let web = &shared.web;
    let target = &open.wanted.target;
    let path = &open.wanted.path;
    let disk = |source| NetError::Disk { path: path.clone(), source };
    let check = target.check(web)?;
    if let Err(error) = verify(&target.name, open.part.path(), target.size, &check) {
        Part::drop_all(path).map_err(disk)?;
        let NetError::Changed { .. } = &error else { return Err(error) };
        if !open.part.resumed {
            return Err(error);
        }
        // What an earlier attempt left was not what it should be: once more, from the start.
        let part = Part::open(path, target.size, &target.tag()).map_err(disk)?;
        fetch_range(web, target, &part, &(0..target.size))?;
        if let Err(error) = verify(&target.name, part.path(), target.size, &check) {
            Part::drop_all(path).map_err(disk)?;
            return Err(error);
        }
        return part.finish(path).map_err(disk);
    }
    open.part.finish(path).map_err(disk)
}

/// Whether the file at `path` is what it should be.
pub(crate) fn verify(name: &str, path: &Path, size: u64, check: &Check) -> Result<(), NetError> {
    let disk = |source| NetError::Disk { path: path.to_owned(), source };
    let is = fs::metadata(path).map_err(disk)?.len();
    if is != size {
        return Err(NetError::Changed { message: format!("{name} has {is} bytes instead of {size}") });
    }
    let found = check.of_file(path, size).map_err(disk)?;
    match (found, check.wanted()) {
        (Some(found), Some(wanted)) if found != wanted => Err(NetError::Changed {
            message: format!(
                "what came as {name} is not what it should be: its digest is {found} instead of {wanted}"
            ),
        }),
        _ => Ok(()),
    }
}

fn there(path: &Path, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == size)
}
