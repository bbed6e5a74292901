//! One file over HTTP: what is asked of the server, and whether what came is what was named.
use super::error::shown;
use super::web::Answer;
use super::{NetError, Part, Repo, Web};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::OnceLock;

/// Bytes are read in pieces of this size.
const PIECE: usize = 256 << 10;
/// And made to last on the disk this often: what a kill loses of each connection.
const KEEP: u64 = 8 << 20;

/// A file on a server.
pub(crate) struct Target {
    /// What messages call it.
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) size: u64,
    pub(crate) of: Of,
}

/// Whose file it is, which says how it is recognised.
pub(crate) enum Of {
    /// Any server's: by the ETag of its first answer.
    Anyone { etag: Option<String> },
    /// The hub's: by the commit's tree.
    Hub {
        repo: Repo,
        commit: String,
        /// The git name of the blob, or of the pointer that stands for it.
        oid: String,
        /// It is stored beside git, and `oid` names a pointer. The pointer's own address.
        pointer: Option<String>,
        /// What the hub said that the content is: of what is stored beside git the SHA-256.
        learned: OnceLock<String>,
    },
}

/// What a file must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    Sha256(String),
    /// The SHA-1 of a git blob.
    Git(String),
    Blake3(String),
    /// There is nothing to hold it against.
    Nothing,
}

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
    let (mut at, mut kept) = (answer.start, gap.start);
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
        if at.saturating_sub(kept) >= KEEP {
            part.keep(kept..at).map_err(disk)?;
            kept = at;
        }
    };
    part.keep(kept..at.max(kept)).map_err(disk)?;
    end
}

impl Target {
    fn repo(&self) -> Option<&Repo> {
        match &self.of {
            Of::Anyone { .. } => None,
            Of::Hub { repo, .. } => Some(repo),
        }
    }

    /// Whether an answer is of the file that was begun.
    fn recognise(&self, web: &Web, answer: &Answer) -> Result<(), NetError> {
        let changed =
            |what: String| Err(NetError::Changed { message: format!("{} changed: {what}", self.name) });
        match &self.of {
            Of::Anyone { etag } => {
                if answer.total.is_some_and(|total| total != self.size) {
                    return changed(format!("it had {} bytes when it was begun", self.size));
                }
                if etag.is_some() && answer.etag.is_some() && answer.etag != *etag {
                    return changed("its ETag is another than when it was begun".into());
                }
            }
            Of::Hub { commit, oid, pointer, learned, repo } => {
                let help = format!("which `{}` must not do under the commit {commit}", repo.name);
                let size = answer.linked.size.or(answer.total);
                if let Some(size) = size.filter(|size| *size != self.size) {
                    return changed(format!("it has {size} bytes and its commit says {}, {help}", self.size));
                }
                if let Some(other) = answer.linked.commit.as_ref().filter(|other| *other != commit) {
                    return changed(format!("the hub answers from the commit {other}, {help}"));
                }
                let Some(etag) = &answer.linked.etag else { return Ok(()) };
                let first = learned.get_or_init(|| etag.clone());
                let known = match pointer {
                    Some(_) => first,
                    None => oid,
                };
                if etag != known {
                    return changed(format!("the hub says it is {etag} and said {known} before, {help}"));
                }
                if let Some(pointer) = pointer {
                    self.points(web, pointer, oid, etag)?;
                }
            }
        }
        Ok(())
    }

    /// Whether the pointer that the commit holds points to `sha256`.
    fn points(&self, web: &Web, pointer: &str, oid: &str, sha256: &str) -> Result<(), NetError> {
        let usual =
            format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {}\n", self.size);
        if git_blob(usual.as_bytes()) == oid {
            return Ok(());
        }
        // A pointer may hold more lines than it needs: look at it.
        let mut text = Vec::new();
        let answer = web.get(pointer, None, None, self.repo())?;
        let read = answer.body.take(1 << 16).read_to_end(&mut text);
        read.map_err(|error| NetError::passing(format!("{} was cut: {error}", shown(pointer))))?;
        let names = String::from_utf8_lossy(&text).lines().any(|line| line == format!("oid sha256:{sha256}"));
        if names && git_blob(&text) == oid {
            return Ok(());
        }
        let message =
            format!("{} changed: the hub offers {sha256}, which is not what its commit points to", self.name);
        Err(NetError::Changed { message })
    }

    /// What the whole must be.
    pub(crate) fn check(&self, web: &Web) -> Result<Check, NetError> {
        match &self.of {
            Of::Anyone { .. } => Ok(Check::Nothing),
            Of::Hub { oid, pointer: None, .. } => Ok(Check::Git(oid.clone())),
            Of::Hub { learned, repo, .. } => {
                if learned.get().is_none() {
                    // All bytes came in an earlier attempt.
                    let answer = web.patience.insist(|_| web.get(&self.url, Some(0..1), None, Some(repo)))?;
                    self.recognise(web, &answer)?;
                }
                let is_sha256 =
                    |text: &&String| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
                Ok(learned.get().filter(is_sha256).map_or(Check::Nothing, |hex| Check::Sha256(hex.clone())))
            }
        }
    }

    /// What names the content, for parts that outlive an attempt.
    pub(crate) fn tag(&self) -> String {
        match &self.of {
            Of::Anyone { etag } => format!("{} {}", self.url, etag.as_deref().unwrap_or_default()),
            Of::Hub { oid, .. } => oid.clone(),
        }
    }
}

/// What a server says of a URL: its size, where it tells, and its ETag.
pub(crate) fn probe(web: &Web, url: &str) -> Result<(Option<u64>, Option<String>), NetError> {
    let answer = web.patience.insist(|_| web.get(url, Some(0..1), None, None))?;
    let etag = answer.etag.clone();
    Ok((answer.total, etag))
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

impl Check {
    /// The digest of a file, as this check writes it; `None` where there is nothing to hold it against.
    pub(crate) fn of_file(&self, path: &Path, size: u64) -> io::Result<Option<String>> {
        let mut sha256 = Sha256::new();
        let mut sha1 = Sha1::new_with_prefix(format!("blob {size}\0"));
        let mut blake3 = blake3::Hasher::new();
        let take: &mut dyn FnMut(&[u8]) = match self {
            Self::Nothing => return Ok(None),
            Self::Sha256(_) => &mut |bytes| sha256.update(bytes),
            Self::Git(_) => &mut |bytes| sha1.update(bytes),
            Self::Blake3(_) => &mut |bytes| _ = blake3.update(bytes),
        };
        let mut file = File::open(path)?;
        let mut piece = vec![0; 1 << 20];
        loop {
            match file.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => take(&piece[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(match self {
            Self::Git(_) => hex(&sha1.finalize()),
            Self::Blake3(_) => blake3.finalize().to_hex().to_string(),
            _ => hex(&sha256.finalize()),
        }))
    }

    /// The digest that it asks for.
    pub(crate) fn wanted(&self) -> Option<&str> {
        match self {
            Self::Sha256(hex) | Self::Git(hex) | Self::Blake3(hex) => Some(hex),
            Self::Nothing => None,
        }
    }
}

/// The name that git gives to a blob.
pub(crate) fn git_blob(content: &[u8]) -> String {
    let mut hasher = Sha1::new_with_prefix(format!("blob {}\0", content.len()));
    hasher.update(content);
    hex(&hasher.finalize())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn inner(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>()) {
        Some(error) => Web::said(error),
        None => error.to_string(),
    }
}
