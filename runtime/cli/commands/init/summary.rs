//! What was proposed and written, for programs and for people.
use super::choices::{Form, word};
use super::place::Place;
use super::proposal::{Proposal, Taken};
use crate::format::shell_word;
use crate::paint::Paint;
use serde_json::{Value, json};
use std::path::PathBuf;

/// `--json`.
pub(crate) fn json(name: &str, place: &Place, proposal: &Proposal, written: &[PathBuf]) -> Value {
    let text = |taken: &Taken| {
        let Taken { source, share, documents } = taken;
        json!({ "name": source.name, "what": source.what.to_string(), "share": share, "documents": documents })
    };
    let fit = &proposal.fit;
    json!({
        "name": name,
        "page": place.shown(&place.page),
        "written": written.iter().map(|path| place.shown(path)).collect::<Vec<_>>(),
        "goal": word(proposal.goal),
        "languages": proposal.languages.iter().copied().map(word).collect::<Vec<_>>(),
        "form": word(proposal.form),
        "texts": proposal.texts.iter().map(text).collect::<Vec<_>>(),
        "chats": proposal.chats.iter().map(text).collect::<Vec<_>>(),
        "device": { "name": proposal.hardware.name, "gpu": proposal.hardware.on_gpu, "memory": proposal.hardware.memory },
        "model": proposal.sized.name,
        "parameters": proposal.sized.parameters(),
        "vocab": proposal.vocab,
        "context": proposal.context,
        "tokens": proposal.tokens,
        "steps": proposal.steps(),
        "batch_tokens": proposal.batch_tokens,
        "micro_batch": fit.micro_batch,
        "recompute": fit.recompute,
        "states": if fit.int8 { "int8" } else { "f32" },
        "precision": word(proposal.precision),
        "lr": proposal.lr,
        "seed": proposal.seed,
        "memory": { "takes": fit.cost.training.total, "may_take": proposal.memory(), "fits": fit.fits },
        "seconds": proposal.seconds.round(),
        "disk": proposal.disk,
        "notes": proposal.notes,
    })
}

/// What was written, and what to do with it.
pub(crate) fn written(
    place: &Place,
    written: &[PathBuf],
    proposal: &Proposal,
    smoke: &str,
    paint: Paint,
) -> String {
    let mut lines: Vec<String> =
        written.iter().map(|path| format!("{} {}", paint.good("wrote"), place.shown(path))).collect();
    let page = place.shown(&place.page);
    if lines.is_empty() {
        lines.push(format!("{page} is there already, to the letter"));
    }
    let page = shell_word(&page);
    let last = match proposal.form {
        Form::Chat => format!("muse chat {page}:chat"),
        Form::Base => format!("muse generate {page}:base --prompt …"),
    };
    lines.push(format!("next  {smoke}   # seconds: does it work?"));
    lines.push(format!("      muse run {page}\n      {last}"));
    lines.join("\n")
}
