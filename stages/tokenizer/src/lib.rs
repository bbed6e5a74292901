//! The tokenizer stage: trains a tokenizer on corpora.
