//! Values of flags that need reading: durations, sizes, devices, `PIPELINE:STAGE`.
use muse_stage::{Bytes, Duration};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Reads `30s`, `1.5h`.
pub(crate) fn duration(text: &str) -> Result<std::time::Duration, String> {
    Duration::parse(text).map(|duration| duration.0).map_err(|error| error.to_string())
}

/// Reads `200GiB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    Bytes::parse(text).map(|bytes| bytes.0).map_err(|error| error.to_string())
}

/// `--device`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Device {
    /// A GPU where there is one.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// GPUs, or the one of that number.
    Cuda(Option<u32>),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(None)),
            _ => text
                .strip_prefix("cuda:")
                .filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|number| number.parse().ok())
                .map(|number| Self::Cuda(Some(number)))
                .ok_or_else(|| "expected `auto`, `cpu`, `cuda` or `cuda:N`".into()),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(number)) => write!(f, "cuda:{number}"),
        }
    }
}

/// `PIPELINE:STAGE`, with or without `.OUTPUT` behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StageOfPipeline {
    /// The pipeline file.
    pub(crate) pipeline: PathBuf,
    /// The stage, and perhaps its output, as typed.
    pub(crate) stage: String,
}

impl StageOfPipeline {
    /// Reads it where `text` has this form: the last colon outside of `[…]` parts the two.
    pub(crate) fn find(text: &str) -> Option<Self> {
        let open = text.find('[').unwrap_or(text.len());
        let colon = text.get(..open)?.rfind(':')?;
        let (pipeline, stage) = (text.get(..colon)?, text.get(colon + 1..)?);
        (!pipeline.is_empty() && !stage.is_empty() && !stage.contains('/'))
            .then(|| Self { pipeline: pipeline.into(), stage: stage.into() })
    }
}

impl FromStr for StageOfPipeline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::find(text)
            .ok_or_else(|| "expected PIPELINE:STAGE, such as `pipelines/tiny.yaml:base`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_read_and_print_alike() {
        for text in ["auto", "cpu", "cuda", "cuda:0", "cuda:15"] {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), text);
        }
        for bad in ["", "gpu", "cuda:", "cuda:+1", "cuda:x", "cuda:99999999999"] {
            assert!(bad.parse::<Device>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_last_colon_before_a_combination_parts_pipeline_and_stage() {
        let pair = |text| StageOfPipeline::find(text).map(|found| (found.pipeline, found.stage));
        assert_eq!(pair("a/b.yaml:base"), Some(("a/b.yaml".into(), "base".into())));
        assert_eq!(pair("a:b.yaml:base[x=1:2].out"), Some(("a:b.yaml".into(), "base[x=1:2].out".into())));
        for none in ["a.yaml", ":base", "a.yaml:", "hf:org/data", ""] {
            assert_eq!(pair(none), None, "{none}");
        }
    }

    #[test]
    fn times_and_sizes_name_their_units() {
        assert_eq!(duration("1.5min"), Ok(std::time::Duration::from_secs(90)));
        assert_eq!(size("2KiB"), Ok(2048));
        assert!(duration("3 apples").unwrap_err().contains("ms, s, m"), "{:?}", duration("3 apples"));
    }
}
