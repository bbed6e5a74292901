//! The pack stage: corpora as packed tokens.
