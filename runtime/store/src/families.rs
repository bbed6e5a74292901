//! Which results belong together: `families-v1/<family>/` holds an empty file for each key that may have one.
//!
//! A file there is a hint and no more: it is written before the record, so a result that is known is found, and
//! one that never came to be leaves a name that means nothing, which gc takes.
use crate::store::Store;
use crate::{Digest, Key, Result};

/// How often a folder that gc took away meanwhile is made again.
const TRIES: u32 = 16;

impl Store {
    /// The keys of a family, sorted. Some may have no result.
    pub fn family(&self, family: &Digest) -> Result<Vec<Key>> {
        let listed = self.0.disk.list_if_there(&self.0.home.family(family))?;
        let key = |name: &str| Digest::from_hex(name).map(Key::new);
        let mut keys: Vec<Key> = listed.iter().filter_map(|listed| key(listed.name.to_str()?)).collect();
        keys.sort_unstable();
        Ok(keys)
    }

    /// Puts a key into a family, durably.
    pub(crate) fn join(&self, family: &Digest, key: &Key) -> Result<()> {
        let disk = &self.0.disk;
        let folder = self.0.home.family(family);
        for left in (0..TRIES).rev() {
            let made = disk.mkdir_all(&folder)?;
            match disk.write_new(&folder.join(key.hex()), b"", 0o444) {
                Err(error) if error.is_missing() && left > 0 => continue,
                Err(error) if !error.is_there() => return Err(error),
                _ => {}
            }
            // Also where it was there: whoever wrote it may not have come this far.
            disk.sync_dir(&folder)?;
            return made
                .iter()
                .filter_map(|folder| folder.parent())
                .try_for_each(|above| disk.sync_dir(above));
        }
        Ok(())
    }
}
