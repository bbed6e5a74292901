//! A pipeline file, read and checked as far as that goes without the store.
