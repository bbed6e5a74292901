//! Kernels that were compiled, kept on the disk of this machine: to compile them takes longer than all else of a start.
//!
//! What is kept is written whole or not at all, and begins with its sum. What is not there, or not whole, is compiled again, so neither
//! a full disk nor another process does any harm.
use super::train::one_capability;
use cubecl::config::cache::CacheConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
use cudarc::nvrtc::sys as nvrtc;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tempfile::{NamedTempFile, TempDir};

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Where kernels are kept. Until this is said none are; said once more, it changes nothing.
pub fn keep_kernels_in(folder: PathBuf) {
    let _ = FOLDER.set(folder);
}

/// Where something of this name is kept, if anything is.
pub(super) fn place(name: &str) -> Option<PathBuf> {
    Some(FOLDER.get()?.join(named(name, ())))
}

/// Kernels that were kept under this name, or that are made now and kept. They are those of one muse, one compiler and whatever
/// else is in `of`.
pub(super) fn kept_or<E>(
    name: &str,
    of: impl Hash,
    make: impl FnOnce() -> Result<Vec<u8>, E>,
) -> Result<Vec<u8>, E> {
    let Some(place) = FOLDER.get().map(|folder| folder.join(named(name, of))) else { return make() };
    if let Some(kept) = read(&place) {
        return Ok(kept);
    }
    let made = make()?;
    write(&place, &made);
    Ok(made)
}

fn named(name: &str, of: impl Hash) -> String {
    let (mut major, mut minor) = (0, 0);
    #[expect(unsafe_code, reason = "asks CUDA's compiler what it is")]
    // SAFETY: it is there, and writes two numbers.
    unsafe {
        if nvrtc::is_culib_present() {
            let _ = nvrtc::nvrtcVersion(&mut major, &mut minor);
        }
    }
    format!("{name}-{:016x}", sum((env!("CARGO_PKG_VERSION"), major, minor, of)))
}

fn sum(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// What stands there, if it is whole.
pub(super) fn read(place: &Path) -> Option<Vec<u8>> {
    let mut all = fs::read(place).ok()?;
    let (own, _) = all.split_first_chunk::<8>()?;
    let own = u64::from_le_bytes(*own);
    all.drain(..8);
    (sum(&all) == own).then_some(all)
}

/// Whether it could be written: whoever cannot does without.
pub(super) fn write(place: &Path, bytes: &[u8]) -> bool {
    let Some(folder) = place.parent() else { return false };
    let written = fs::create_dir_all(folder).and_then(|()| {
        let file = NamedTempFile::new_in(folder)?;
        fs::write(&file, [&sum(bytes).to_le_bytes()[..], bytes].concat())?;
        file.persist(place)?;
        Ok(())
    });
    written.is_ok()
}

/// Where Burn's compiler keeps kernels within the folder that it is given.
const WITHIN: &str = "cuda/0.10.0/ptx/chunk0.cbor";

/// What Burn's compiler keeps, in a folder of this process alone for as long as it runs: it locks its files, appends to them, and
/// panics where that fails.
pub(super) struct BurnKeeps {
    folder: TempDir,
    kept: PathBuf,
    began: usize,
}

impl BurnKeeps {
    /// Has the compiler of Burn's kernels, ours among them, begin with those that were kept.
    pub(super) fn begin() -> Option<Self> {
        // It knows kernels by name, for whichever GPU they are.
        let capability = one_capability()?;
        Self::begin_in(FOLDER.get()?, capability)
    }

    fn begin_in(kept: &Path, capability: (i32, i32)) -> Option<Self> {
        let kept = kept.join(named("training", capability));
        let folder = tempfile::Builder::new().prefix("muse-kernels-").tempdir().ok()?;
        let begin = read(&kept).unwrap_or_default();
        let file = folder.path().join(WITHIN);
        fs::create_dir_all(file.parent()?).and_then(|()| fs::write(&file, &begin)).ok()?;
        let mut config = (*CubeClRuntimeConfig::get()).clone();
        // Who has said where, for Burn alone, is not overruled.
        if config.compilation.cache.is_some() {
            return None;
        }
        config.compilation.cache = Some(CacheConfig::File(folder.path().to_owned()));
        *CubeClRuntimeConfig::storage().lock() = Some(Arc::new(config));
        Some(Self { folder, kept, began: begin.len() })
    }

    /// Keeps those that have come.
    pub(super) fn end(self) {
        if let Ok(all) = fs::read(self.folder.path().join(WITHIN))
            && all.len() > self.began
        {
            write(&self.kept, &all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cubecl::cache::CacheOption;
    use cubecl::compilation_cache::CompilationCache;

    #[test]
    fn what_is_kept_comes_back_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("deeper/one");
        assert!(read(&place).is_none());
        for bytes in [&b"code"[..], b"", b"other code"] {
            write(&place, bytes);
            assert_eq!(read(&place).as_deref(), Some(bytes));
        }
        let whole = fs::read(&place).unwrap();
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 4;
            for spoilt in [&broken[..], &whole[..at]] {
                fs::write(&place, spoilt).unwrap();
                assert!(read(&place).is_none(), "{at}");
            }
        }
        assert_eq!(fs::read_dir(place.parent().unwrap()).unwrap().count(), 1, "nothing else is left");
        // Where nobody can write, nothing happens.
        assert!(!write(&place.join("below a file"), b"code"));
    }

    #[test]
    fn kernels_have_names_of_their_own() {
        assert_eq!(named("step", ("source", 9)), named("step", ("source", 9)));
        assert_ne!(named("step", ("source", 9)), named("step", ("source", 8)));
        assert_ne!(named("step", ("source", 9)), named("step", ("sources", 9)));
    }

    #[test]
    fn what_burn_compiled_is_there_for_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let burn = || {
            let root = CubeClRuntimeConfig::get().compilation.cache.as_ref().unwrap().root();
            CompilationCache::<u64, String>::new("ptx", CacheOption::default().name("cuda").root(root))
        };
        let forget = || *CubeClRuntimeConfig::storage().lock() = None;
        forget();
        let first = BurnKeeps::begin_in(folder.path(), (9, 0)).unwrap();
        assert!(BurnKeeps::begin_in(folder.path(), (9, 0)).is_none(), "it is said already");
        let mut cache = burn();
        assert!(cache.get(&7).is_none());
        cache.insert(7, "code".into()).unwrap();
        first.end();
        for (capability, there) in [((9, 0), true), ((8, 0), false)] {
            forget();
            let next = BurnKeeps::begin_in(folder.path(), capability).unwrap();
            assert_eq!(burn().get(&7).is_some(), there);
            next.end();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "what is not new is not written");
        forget();
    }
}
