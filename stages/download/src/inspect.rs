//! What a repository or a file holds, for people who look before they download.
use muse_stage::StageError;
use serde_json::Value;
use std::path::Path;

/// TODO
pub fn inspect_hub(_r: &str) -> Result<Value, StageError> { Err(StageError::new("")) }
/// TODO
pub fn inspect_file(_p: &Path) -> Result<Option<Value>, StageError> { Ok(None) }
