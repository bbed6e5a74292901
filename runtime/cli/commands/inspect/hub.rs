//! What a repository of the Hugging Face Hub holds.
use crate::app::App;
use crate::display::tree;
use crate::exit;
use crate::failure::{CliError, CliResult};
use muse_stages::look::{RepoKind, inspect_hub};

/// What tells a repository from a path.
pub(super) const PREFIX: &str = "hub:";

/// Looks at `hub:OWNER/NAME`, `hub:models/OWNER/NAME`, with `@REVISION` or without.
pub(super) fn show(app: &mut App<'_>, what: &str, json: bool) -> CliResult {
    let text = what.trim_start_matches(PREFIX);
    let (repo, revision) = text.split_once('@').unwrap_or((text, "main"));
    let (kind, repo) = match repo.split_once('/') {
        Some(("models", repo)) => (RepoKind::Model, repo),
        Some(("datasets", repo)) => (RepoKind::Dataset, repo),
        _ => (RepoKind::Dataset, repo),
    };
    if repo.split('/').count() != 2 || repo.split('/').any(str::is_empty) || revision.is_empty() {
        let error = CliError::usage(format!("`{what}` names no repository of the hub"));
        return Err(
            error.hint("write hub:OWNER/NAME, hub:models/OWNER/NAME, or either with @REVISION behind it")
        );
    }
    let environment = &app.environment;
    let found =
        inspect_hub(repo, kind, revision, environment.text("HF_ENDPOINT"), environment.text("HF_TOKEN"));
    let found = found.map_err(CliError::from)?;
    if json {
        app.out.json(&found)?;
    } else {
        app.out.text(&format!("{what}\n{}", tree::draw(&found, 2)))?;
    }
    app.out.flush()?;
    Ok(exit::DONE)
}
