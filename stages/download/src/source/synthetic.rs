//! The generator: documents of our own making, by a seed.
use super::tell_origin;
use crate::gather::Gather;
use crate::params::{DEFAULT_COUNT, Params};
use crate::read::Taker as _;
use crate::synthetic::{Recipe, document};
use muse_artifacts::corpus::Document;
use muse_artifacts::in_order;
use muse_stage::{Context, StageError};
use serde_json::{Map, Value, json};

/// Documents that a thread makes at a time.
const BLOCK: u64 = 256;

/// What is made here is nobody else's.
const LICENCE: &str = "MIT OR Apache-2.0";

/// How making came to an end.
enum End {
    Enough,
    Failed(StageError),
}

pub(crate) fn run(context: &mut Context, params: &Params) -> Result<(), StageError> {
    let recipe = Recipe::new(params.seed, &params.languages, params.dialogues);
    let count = match (params.count, params.size) {
        (Some(count), _) => count.0,
        (None, Some(_)) => u64::MAX,
        (None, None) => DEFAULT_COUNT,
    };
    let count = count.min(params.limit.map_or(u64::MAX, |limit| limit.0));
    let mut left = params.size.map(|size| size.0);
    let source = params.name.clone().unwrap_or_else(|| "synthetic".into());
    let threads = context.threads();
    tell_origin(context, json!("synthetic"), Some(LICENCE));
    let mut gather = Gather::new(context, params)?;
    gather.begin_source(&source);
    let blocks =
        (0..count.div_ceil(BLOCK)).map(|block| block * BLOCK..((block + 1).saturating_mul(BLOCK)).min(count));
    let make = |block: std::ops::Range<u64>| {
        Ok::<Vec<Document>, End>(
            block.map(|number| Document { body: document(&recipe, number), source: String::new() }).collect(),
        )
    };
    let end = in_order(threads, blocks, make, |documents| {
        for document in &documents {
            let document = document.borrow();
            if gather.document(&document.body).map_err(End::Failed)?.is_break() {
                return Err(End::Enough);
            }
            if let Some(left) = &mut left {
                *left = left.saturating_sub(document.bytes() as u64);
                if *left == 0 {
                    return Err(End::Enough);
                }
            }
        }
        Ok(())
    });
    if let Err(End::Failed(error)) = end {
        return Err(error);
    }
    let about: Map<String, Value> = [
        ("source".to_owned(), json!("synthetic")),
        ("seed".to_owned(), json!(params.seed)),
        ("languages".to_owned(), json!(params.languages)),
        ("licence".to_owned(), json!(LICENCE)),
    ]
    .into_iter()
    .collect();
    gather.finish(about)
}
