//! The operations of a language model: one trait over any backend of Burn, with faster bodies for some.
