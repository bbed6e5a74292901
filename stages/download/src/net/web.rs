//! One HTTP client: follows redirects itself, so that the token goes to the hub and nowhere else.
use super::error::Refusal;
use super::{NetError, Patience, Repo};
use reqwest::blocking::{Client, Response};
use reqwest::header::{self, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const REDIRECTS: usize = 10;
const CONNECT: Duration = Duration::from_secs(30);
/// One request takes no longer. What came until then is kept, and the next request goes on from there.
const REQUEST: Duration = Duration::from_secs(300);
/// But for what a server gives whole only: a request for more than this has a day.
const LARGE: u64 = 64 << 20;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A question to the hub's API takes no longer.
const QUESTION: Duration = Duration::from_secs(60);

/// A secret: shows nothing of itself.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// A client with all that its requests share.
pub(crate) struct Web {
    client: Client,
    /// The hub's origin, and the token that goes there.
    home: Option<(Url, Token)>,
    /// The hub is on this machine.
    here: bool,
    pub(crate) patience: Patience,
    /// Bytes of bodies that came.
    fetched: AtomicU64,
    /// One connection failed for good: the others need not go on.
    halted: AtomicBool,
    offline: bool,
}

/// An answer that is a success.
pub(crate) struct Answer {
    pub(crate) body: Response,
    /// Where the body begins, and how long the whole is, as far as the server says.
    pub(crate) start: u64,
    pub(crate) total: Option<u64>,
    /// It is the part that was asked for, not the whole.
    pub(crate) partial: bool,
    /// A name of the content that changes with it.
    pub(crate) etag: Option<String>,
    /// What the hub said of the file before it sent us elsewhere.
    pub(crate) linked: Linked,
    /// The body's end is marked, so that a cut cannot go unnoticed.
    pub(crate) framed: bool,
}

/// The hub's own words about a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Linked {
    pub(crate) etag: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) commit: Option<String>,
}

impl Web {
    /// A client. `home` is where the token may go.
    pub(crate) fn new(
        home: Option<(&str, Option<Token>)>,
        patience: Patience,
        offline: bool,
    ) -> Result<Self, NetError> {
        let mut builder = Client::builder()
            .user_agent(concat!("muse/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .tcp_keepalive(CONNECT)
            .timeout(REQUEST);
        let (mut token, mut here) = (None, false);
        if let Some((endpoint, secret)) = home {
            let url = Url::parse(endpoint).map_err(|error| {
                NetError::lasting(format!("`{endpoint}` is no address of a hub: {error}"))
            })?;
            here = is_here(&url);
            if here {
                // A mirror on this machine is not behind the proxy.
                builder = builder.no_proxy();
            }
            token = secret.map(|secret| (url, secret));
        }
        let client = builder
            .build()
            .map_err(|error| NetError::lasting(format!("no HTTP client: {}", Self::said(&error))))?;
        Ok(Self {
            client,
            home: token,
            here,
            patience,
            fetched: AtomicU64::new(0),
            halted: AtomicBool::new(false),
            offline,
        })
    }

    /// The same for the hub's own crate, which asks small questions only.
    pub(crate) fn twin(&self) -> Result<reqwest::Client, NetError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("muse/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(QUESTION);
        if self.here {
            builder = builder.no_proxy();
        }
        builder.build().map_err(|error| NetError::lasting(format!("no HTTP client: {}", Self::said(&error))))
    }

    /// The innermost reason: the outer ones repeat the address.
    pub(crate) fn said(error: &reqwest::Error) -> String {
        let mut inner: &dyn std::error::Error = error;
        while let Some(source) = inner.source() {
            inner = source;
        }
        inner.to_string()
    }

    /// Bytes of bodies that came so far.
    pub(crate) fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// Ends all requests soon; what came is kept.
    pub(crate) fn halt(&self) {
        self.halted.store(true, Ordering::Relaxed);
    }

    /// An error once there is no sense in going on.
    pub(crate) fn go_on(&self) -> Result<(), NetError> {
        if self.halted.load(Ordering::Relaxed) { Err(NetError::Stopped) } else { self.patience.go_on() }
    }

    pub(crate) fn count(&self, bytes: u64) {
        self.fetched.fetch_add(bytes, Ordering::Relaxed);
    }

    /// An error where the network may not be used.
    pub(crate) fn allowed(&self, url: &str) -> Result<(), NetError> {
        if !self.offline {
            return Ok(());
        }
        Err(NetError::Lasting {
            message: format!(
                "{} would have to be fetched, and the network may not be used",
                super::error::shown(url)
            ),
            help: Some("run without `--offline`, and without HF_HUB_OFFLINE".into()),
        })
    }

    /// Asks once for a part of `url`, or for all of it. `range` has an end, `known` names the content that the part
    /// must be of.
    pub(crate) fn get(
        &self,
        url: &str,
        range: Option<Range<u64>>,
        known: Option<&str>,
        repo: Option<&Repo>,
    ) -> Result<Answer, NetError> {
        self.allowed(url)?;
        let bad = |error| NetError::lasting(format!("`{url}` is no address: {error}"));
        let mut here = Url::parse(url).map_err(bad)?;
        let mut linked = Linked::default();
        let origin = here.origin();
        for _ in 0..=REDIRECTS {
            let large = range.as_ref().is_none_or(|range| range.end - range.start > LARGE);
            let mut request = self.client.get(here.clone()).timeout(if large { DAY } else { REQUEST });
            let token = self.home.as_ref().filter(|(home, _)| home.origin() == here.origin());
            if let Some((_, token)) = token {
                request = request.bearer_auth(token.reveal());
            }
            if let Some(range) = &range {
                request = request.header(header::RANGE, format!("bytes={}-{}", range.start, range.end - 1));
                if let Some(etag) = known.filter(|etag| etag.starts_with('"')) {
                    request = request.header(header::IF_RANGE, etag);
                }
            }
            let answer = request.send().map_err(|error| unreached(&here, &error))?;
            linked.hear(answer.headers());
            let status = answer.status();
            if status.is_redirection() {
                let to = text(answer.headers(), "location").unwrap_or_default();
                here = here.join(to).map_err(bad)?;
                continue;
            }
            if status.is_success() || (status == StatusCode::RANGE_NOT_SATISFIABLE && range.is_some()) {
                return Ok(self.answer(answer, linked));
            }
            return Err(refused(answer, token.is_some(), here.origin() != origin, repo));
        }
        Err(NetError::lasting(format!(
            "{} leads from one address to the next without an end",
            super::error::shown(url)
        )))
    }

    fn answer(&self, body: Response, linked: Linked) -> Answer {
        let headers = body.headers();
        let length = text(headers, "content-length").and_then(|text| text.parse::<u64>().ok());
        let etag = text(headers, "etag").or_else(|| text(headers, "last-modified")).map(str::to_owned);
        let partial = body.status() == StatusCode::PARTIAL_CONTENT;
        let (start, total) = match text(headers, "content-range").and_then(content_range) {
            Some((start, total)) => (start, total),
            None => (0, length.filter(|_| !partial)),
        };
        let framed = length.is_some()
            || headers.contains_key(header::TRANSFER_ENCODING)
            || body.version() == reqwest::Version::HTTP_2;
        Answer { body, start, total, partial, etag, linked, framed }
    }
}

impl Linked {
    fn hear(&mut self, headers: &HeaderMap) {
        let plain = |text: &str| text.trim_start_matches("W/").trim_matches('"').to_owned();
        // The first to speak is the hub; a redirect's other host knows nothing of commits.
        let commit = text(headers, "x-repo-commit").map(str::to_owned);
        if commit.is_some() && self.etag.is_none() {
            self.etag = text(headers, "x-linked-etag").or_else(|| text(headers, "etag")).map(plain);
            self.size = text(headers, "x-linked-size").and_then(|size| size.parse().ok());
        }
        self.commit = self.commit.take().or(commit);
    }
}

fn refused(answer: Response, with_token: bool, elsewhere: bool, repo: Option<&Repo>) -> NetError {
    let status = answer.status().as_u16();
    let url = answer.url().to_string();
    let headers = answer.headers();
    let owned = |name| text(headers, name).map(str::to_owned);
    let (code, message) = (owned("x-error-code"), owned("x-error-message"));
    let retry_after =
        text(headers, "retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let said = Refusal { code: code.as_deref(), message: message.as_deref(), retry_after, with_token };
    if elsewhere && matches!(status, 401 | 403) {
        // The address that the hub sent us to holds for a time only; the next try asks for a new one.
        return NetError::passing(format!("{} answered {status}", super::error::shown(&url)));
    }
    NetError::refused(&url, status, &said, repo)
}

/// `bytes 5-9/20`, `bytes */20`, `bytes 5-9/*`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let start = range.split_once('-').and_then(|(start, _)| start.trim().parse().ok());
    Some((start.unwrap_or(0), total.trim().parse().ok()))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn is_here(url: &Url) -> bool {
    url.host_str().is_some_and(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."))
}

fn unreached(url: &Url, error: &reqwest::Error) -> NetError {
    let host = url.host_str().unwrap_or_default();
    let message = format!("{host} cannot be reached: {}", Web::said(error));
    let help = "look at the network and, where there is one, at HTTPS_PROXY; what is there is kept";
    NetError::Passing { message, help: Some(help.into()), after: None }
}
