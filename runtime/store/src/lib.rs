//! The content-addressed store: the only code that writes below `cache/`.
//!
//! It maps keys to records and digests to blobs, and knows nothing of pipelines. A record is written last, so
//! that a crash at any point leaves a miss and never a wrong hit. `docs/store.md` draws the folders and formats.
mod artifact;
mod clock;
mod digest;
mod disk;
mod error;
mod families;
mod fs;
mod gc;
mod hash;
mod holder;
mod index;
mod ingest;
mod lay_out;
mod layout;
mod lease;
mod lend;
mod litter;
mod machine;
mod publish;
mod record;
mod sealed;
mod small;
mod stamp;
mod store;
mod survey;
mod sweep;
mod table;
mod take_out;
mod tree;
mod verify;
mod walk;

pub use artifact::Artifact;
pub use clock::{Clock, SystemClock};
pub use digest::{Digest, DigestError, Key};
pub use error::{Op, StoreError};
pub use fs::{Fs, Listed, RealFs};
pub use gc::{Dropped, GcPlan, GcPolicy, Rule, Why};
pub use holder::{Holder, Who};
pub use index::{Hashed, Index};
pub use lay_out::LaidOut;
pub use lease::{Acquired, Lease};
pub use lend::LinkedFile;
pub use litter::Litter;
pub use publish::Published;
pub use record::Record;
pub use sealed::{seal, unseal};
pub use store::Store;
pub use tree::{Tree, TreeEntry};
pub use verify::{Damage, VerifyReport};

/// What nearly every call gives back.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
