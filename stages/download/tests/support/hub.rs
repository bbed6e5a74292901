//! A hub on this machine: speaks the parts of the hub's API that downloads use, and fails when it is told to.
//!
//! Files that are stored beside git are served from another host, `localhost` instead of `127.0.0.1`, as the hub does it.
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A repository: one commit, which every revision but a commit stands for.
#[derive(Clone, Default)]
pub(crate) struct Repo {
    pub(crate) commit: String,
    pub(crate) card: Value,
    /// Path, content, and whether it is stored beside git.
    pub(crate) files: BTreeMap<String, (Vec<u8>, bool)>,
    /// What is served in the place of files, though the commit says otherwise.
    pub(crate) swapped: BTreeMap<String, Vec<u8>>,
    /// Who does not send this token is not let in.
    pub(crate) token: Option<String>,
    /// It gives files without a word on which commit they are of, and what they are.
    pub(crate) silent: bool,
}

/// A file outside of the hub.
#[derive(Clone, Default)]
pub(crate) struct Plain {
    pub(crate) bytes: Vec<u8>,
    pub(crate) etag: Option<String>,
    /// It knows parts, and it says how long it is.
    pub(crate) ranges: bool,
    pub(crate) length: bool,
}

/// What goes wrong with requests whose path holds `on`, so many times.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) on: String,
    pub(crate) what: What,
    pub(crate) times: u32,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// The connection ends behind so many bytes of the body.
    Cut(usize),
    /// A status with more header lines.
    Status(u16, &'static str),
    /// The first byte is another.
    Flip,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) range: Option<String>,
    pub(crate) token: Option<String>,
    /// Bytes of the body that were sent.
    pub(crate) sent: usize,
}

#[derive(Default)]
pub(crate) struct State {
    /// By `datasets/OWNER/NAME`, or `OWNER/NAME` for models.
    pub(crate) repos: BTreeMap<String, Repo>,
    pub(crate) plain: BTreeMap<String, Plain>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) asked: Vec<Asked>,
}

pub(crate) struct Hub {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

impl Hub {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // Who hangs up early is no trouble to the others.
                std::thread::spawn(move || answer(stream, port, &state));
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a file to a repository, which is made.
    pub(crate) fn put(&self, repo: &str, path: &str, bytes: impl Into<Vec<u8>>, beside: bool) {
        let mut state = self.state();
        let repo = state.repos.entry(repo.into()).or_default();
        repo.commit = "c".repeat(40);
        repo.files.insert(path.into(), (bytes.into(), beside));
    }

    pub(crate) fn fault(&self, on: &str, what: What, times: u32) {
        self.state().faults.push(Fault { on: on.into(), what, times });
    }

    /// Bytes of bodies that were sent for paths that hold `part`.
    pub(crate) fn sent(&self, part: &str) -> usize {
        self.state().asked.iter().filter(|asked| asked.path.contains(part)).map(|asked| asked.sent).sum()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(crate) fn git_blob(bytes: &[u8]) -> String {
    let mut hasher = Sha1::new();
    hasher.update(format!("blob {}\0", bytes.len()));
    hasher.update(bytes);
    hex(&hasher.finalize())
}

fn pointer(bytes: &[u8]) -> String {
    format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n",
        sha256(bytes),
        bytes.len()
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

struct Reply {
    status: u16,
    headers: String,
    body: Vec<u8>,
    length: bool,
}

fn reply(status: u16, headers: impl Into<String>, body: impl Into<Vec<u8>>) -> Reply {
    Reply { status, headers: headers.into(), body: body.into(), length: true }
}

fn answer(mut stream: TcpStream, port: u16, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let fault =
        state.faults.iter_mut().find(|fault| fault.times > 0 && path.contains(&fault.on)).map(|fault| {
            fault.times -= 1;
            fault.what.clone()
        });
    let mut made = match &fault {
        Some(What::Status(status, more)) => reply(*status, *more, ""),
        _ => serve(&state, port, &path, &headers),
    };
    if let (Some(What::Flip), Some(byte)) = (&fault, made.body.first_mut()) {
        *byte ^= 1;
    }
    let mut sent = made.body.len();
    if let Some(What::Cut(most)) = fault {
        sent = sent.min(most);
    }
    if method == "HEAD" {
        sent = 0;
    }
    let token = headers.get("authorization").map(|value| value.trim_start_matches("Bearer ").to_owned());
    let host = headers.get("host").cloned().unwrap_or_default();
    state.asked.push(Asked { path, host, range: headers.get("range").cloned(), token, sent });
    drop(state);
    let length = if made.length { format!("Content-Length: {}\r\n", made.body.len()) } else { String::new() };
    let head = format!("HTTP/1.1 {} X\r\n{}{length}Connection: close\r\n\r\n", made.status, made.headers);
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&made.body[..sent]).ok()?;
    stream.flush().ok()
}

fn serve(state: &State, port: u16, path: &str, headers: &BTreeMap<String, String>) -> Reply {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let range = headers.get("range").map(String::as_str);
    if let Some(plain) = state.plain.get(path) {
        let etag = plain.etag.as_ref().map(|etag| format!("ETag: {etag}\r\n")).unwrap_or_default();
        let same = headers.get("if-range").is_none_or(|known| Some(known) == plain.etag.as_ref());
        let mut made = part(&plain.bytes, range.filter(|_| plain.ranges && same), &etag);
        made.length = plain.length;
        return made;
    }
    if let Some(oid) = path.strip_prefix("/cdn/") {
        let files = state.repos.values().flat_map(|repo| repo.files.values().map(|(bytes, _)| bytes));
        let swapped = state.repos.values().flat_map(|repo| repo.swapped.values());
        return match files.chain(swapped).find(|bytes| sha256(bytes) == oid) {
            Some(bytes) => part(bytes, range, "ETag: \"of the other host\"\r\n"),
            None => reply(404, "", ""),
        };
    }
    let api = path.strip_prefix("/api/");
    let rest = api.unwrap_or(path).trim_start_matches('/');
    let rest = if api.is_some() { rest.strip_prefix("models/").unwrap_or(rest) } else { rest };
    let found = state
        .repos
        .iter()
        .find(|(name, _)| rest.strip_prefix(name.as_str()).is_some_and(|after| after.starts_with('/')));
    let Some((name, repo)) = found else {
        return reply(404, "X-Error-Code: RepoNotFound\r\nX-Error-Message: Repository not found\r\n", "");
    };
    if let Some(token) = &repo.token
        && headers.get("authorization") != Some(&format!("Bearer {token}"))
    {
        return reply(401, "X-Error-Code: GatedRepo\r\nX-Error-Message: Access is restricted\r\n", "");
    }
    let after = &rest[name.len() + 1..];
    let (how, after) = after.split_once('/').unwrap_or((after, ""));
    let (revision, file) = after.split_once('/').unwrap_or((after, ""));
    if revision.len() == 40 && revision != repo.commit || revision == "nowhere" {
        return reply(404, "X-Error-Code: RevisionNotFound\r\n", "");
    }
    match (api.is_some(), how) {
        (true, "revision") => {
            let info = json!({ "id": name.trim_start_matches("datasets/"), "sha": repo.commit, "cardData": repo.card });
            reply(200, "Content-Type: application/json\r\n", info.to_string())
        }
        (true, "tree") => tree(repo, path, query, port),
        (false, "resolve") => resolve(repo, &decoded(file), range, port),
        (false, "raw") => match repo.files.get(&decoded(file)) {
            Some((bytes, true)) => reply(200, "", pointer(bytes)),
            _ => reply(404, "", ""),
        },
        _ => reply(400, "", ""),
    }
}

/// Two entries a page, so that paging is tried.
fn tree(repo: &Repo, path: &str, query: &str, port: u16) -> Reply {
    let from: usize =
        query.split('&').find_map(|part| part.strip_prefix("cursor=")?.parse().ok()).unwrap_or(0);
    let entries = repo.files.iter().skip(from).take(2).map(|(path, (bytes, beside))| {
        if *beside {
            let text = pointer(bytes);
            json!({ "type": "file", "oid": git_blob(text.as_bytes()), "size": bytes.len(), "path": path,
                    "lfs": { "oid": sha256(bytes), "size": bytes.len(), "pointerSize": text.len() } })
        } else {
            json!({ "type": "file", "oid": git_blob(bytes), "size": bytes.len(), "path": path })
        }
    });
    let body = Value::Array(entries.collect()).to_string();
    let more = if from + 2 < repo.files.len() {
        format!("Link: <http://127.0.0.1:{port}{path}?recursive=true&cursor={}>; rel=\"next\"\r\n", from + 2)
    } else {
        String::new()
    };
    reply(200, format!("{more}Content-Type: application/json\r\n"), body)
}

fn resolve(repo: &Repo, file: &str, range: Option<&str>, port: u16) -> Reply {
    let commit = if repo.silent { String::new() } else { format!("X-Repo-Commit: {}\r\n", repo.commit) };
    let swapped = |bytes| repo.swapped.get(file).unwrap_or(bytes);
    match repo.files.get(file).map(|(bytes, beside)| (swapped(bytes), *beside)) {
        None => reply(404, format!("{commit}X-Error-Code: EntryNotFound\r\n"), ""),
        Some((bytes, false)) => part(bytes, range, &format!("{commit}ETag: \"{}\"\r\n", git_blob(bytes))),
        Some((bytes, true)) => {
            let oid = sha256(bytes);
            let linked = format!("X-Linked-ETag: \"{oid}\"\r\nX-Linked-Size: {}\r\n", bytes.len());
            reply(302, format!("{commit}{linked}Location: http://localhost:{port}/cdn/{oid}\r\n"), "")
        }
    }
}

fn part(bytes: &[u8], range: Option<&str>, headers: &str) -> Reply {
    let headers = format!("{headers}Accept-Ranges: bytes\r\n");
    let asked = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let Some((start, end)) = asked else { return reply(200, headers, bytes) };
    let start: usize = start.parse().unwrap();
    let end = end.parse().map_or(bytes.len(), |end: usize| end + 1).min(bytes.len());
    if start >= bytes.len() {
        return reply(416, format!("{headers}Content-Range: bytes */{}\r\n", bytes.len()), "");
    }
    let place = format!("Content-Range: bytes {start}-{}/{}\r\n", end - 1, bytes.len());
    reply(206, headers + &place, &bytes[start..end])
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if let (b'%', [a, b, ..]) = (first, after) {
            let digits = [*a, *b];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}
