//! Tokens by their text, as the model spells it, and by their id.
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;

/// Tokens. Ids may be free.
#[derive(Default)]
pub(crate) struct Vocabulary {
    ids: FxHashMap<String, u32>,
    texts: Vec<String>,
}

impl Vocabulary {
    /// A token at an id of its own, unless the text has one already.
    pub(crate) fn push(&mut self, text: String) -> u32 {
        let next = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        match self.ids.entry(text) {
            Entry::Occupied(there) => *there.get(),
            Entry::Vacant(free) => {
                self.texts.push(free.key().clone());
                *free.insert(next)
            }
        }
    }

    /// A token at a given id; what lies between stays free.
    pub(crate) fn place(&mut self, text: &str, id: u32) {
        let at = id as usize;
        if self.texts.len() <= at {
            self.texts.resize(at + 1, String::new());
        }
        if let Some(place) = self.texts.get_mut(at) {
            text.clone_into(place);
        }
        self.ids.insert(text.to_owned(), id);
    }

    /// One more than the largest id.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// Texts and ids, in the order of the ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, usize)> {
        self.texts
            .iter()
            .enumerate()
            .filter(|(_, text)| !text.is_empty())
            .map(|(id, text)| (text.as_str(), id))
    }

    /// How many characters each token has, by its id.
    pub(super) fn lengths(&self) -> Vec<usize> {
        self.texts.iter().map(|text| text.chars().count()).collect()
    }

    pub(crate) fn text(&self, id: u32) -> &str {
        self.texts.get(id as usize).map_or("", String::as_str)
    }

    pub(crate) fn id(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }
}
