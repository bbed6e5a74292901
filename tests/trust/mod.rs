//! What people trust muse with: that a plan tells the truth, that nothing is lost, that no wrong result is used.
mod attacks;
mod disk;
mod edits;
mod graph;
mod keys;
mod kills;
mod outputs;
mod secrets;
mod sharing;
mod signals;
mod training;
