//! What holds each result: the engine's side of gc. The store decides and removes by what this says.
use crate::last::LastResults;
use crate::view::history;
use muse_store::{Digest, GcPolicy, Key, Rule, Store, StoreError};
use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Gathers what the last runs name, what live runs hold, and what the user wants kept.
///
/// `keep_last` runs of each pipeline count as its last; one where nothing is said.
pub fn policy(store: &Store, keep_last: usize, max_size: Option<u64>) -> Result<GcPolicy, StoreError> {
    // The order matters, for runs come and go meanwhile: first what is there, then who is at work, and last what
    // the runs that are over have written down, which they do before they say that they are over.
    let seen = Some(store.keys()?);
    let mut policy = GcPolicy { max_size, seen, ..GcPolicy::default() };
    let mut named_by_runs = Vec::new();
    let mut counted: HashMap<String, usize> = HashMap::new();
    for run in history::names(store)? {
        let Some(run) = history::read(store, &run) else { continue };
        let seen = counted.entry(run.file.clone()).or_default();
        *seen += 1;
        let named = keep_last > 1 && *seen <= keep_last;
        if !(named || run.live) {
            continue;
        }
        for stage in &run.stages {
            let Some(key) = stage.key.as_ref().and_then(|key| key.parse::<Digest>().ok()).map(Key::from)
            else {
                continue;
            };
            if run.live {
                policy.held.insert(key);
            }
            if named {
                named_by_runs.push(key);
            }
        }
    }
    for last in LastResults::all(store)? {
        for result in last.stages.values() {
            add(&mut policy, result.key, rule(result.keep.as_deref(), result.used), result.used);
        }
        for (key, older) in &last.older {
            // Unnamed by now, but what was said of keeping it still holds.
            add(&mut policy, *key, rule(Some(&older.keep), older.used), older.used);
        }
    }
    for key in named_by_runs {
        policy.keep.entry(key).or_insert(Rule::Named);
    }
    Ok(policy)
}

/// What `keep` means for a result that was last used then.
fn rule(keep: Option<&str>, used: u64) -> Rule {
    match keep {
        None => Rule::Named,
        Some("forever") => Rule::Forever,
        Some("temp") => Rule::Temp,
        Some(duration) => {
            let seconds = duration.trim_end_matches('s').parse::<f64>().unwrap_or(0.0);
            let kept = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO);
            Rule::Until(time(used).checked_add(kept).unwrap_or(time(used)))
        }
    }
}

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

/// Several pipelines may have made one result: the strongest wish holds.
fn add(policy: &mut GcPolicy, key: Key, rule: Rule, used: u64) {
    let strength = |rule: &Rule| match rule {
        Rule::Forever => (3, UNIX_EPOCH),
        Rule::Named => (2, UNIX_EPOCH),
        Rule::Until(end) => (1, *end),
        Rule::Temp => (0, UNIX_EPOCH),
    };
    let held = policy.keep.entry(key).or_insert(rule);
    if strength(&rule) > strength(held) {
        *held = rule;
    }
    let last = policy.last_use.entry(key).or_insert(UNIX_EPOCH);
    *last = (*last).max(time(used));
}
