//! Several tokenizers side by side.
use super::{InspectArgs, made};
use crate::app::App;
use crate::display::tree;
use crate::exit;
use crate::failure::{CliError, CliResult};
use crate::format::{Table, exact};
use crate::values::StageOfPipeline;
use muse_stages::look;
use muse_store::TreeEntry;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

/// What tokenizers are compared on where no text is named.
const TEXTS: [&str; 6] = [
    "吾輩の家には名前のない猫がいて、朝になると庭へ出て行く。夕方まで帰って来ないこともある。",
    "東京から大阪までは新幹線で2時間30分かかります。料金は約14,000円です。",
    "The old lighthouse keeper climbed the stairs every evening and counted one hundred and twelve steps.",
    "def area(radius: float) -> float:\n    return 3.14159 * radius ** 2\n",
    "In 2024, sales rose by 12.5% to $3,482,917; costs fell by 0.8%.",
    "今日の meeting は 15:00 から、Zoom で行います。よろしくお願いします！",
];

/// Measures them and prints a table.
pub(super) fn compare(app: &mut App<'_>, args: &InspectArgs) -> CliResult {
    let paths = args.what.iter().map(|what| tokenizer(app, args, what)).collect::<CliResult<Vec<_>>>()?;
    let mut texts = Vec::new();
    for path in &args.text {
        let path = app.environment.folder.join(path);
        texts.push(fs::read_to_string(&path).map_err(CliError::io(exit::USAGE, "cannot read", &path))?);
    }
    if texts.is_empty() {
        texts = TEXTS.map(str::to_owned).to_vec();
    }
    let mut found = look::compare(&paths, &texts);
    let rows = found["tokenizers"].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
    for (row, what) in rows.iter_mut().zip(&args.what) {
        row["tokenizer"] = what.as_str().into();
    }
    if args.json {
        app.out.json(&found)?;
    } else {
        app.out.text(&draw(found["tokenizers"].as_array().map(Vec::as_slice).unwrap_or_default()))?;
    }
    app.out.flush()?;
    Ok(exit::DONE)
}

/// Where a tokenizer is: a folder or file, or in the store its `tokenizer.json`.
fn tokenizer(app: &App<'_>, args: &InspectArgs, what: &str) -> CliResult<PathBuf> {
    let path = app.environment.folder.join(what);
    let Some(stage) = StageOfPipeline::find(what).filter(|_| !path.exists()) else { return Ok(path) };
    let (opened, record) = made(app, args, &stage)?;
    if let Some(artifact) = record.outputs.values().find(|artifact| artifact.tree) {
        let tree = opened.store.tree(&artifact.digest)?;
        let file = tree.entries().iter().find_map(|entry| match entry {
            TreeEntry::File { path, digest, .. } if path == "tokenizer.json" => Some(digest),
            _ => None,
        });
        if let Some(digest) = file {
            return Ok(opened.store.blob_path(digest));
        }
    }
    let error = CliError::usage(format!("`{what}` is no tokenizer: it holds no `tokenizer.json`"));
    Err(error.hint("several things are compared as tokenizers; look at others one by one"))
}

fn draw(rows: &[Value]) -> String {
    let mut table = Table::new(&[1, 2, 3, 4]);
    let header = ["tokenizer", "tokens", "characters/token", "ja", "en"].map(str::to_owned);
    table.row(header);
    let figure = |value: &Value| value.as_f64().map_or("-".into(), |figure| format!("{figure:.3}"));
    let mut samples = String::new();
    for row in rows {
        let name = row["tokenizer"].as_str().unwrap_or_default().to_owned();
        if let Some(error) = row["error"].as_str() {
            samples += &format!("\n{name}: {error}\n");
        }
        let of = |language: &str| figure(&row["languages"][language]["characters_per_token"]);
        let size = row["vocab_size"].as_u64().map_or("-".into(), exact);
        let all = figure(&row["total"]["characters_per_token"]);
        table.row([name.clone(), size, all, of("ja"), of("en")]);
        if let Some(shown) = row["samples"].as_array().filter(|shown| !shown.is_empty()) {
            samples += &format!("\n{name}\n{}", tree::draw(&json!(shown), 2));
        }
    }
    table.draw("") + &samples
}
