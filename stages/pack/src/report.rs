//! `report.json`: how much there is, how well sequences are filled, how even they are.
use crate::measure::{Measure, rounded};
use crate::tally::Tally;
use muse_artifacts::tokens::{Loss, Split, SplitMeta, Tokens};
use muse_stage::{Context, StageError};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

pub(crate) fn write(
    context: &mut Context,
    tokens: &Tokens,
    tally: &Tally,
    folder: &Path,
) -> Result<(), StageError> {
    let meta = tokens.meta();
    let sides = [(Split::Train, meta.train), (Split::Validation, meta.validation)];
    let mut measured = Vec::new();
    for (split, counts) in sides {
        let measure = Measure::of(context, tokens, split)?;
        if split == Split::Train && measure.carry_loss == 0 {
            return Err(no_loss(meta.loss));
        }
        measured.push(side(&measure, &counts, meta.context));
    }
    let total = tally.total();
    let mut report = json!({
        "format": 1,
        "tokenizer": meta.tokenizer,
        "context": meta.context,
        "strategy": meta.strategy,
        "dtype": meta.dtype,
        "loss": meta.loss,
        "total": total,
        "chats": tally.chats,
        "empty": tally.empty,
        "sources": tally.sources,
    });
    let names = sides.map(|(split, _)| split.name().to_owned());
    if let Some(report) = report.as_object_mut() {
        report.extend(names.into_iter().zip(measured));
        if total.characters > 0 {
            let ratio = total.characters as f64 / total.tokens.max(1) as f64;
            report.insert("characters_per_token".into(), rounded(ratio).into());
        }
    }
    let path = folder.join("report.json");
    let text = serde_json::to_string_pretty(&report).unwrap_or_default() + "\n";
    fs::write(&path, text).map_err(StageError::io(&path))
}

fn side(measure: &Measure, counts: &SplitMeta, context: u32) -> Value {
    let positions = counts.sequences as f64 * f64::from(context);
    json!({
        "documents": counts.documents,
        "tokens": counts.tokens,
        "sequences": counts.sequences,
        "carry_loss": measure.carry_loss,
        "longest_document": measure.longest,
        "positions_used": rounded(if positions > 0.0 { counts.tokens as f64 / positions } else { 0.0 }),
        "cut": measure.cut,
        "cut_though_they_fit": measure.cut_though_they_fit,
        "imbalance": rounded(measure.imbalance),
    })
}

fn no_loss(loss: Loss) -> StageError {
    match loss {
        Loss::Mask => StageError::new("no token carries loss: no chat has an answer of the assistant").help(
            "the role of its turns must be `assistant`, and a chat template must mark them with `{% generation %}`; \
             `mask: all` learns everything",
        ),
        Loss::All => StageError::new("no token carries loss: there is nothing to predict"),
    }
}
