//! What the card of a data set says: its licence, its configurations, and which files belong to which split.
use serde_json::Value;

/// The front matter of a repository's README, as the hub reads it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Card(Value);

/// One configuration of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) name: String,
    pub(crate) default: bool,
    /// Split and globs; without a split the globs are of `train`.
    pub(crate) splits: Vec<(String, Vec<String>)>,
}

impl Card {
    pub(crate) fn new(value: Value) -> Self {
        Self(value)
    }

    /// The licence as the card names it: a name, or several with commas between.
    pub(crate) fn licence(&self) -> Option<String> {
        let licences = texts(&self.0["license"]);
        // `other` says nothing; its name stands beside it.
        let named = texts(&self.0["license_name"]);
        let all = if licences == ["other"] && !named.is_empty() { named } else { licences };
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// The configurations that it lists, with their files.
    pub(crate) fn configs(&self) -> Vec<Config> {
        let list = self.0["configs"].as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(config).collect()
    }
}

fn config(value: &Value) -> Option<Config> {
    let name = value["config_name"].as_str().unwrap_or("default").to_owned();
    let folder = value["data_dir"].as_str().map(|folder| folder.trim_matches('/'));
    let below = |glob: &str| {
        let glob = glob.trim_start_matches("./");
        match folder {
            Some(folder) if !folder.is_empty() && !glob.starts_with(folder) => format!("{folder}/{glob}"),
            _ => glob.to_owned(),
        }
    };
    let globs = |value: &Value| texts(value).iter().map(|glob| below(glob)).collect::<Vec<_>>();
    let splits = match &value["data_files"] {
        Value::Null => vec![("train".into(), vec![below("**")])],
        Value::Array(list) if list.iter().any(Value::is_object) => list
            .iter()
            .map(|entry| (entry["split"].as_str().unwrap_or("train").to_owned(), globs(&entry["path"])))
            .collect(),
        Value::Object(map) => map.iter().map(|(split, paths)| (split.clone(), globs(paths))).collect(),
        paths => vec![("train".into(), globs(paths))],
    };
    let default = value["default"].as_bool().unwrap_or(false) || name == "default";
    (value.is_object()).then_some(Config { name, default, splits })
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cards_name_files_in_four_ways() {
        let card = Card::new(json!({
            "license": "other", "license_name": "odc-by",
            "configs": [
                { "config_name": "default", "data_files": [{ "split": "train", "path": "data/*/*" }] },
                { "config_name": "a", "default": true, "data_files": "a/*.parquet" },
                { "config_name": "b", "data_dir": "b", "data_files": { "test": ["x.csv", "./y.csv"] } },
                { "config_name": "c", "data_dir": "c/d/" },
                "nonsense",
            ],
        }));
        assert_eq!(card.licence().as_deref(), Some("odc-by"));
        let configs = card.configs();
        let of = |at: usize| -> Vec<(&str, Vec<&str>)> {
            configs[at]
                .splits
                .iter()
                .map(|(s, g)| (s.as_str(), g.iter().map(String::as_str).collect()))
                .collect()
        };
        assert_eq!(of(0), [("train", vec!["data/*/*"])]);
        assert_eq!(of(1), [("train", vec!["a/*.parquet"])]);
        assert_eq!(of(2), [("test", vec!["b/x.csv", "b/y.csv"])]);
        assert_eq!(of(3), [("train", vec!["c/d/**"])]);
        assert_eq!((configs.len(), configs[1].default, configs[2].default), (4, true, false));
        assert_eq!(
            Card::new(json!({ "license": ["mit", "cc-by-4.0"] })).licence().as_deref(),
            Some("mit, cc-by-4.0")
        );
        assert_eq!(Card::default().licence(), None);
    }
}
