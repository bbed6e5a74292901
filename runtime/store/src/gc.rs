//! Which content may go: a plan, made from what the engine says of each key. Nothing is removed here.
//!
//! Records stay, for they are small and let a target that is there need nothing above it. What another result
//! that stays consists of stays too.
use crate::litter::Litter;
use crate::store::Store;
use crate::{Digest, Key, Record, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::SystemTime;

/// Why a result is wanted. A key that has no rule is named by no last run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// `keep: forever`.
    Forever,
    /// The last run of a pipeline names it.
    Named,
    /// `keep: temp`.
    Temp,
    /// `keep` with a duration, which ends then.
    Until(SystemTime),
}

/// What the engine knows of keys, and what the user asked for.
#[derive(Clone, Debug, Default)]
pub struct GcPolicy {
    /// What holds each key.
    pub keep: HashMap<Key, Rule>,
    /// What live runs may still take as an input.
    pub held: HashSet<Key>,
    /// When each key was last used; one that is missing was used longest ago.
    pub last_use: HashMap<Key, SystemTime>,
    /// Go on by last use until all content has no more bytes than this.
    pub max_size: Option<u64>,
    /// The results that were there before any of this was looked up. A younger one was made by somebody who is at
    /// work, and stays. `None` where nobody is.
    pub seen: Option<HashSet<Key>>,
}

/// Why something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is kept only while it is needed.
    Temp,
    /// Its duration is over.
    Expired,
    /// No last run of a pipeline names it.
    Unnamed,
    /// It was used longest ago, and the store is too large.
    Size,
    /// It belongs to no result.
    Orphan,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Temp => "temp",
            Self::Expired => "its time is over",
            Self::Unnamed => "no last run names it",
            Self::Size => "used longest ago",
            Self::Orphan => "belongs to no result",
        })
    }
}

/// A result whose content goes, or all content that belongs to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The result; `None` for what belongs to none.
    pub key: Option<Key>,
    /// The stage that made it, for people.
    pub stage: String,
    /// The pipeline, for people.
    pub pipeline: String,
    /// How many bytes go with it. What two results share counts once, for the first.
    pub bytes: u64,
    /// Why.
    pub why: Why,
}

/// What [`Store::gc_apply`] will do, exactly.
#[derive(Debug, Default)]
pub struct GcPlan {
    /// What goes, results first.
    pub drop: Vec<Dropped>,
    /// The bytes of all content that goes.
    pub frees: u64,
    /// The bytes of all content that stays.
    pub stays: u64,
    /// What dead runs have left behind.
    pub litter: Vec<Litter>,
    pub(crate) blobs: Vec<(Digest, u64)>,
    pub(crate) orphans: Vec<(Digest, u64)>,
    pub(crate) known: BTreeSet<Key>,
}

/// A result while the plan is made.
struct Held<'a> {
    record: &'a Record,
    content: Vec<Digest>,
}

/// The books: which blobs are there, and how many results that stay need each.
struct Books {
    blobs: BTreeMap<Digest, u64>,
    needed: HashMap<Digest, usize>,
    gone: BTreeSet<Digest>,
    total: u64,
}

impl Books {
    /// Takes the need of one result away and counts the bytes that nobody needs any more.
    fn release(&mut self, content: &[Digest]) -> u64 {
        content.iter().fold(0, |sum, digest| {
            let needed = self.needed.entry(*digest).or_default();
            *needed = needed.saturating_sub(1);
            if *needed > 0 { sum } else { u64::saturating_add(sum, self.remove(digest)) }
        })
    }

    fn remove(&mut self, digest: &Digest) -> u64 {
        let Some(&bytes) = self.blobs.get(digest) else { return 0 };
        if !self.gone.insert(*digest) {
            return 0;
        }
        self.total = self.total.saturating_sub(bytes);
        bytes
    }
}

impl Store {
    /// Finds what may go by this policy.
    pub fn gc_plan(&self, policy: &GcPolicy) -> Result<GcPlan> {
        // The order matters: work that goes on meanwhile shows as a lease, or else as a record.
        let folders = self.work_folders()?;
        let blobs = self.all_blobs()?;
        let leases = self.all_leases()?;
        let records = self.records()?;
        let mut plan = GcPlan {
            known: records.iter().map(|record| record.key).collect(),
            litter: self.litter(&folders, &leases)?,
            ..GcPlan::default()
        };

        let results: Vec<Held<'_>> = records
            .iter()
            .map(|record| {
                let content: BTreeSet<Digest> =
                    record.outputs.values().flat_map(|artifact| self.content_of(artifact)).collect();
                Held { record, content: content.into_iter().collect() }
            })
            .collect();
        let total = blobs.values().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
        let mut books = Books { blobs, needed: HashMap::new(), gone: BTreeSet::new(), total };
        for digest in results.iter().flat_map(|held| &held.content) {
            let needed = books.needed.entry(*digest).or_default();
            *needed = needed.saturating_add(1);
        }
        let orphans: Vec<(Digest, u64)> = books
            .blobs
            .iter()
            .filter(|(digest, _)| !books.needed.contains_key(digest))
            .map(|(digest, bytes)| (*digest, *bytes))
            .collect();

        let mut staying = Vec::new();
        let now = self.0.clock.now();
        for held in &results {
            let key = held.record.key;
            let rule = policy.keep.get(&key).copied();
            let young = policy.seen.as_ref().is_some_and(|seen| !seen.contains(&key));
            let held_now = policy.held.contains(&key) || leases.live.contains_key(&key);
            let pinned = rule == Some(Rule::Forever) || held_now || young;
            match reason(rule, now).filter(|_| !pinned) {
                Some(why) => plan.take(&mut books, held, why),
                None if !pinned => staying.push(held),
                None => {}
            }
        }
        // Whoever works now may be about to name content that belongs to no result yet.
        if leases.live.is_empty() {
            let bytes =
                orphans.iter().fold(0, |sum, (digest, _)| u64::saturating_add(sum, books.remove(digest)));
            if bytes > 0 || !orphans.is_empty() {
                let (stage, pipeline) = (String::new(), String::new());
                plan.drop.push(Dropped { key: None, stage, pipeline, bytes, why: Why::Orphan });
            }
            plan.orphans = orphans;
        }
        if let Some(limit) = policy.max_size {
            staying.sort_by_key(|held| (policy.last_use.get(&held.record.key).copied(), held.record.key));
            for held in staying {
                if books.total <= limit {
                    break;
                }
                plan.take(&mut books, held, Why::Size);
            }
        }
        plan.stays = books.total;
        plan.frees = plan.drop.iter().fold(0, |sum, drop| sum.saturating_add(drop.bytes));
        let ours: HashSet<Digest> = plan.orphans.iter().map(|(digest, _)| *digest).collect();
        let sizes = |digest: &Digest| Some((*digest, *books.blobs.get(digest)?));
        plan.blobs = books.gone.iter().filter(|digest| !ours.contains(digest)).filter_map(sizes).collect();
        Ok(plan)
    }
}

impl GcPlan {
    /// Lets a result go. One whose content is gone already is not worth a word.
    fn take(&mut self, books: &mut Books, held: &Held<'_>, why: Why) {
        let there = held
            .content
            .iter()
            .any(|digest| books.blobs.contains_key(digest) && !books.gone.contains(digest));
        let bytes = books.release(&held.content);
        if there {
            let (stage, pipeline) = (held.record.stage.clone(), held.record.pipeline.clone());
            self.drop.push(Dropped { key: Some(held.record.key), stage, pipeline, bytes, why });
        }
    }
}

/// Why a result that nobody holds may go, if it may.
fn reason(rule: Option<Rule>, now: SystemTime) -> Option<Why> {
    match rule {
        Some(Rule::Forever | Rule::Named) => None,
        Some(Rule::Temp) => Some(Why::Temp),
        Some(Rule::Until(end)) if now < end => None,
        Some(Rule::Until(_)) => Some(Why::Expired),
        None => Some(Why::Unnamed),
    }
}
