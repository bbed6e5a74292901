//! How the hub is reached, by the variables that the engine hands over. None of it is part of a key.
use crate::net::Token;
use muse_stage::Context;

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
    /// `HF_ENDPOINT`, `HF_HUB_OFFLINE`, and `HF_TOKEN` where the stage declares it as a secret.
    pub(crate) fn of(context: &Context) -> Self {
        let said = |name| context.variable(name).filter(|value| !value.trim().is_empty());
        let declared = context.job().secrets.iter().any(|name| name == TOKEN);
        Self {
            endpoint: said("HF_ENDPOINT").unwrap_or(DEFAULT_ENDPOINT).to_owned(),
            token: declared.then(|| said(TOKEN)).flatten().map(Token::new),
            offline: said("HF_HUB_OFFLINE").is_some_and(is_true),
        }
    }
}

/// As the hub's own tools read it.
fn is_true(value: &str) -> bool {
    matches!(value.trim().to_ascii_lowercase().as_str(), "1" | "on" | "yes" | "true")
}
