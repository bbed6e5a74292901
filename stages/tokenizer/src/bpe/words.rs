//! Words as tokens, all in one place, and what merging a pair does to one of them.
use super::pair;

/// Different words, each as its tokens, and how often each was met.
#[derive(Default)]
pub(crate) struct Words {
    tokens: Vec<u32>,
    /// Where the tokens of each word begin.
    starts: Vec<usize>,
    /// How many tokens it has now.
    lengths: Vec<u32>,
    counts: Vec<i64>,
}

impl Words {
    /// Adds a word.
    pub(crate) fn push(&mut self, tokens: impl IntoIterator<Item = u32>, count: u64) {
        let start = self.tokens.len();
        self.tokens.extend(tokens);
        // Alone, a token has no neighbour to merge with.
        if self.tokens.len() < start + 2 {
            self.tokens.truncate(start);
            return;
        }
        self.starts.push(start);
        self.lengths.push(u32::try_from(self.tokens.len() - start).unwrap_or(u32::MAX));
        self.counts.push(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The tokens that a word has now.
    pub(super) fn word(&self, at: u32) -> &[u32] {
        let start = self.starts[at as usize];
        &self.tokens[start..start + self.lengths[at as usize] as usize]
    }

    /// How many there are.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }

    /// How often a word was met.
    pub(super) fn count(&self, at: u32) -> i64 {
        self.counts[at as usize]
    }

    /// Merges a pair in one word, from the left, and says which pairs are met once more or once less for it.
    pub(super) fn merge(
        &mut self,
        at: u32,
        (left, right): (u32, u32),
        merged: u32,
        fits: impl Fn(u32) -> bool,
        changes: &mut Vec<(u64, bool)>,
    ) {
        let start = self.starts[at as usize];
        let tokens = &mut self.tokens[start..start + self.lengths[at as usize] as usize];
        let (mut read, mut write) = (0, 0);
        while read < tokens.len() {
            if tokens[read] != left || tokens.get(read + 1) != Some(&right) {
                tokens[write] = tokens[read];
                (read, write) = (read + 1, write + 1);
                continue;
            }
            if let Some(before) = write.checked_sub(1).map(|before| tokens[before]) {
                changes.push((pair(before, left), false));
                if fits(before) {
                    changes.push((pair(before, merged), true));
                }
            }
            tokens[write] = merged;
            (read, write) = (read + 2, write + 1);
            if let Some(after) = tokens.get(read).copied() {
                changes.push((pair(right, after), false));
                if fits(after) {
                    changes.push((pair(merged, after), true));
                }
            }
        }
        self.lengths[at as usize] = u32::try_from(write).unwrap_or(u32::MAX);
    }
}
