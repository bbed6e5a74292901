//! Carrying a plan out: content goes, records stay.
use crate::gc::GcPlan;
use crate::store::Store;
use crate::{Digest, Result};
use std::collections::HashSet;

/// For how many days the index remembers a file that nobody asks for.
const REMEMBERED: u32 = 90;

impl Store {
    /// Removes what the plan names; the bytes of content that are free now.
    ///
    /// Where nobody has worked since the plan was made, that is `plan.frees`. What a result has begun to need since
    /// then stays. An interrupted call leaves results that are missing, never wrong ones.
    pub fn gc_apply(&self, plan: &GcPlan) -> Result<u64> {
        let mut needed: HashSet<Digest> = HashSet::new();
        for record in self.records()? {
            if !plan.known.contains(&record.key) {
                needed.extend(record.outputs.values().flat_map(|artifact| self.content_of(artifact)));
            }
        }
        let working = !self.all_leases()?.live.is_empty();
        let orphans = plan.orphans.iter().filter(|_| !working);
        let mut freed = 0_u64;
        for (digest, bytes) in plan.blobs.iter().chain(orphans) {
            if !needed.contains(digest) && self.0.disk.unlink(&self.blob_path(digest))? {
                freed = freed.saturating_add(*bytes);
            }
        }
        for litter in &plan.litter {
            self.clear(litter)?;
        }
        self.0.index.prune(REMEMBERED);
        Ok(freed)
    }
}
