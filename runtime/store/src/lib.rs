//! The content-addressed store: the only code that writes below `cache/`.
