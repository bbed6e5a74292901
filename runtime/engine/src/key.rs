//! The key of a stage: the hash of all that its result depends on, and of nothing else.
//!
//! The encoding is ours, so that no library's change of mind can move a key. Every piece is written as a tag
//! byte, its length as eight little-endian bytes where it has one, and its bytes; maps are sorted by name. What
//! stands at its default never comes here: the document drops it, so a new field with a default moves no key.
use muse_store::{Digest, Key, Record};
use serde_json::Value;
use std::collections::BTreeMap;

/// Separates keys from every other use of the hash; a new encoding gets a new number.
const DOMAIN: &str = "muse key 1";

/// Separates families from keys: a kind may have a field that is extendable and not written.
const FAMILY: &str = "muse family 1";

/// For each port two things of each entry: a name, and a digest.
pub type Entries = BTreeMap<String, Vec<(String, Digest)>>;

/// Everything that a key is made of. Causes are found by comparing two of these field by field, so an
/// explanation can never disagree with the hash.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyParts<'a> {
    /// The stage kind.
    pub kind: &'a str,
    /// Its version.
    pub version: u32,
    /// Identity parameters, canonical.
    pub params: &'a Value,
    /// JSON pointers of those among them that are extendable; `None` where the kind has no such fields.
    pub extendable: Option<&'a [String]>,
    /// For each port the name and identity of each entry; no name where the port takes one thing.
    pub inputs: Entries,
    /// For each name the digest of a set of input files.
    pub files: BTreeMap<String, Digest>,
    /// What outside things are pinned to.
    pub pins: BTreeMap<String, String>,
    /// For each port the output and the [`way`] of each entry, where the kind is told how its inputs came to be.
    pub story: Entries,
}

impl KeyParts<'_> {
    /// The key.
    pub fn key(&self) -> Key {
        Key::new(self.digest(DOMAIN, self.params))
    }

    /// What all results have in common whose keys differ in extendable parameters alone.
    pub fn family(&self) -> Option<Digest> {
        let mut params = self.params.clone();
        for pointer in self.extendable? {
            let (above, name) = pointer.rsplit_once('/')?;
            let name = name.replace("~1", "/").replace("~0", "~");
            let fields = params.pointer_mut(above).and_then(Value::as_object_mut);
            fields.and_then(|fields| fields.remove(&name));
        }
        Some(self.digest(FAMILY, &params))
    }

    fn digest(&self, domain: &str, params: &Value) -> Digest {
        let mut sink = Sink::new(domain);
        sink.text(self.kind);
        sink.number(u64::from(self.version));
        sink.value(params);
        sink.entries(&self.inputs);
        sink.length(self.files.len());
        for (name, digest) in &self.files {
            sink.text(name);
            sink.digest(digest);
        }
        sink.length(self.pins.len());
        for (id, value) in &self.pins {
            sink.text(id);
            sink.text(value);
        }
        if !self.story.is_empty() {
            // It came later: keys without it are as before. What comes after it begins with a word of its own.
            sink.text("story");
            sink.entries(&self.story);
        }
        sink.finish()
    }
}

/// How a result came to be: its key, what its stage said of it, and for each port the output and the way of each entry.
/// The key covers the rest of what a story tells.
pub fn way(record: &Record, inputs: &Entries) -> Digest {
    let mut sink = Sink::new("muse way 1");
    sink.digest(record.key.digest());
    sink.byte(u8::from(record.adopted));
    sink.length(record.facts.len());
    for (name, value) in &record.facts {
        sink.text(name);
        sink.value(value);
    }
    sink.entries(inputs);
    sink.finish()
}

/// One file of a set, as a key sees it: never the path as spelled, never a time.
pub struct FileEntry<'a> {
    /// Its name below the fixed part of the glob; empty for a single file.
    pub name: &'a str,
    /// Its executable bit.
    pub executable: bool,
    /// Its content.
    pub digest: Digest,
}

/// The digest of a set of input files, which are sorted by name.
pub fn files_digest<'a>(single: bool, files: impl ExactSizeIterator<Item = FileEntry<'a>>) -> Digest {
    let mut sink = Sink::new("muse files 1");
    sink.byte(u8::from(single));
    sink.length(files.len());
    for file in files {
        sink.text(file.name);
        sink.byte(u8::from(file.executable));
        sink.digest(&file.digest);
    }
    sink.finish()
}

/// Gathers the bytes: hashing them in one go is quicker than eight at a time.
struct Sink(Vec<u8>);

impl Sink {
    fn new(domain: &str) -> Self {
        let mut sink = Self(Vec::with_capacity(1024));
        sink.text(domain);
        sink
    }

    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn length(&mut self, length: usize) {
        self.number(length as u64);
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn digest(&mut self, digest: &Digest) {
        self.0.extend_from_slice(digest.as_bytes());
    }

    fn entries(&mut self, ports: &Entries) {
        self.length(ports.len());
        for (port, entries) in ports {
            self.text(port);
            self.length(entries.len());
            for (name, digest) in entries {
                self.text(name);
                self.digest(digest);
            }
        }
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.byte(0),
            Value::Bool(false) => self.byte(1),
            Value::Bool(true) => self.byte(2),
            Value::Number(number) => {
                // A whole number is one number, whether it was held with a sign or without.
                if let Some(number) = number.as_u64() {
                    self.byte(3);
                    self.number(number);
                } else if let Some(number) = number.as_i64() {
                    self.byte(4);
                    self.0.extend_from_slice(&number.to_le_bytes());
                } else {
                    self.byte(5);
                    // Zero has one encoding; there is no NaN in JSON.
                    let number = number.as_f64().unwrap_or_default() + 0.0;
                    self.0.extend_from_slice(&number.to_bits().to_le_bytes());
                }
            }
            Value::String(text) => {
                self.byte(6);
                self.text(text);
            }
            Value::Array(items) => {
                self.byte(7);
                self.length(items.len());
                items.iter().for_each(|item| self.value(item));
            }
            Value::Object(fields) => {
                self.byte(8);
                self.length(fields.len());
                // Sorted here too, whatever order the map was built in.
                let mut fields: Vec<_> = fields.iter().collect();
                fields.sort_by_key(|(name, _)| *name);
                for (name, value) in fields {
                    self.text(name);
                    self.value(value);
                }
            }
        }
    }

    fn finish(self) -> Digest {
        Digest::of_bytes(&self.0)
    }
}
