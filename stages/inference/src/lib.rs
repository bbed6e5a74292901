//! Models in use: a folder with a model is opened, and texts are written with it, as many side by side as there is room.
//!
//! `source` finds weights, configuration and tokenizer in a folder, `hf` in one of a Hugging Face model; `engine` brings the weights to a device; `writer` writes texts
//! step by step; `model` runs it in a thread of its own and is what everybody else holds. `speech` and `stop` turn tokens into
//! text that can be shown at once; `chat` makes a prompt of a conversation. `score` asks how likely texts are, and `pair` makes the
//! tokens that it is asked about.
pub mod chat;
mod engine;
mod error;
pub mod hf;
mod likely;
mod model;
mod order;
mod pair;
mod score;
mod source;
mod speech;
mod stop;
#[cfg(test)]
mod tests;
mod writer;

pub use engine::{Device, Engine, load};
pub use error::{InferenceError, Result};
pub use likely::Likely;
pub use model::{Answer, Listener, Model, Settings, Totals};
pub use muse_model::decode::{Kept, More, Room, Sampling, Wanted};
pub use order::{Chosen, Ended, News, Order, Piece, Reason};
pub use pair::{Pair, encode, prefix};
pub use score::{Score, Scorer};
pub use source::Source;
pub use speech::Speech;
pub use stop::Stops;
pub use writer::{Ticket, Writer};
