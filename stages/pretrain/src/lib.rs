//! `pretrain`: trains a model on packed tokens.
