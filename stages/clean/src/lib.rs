//! The clean stage: mixes, filters, deduplicates and shuffles corpora.
