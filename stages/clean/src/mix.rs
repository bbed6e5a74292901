//! The mix: how often each document comes, so that the weights hold.
//!
//! Of what is left of each source, `available`, a mix of the size `T` takes `weight × T`. `T` is the largest that
//! uses no document more than `repeat` times, and not larger than what it takes to use the most plentiful source
//! whole. Which documents come, or come once more than others, is drawn by their numbers.
use crate::fate::{Fate, RULES, Rule};
use crate::hash::draw;
use crate::inputs::{Entry, Inputs};
use crate::judge::rounded;
use crate::params::{Params, Weigh};
use muse_stage::StageError;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Documents are drawn by so many bins, and one by one in the bin where the cut is.
const BINS: usize = 1 << 14;
/// What the draw is for, beside others of the same seed.
const PURPOSE: u64 = 1;

/// What the mix takes of each entry.
pub(crate) struct Mix(Vec<Share>);

#[derive(Debug, Default)]
struct Share {
    name: String,
    /// A part of 1.
    weight: f64,
    available: u64,
    used: u64,
    /// How often all come.
    whole: u32,
    /// Some come once more.
    more: bool,
    /// The scarcest, which bounds the mix.
    bounds: bool,
}

impl Mix {
    /// Decides for each document that is kept.
    pub(crate) fn decide(
        params: &Params,
        inputs: &Inputs,
        fates: &mut [Fate],
        sizes: &Path,
    ) -> Result<Self, StageError> {
        let mut shares = shares(&params.weights, &inputs.entries)?;
        let mut bins = vec![vec![0u64; BINS]; shares.len()];
        let amount = |size: u32| if params.weigh == Weigh::Bytes { u64::from(size) } else { 1 };
        let bin = |document: u32| (draw(params.seed, PURPOSE, u64::from(document)) >> 50) as usize;
        each(&inputs.entries, sizes, |entry, document, size| {
            if fates.get(document as usize) == Some(&Fate::Kept) {
                bins[entry][bin(document)] += amount(size);
            }
        })?;
        for (share, bins) in shares.iter_mut().zip(&bins) {
            share.available = bins.iter().sum();
        }
        for (share, entry) in shares.iter().zip(&inputs.entries) {
            if share.weight > 0.0 && share.available == 0 {
                return Err(nothing_left(share, entry, fates));
            }
        }
        let size = size(&mut shares, params.repeat);
        // How much comes once more, of each entry: bins below the cut, and what fits of the bin at the cut.
        let mut cuts: Vec<(usize, u64)> =
            shares.iter_mut().zip(&bins).map(|(share, bins)| cut(share, bins, size)).collect();
        each(&inputs.entries, sizes, |entry, document, size| {
            let Some(fate) = fates.get_mut(document as usize).filter(|fate| **fate == Fate::Kept) else {
                return;
            };
            let (share, amount) = (&mut shares[entry], amount(size));
            let (cut, room) = &mut cuts[entry];
            let bin = bin(document);
            let more = bin < *cut || bin == *cut && amount <= *room;
            if more && bin == *cut {
                *room -= amount;
            }
            *fate = match (more, share.whole) {
                (true, _) => Fate::Extra,
                (false, 0) => Fate::Dropped(Rule::Mix),
                (false, _) => Fate::Kept,
            };
            share.used += amount * (u64::from(share.whole) + u64::from(more));
        })?;
        Ok(Self(shares))
    }

    /// How often all documents of an entry come.
    pub(crate) fn whole(&self, entry: usize) -> u32 {
        self.0.get(entry).map_or(1, |share| share.whole)
    }

    /// How often any document of an entry comes; once at least, to be counted.
    pub(crate) fn rounds(&self, entry: usize) -> u32 {
        self.0.get(entry).map_or(1, |share| share.whole.saturating_add(u32::from(share.more)).max(1))
    }

    /// For the report: what was asked, what it came to, and what it cost.
    pub(crate) fn report(&self, weigh: Weigh) -> Value {
        let total: u64 = self.0.iter().map(|share| share.used).sum();
        let ratio = |part: u64, of: u64| rounded(part as f64 / of.max(1) as f64);
        let entries: Map<String, Value> = self
            .0
            .iter()
            .map(|share| {
                let about = json!({
                    "weight": rounded(share.weight),
                    "share": ratio(share.used, total),
                    "available": share.available,
                    "used": share.used,
                    "left_out": share.available.saturating_sub(share.used),
                    "times": ratio(share.used, share.available),
                });
                (share.name.clone(), about)
            })
            .collect();
        let scarcest: Vec<&str> =
            self.0.iter().filter(|share| share.bounds).map(|share| share.name.as_str()).collect();
        json!({ "in": weigh, "total": total, "bounded_by": scarcest, "entries": entries })
    }
}

/// Weights by entry, as parts of 1. Each entry has one.
fn shares(weights: &BTreeMap<String, f64>, entries: &[Entry]) -> Result<Vec<Share>, StageError> {
    let names = || entries.iter().map(|entry| format!("`{}`", entry.name)).collect::<Vec<_>>().join(", ");
    if entries.iter().all(|entry| entry.name.is_empty()) {
        return Err(StageError::new("`weights` needs names, and `corpus` is connected to one stage alone")
            .help("write `corpus: [wiki, code]`, and a weight for each; one corpus needs no weights"));
    }
    if let Some(name) = weights.keys().find(|name| !entries.iter().any(|entry| entry.name == **name)) {
        return Err(StageError::new(format!("`weights` names `{name}`, which is not connected to `corpus`"))
            .help(format!("connected are {}", names())));
    }
    if let Some(entry) = entries.iter().find(|entry| !weights.contains_key(&entry.name)) {
        return Err(StageError::new(format!("`{}` has no weight", entry.name))
            .help(format!("give it one under `weights`; `{}: 0` leaves it out", entry.name)));
    }
    let sum: f64 = weights.values().sum();
    let weight = |entry: &Entry| weights.get(&entry.name).copied().unwrap_or_default() / sum;
    Ok(entries
        .iter()
        .map(|entry| Share { name: entry.name.clone(), weight: weight(entry), ..Share::default() })
        .collect())
}

/// The size of the mix.
fn size(shares: &mut [Share], repeat: u32) -> f64 {
    let alone = |share: &Share| share.available as f64 / share.weight;
    let weighty = || shares.iter().filter(|share| share.weight > 0.0).map(alone);
    let scarcest = weighty().fold(f64::INFINITY, f64::min);
    let plentiful = weighty().fold(0.0, f64::max);
    let bounded = scarcest * f64::from(repeat) < plentiful;
    let size = if bounded { scarcest * f64::from(repeat) } else { plentiful };
    for share in shares {
        share.bounds = bounded && share.weight > 0.0 && share.available as f64 / share.weight <= scarcest;
    }
    size
}

/// Sets how often all of an entry come, and answers what comes once more: bins below the first number, and of
/// that bin so much.
fn cut(share: &mut Share, bins: &[u64], size: f64) -> (usize, u64) {
    if share.weight <= 0.0 || share.available == 0 {
        return (0, 0);
    }
    let target = (share.weight * size).round() as u64;
    share.whole = u32::try_from(target / share.available).unwrap_or(u32::MAX);
    let mut rest = target % share.available;
    share.more = rest > 0;
    for (bin, amount) in bins.iter().enumerate() {
        if *amount > rest {
            return (bin, rest);
        }
        rest -= amount;
    }
    (bins.len(), 0)
}

/// Number and size of each document, with the entry that it is from.
fn each(entries: &[Entry], sizes: &Path, mut visit: impl FnMut(usize, u32, u32)) -> Result<(), StageError> {
    let file = File::open(sizes).map_err(StageError::io(sizes))?;
    let mut file = BufReader::with_capacity(1 << 18, file);
    for (at, entry) in entries.iter().enumerate() {
        for document in entry.documents.clone() {
            let mut size = [0; 4];
            file.read_exact(&mut size).map_err(StageError::io(sizes))?;
            visit(at, document, u32::from_le_bytes(size));
        }
    }
    Ok(())
}

fn nothing_left(share: &Share, entry: &Entry, fates: &[Fate]) -> StageError {
    let mut counts = BTreeMap::new();
    let own = fates.iter().skip(entry.documents.start as usize).take(entry.documents.len());
    for fate in own {
        if let Fate::Dropped(rule) = fate {
            *counts.entry(*rule).or_insert(0u64) += 1;
        }
    }
    let told = RULES.iter().filter_map(|(rule, name)| Some(format!("{name} dropped {}", counts.get(rule)?)));
    let message = format!(
        "nothing is left of `{}` to mix, of {} documents: {}",
        share.name,
        entry.documents.len(),
        told.collect::<Vec<_>>().join(", ")
    );
    StageError::new(message).help(format!("loosen these rules, or give `{}` the weight 0", share.name))
}
