//! The download stage: files, URLs, the Hugging Face Hub, or a seeded generator, as a corpus.
