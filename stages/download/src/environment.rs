//! The one place that reads the environment: how the hub is reached. None of it is part of a key.
use crate::net::Token;
use std::env;

/// Where the hub is when nobody says otherwise.
pub(crate) const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
/// The name of the hub's token.
const TOKEN: &str = "HF_TOKEN";

/// How the hub is reached.
pub(crate) struct Surroundings {
    pub(crate) endpoint: String,
    pub(crate) token: Option<Token>,
    pub(crate) offline: bool,
}

impl Surroundings {
    /// `HF_ENDPOINT`, `HF_HUB_OFFLINE`, and `HF_TOKEN` where it stands among `secrets`.
    #[expect(
        clippy::disallowed_methods,
        reason = "the engine passes these to stages; no result depends on them"
    )]
    pub(crate) fn read(secrets: &[String]) -> Self {
        let said = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
        let declared = secrets.iter().any(|name| name == TOKEN);
        Self {
            endpoint: said("HF_ENDPOINT").unwrap_or_else(|| DEFAULT_ENDPOINT.into()),
            token: declared.then(|| said(TOKEN)).flatten().map(|token| Token::new(&token)),
            offline: said("HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
        }
    }
}

/// As the hub's own tools read it.
fn is_true(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "1" | "on" | "yes" | "true")
}
