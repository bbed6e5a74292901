//! The data sets of the hub that are offered by name. Any other is named by `hub:OWNER/NAME`.
//!
//! Sizes are rounded, from the sets' own pages and from those of `pipelines/`; of web pages in Japanese, Chinese and Korean there
//! are more than are counted here. They say how much to take and how long it lasts, and nothing is refused by them. Nothing here
//! is fetched by tests.
use super::choices::Language;
use super::data::Class;

/// A data set.
#[derive(Debug, PartialEq)]
pub(crate) struct Set {
    /// What its stage is called.
    pub(crate) name: &'static str,
    /// The repository.
    pub(crate) repo: &'static str,
    /// The configuration, where it has several.
    pub(crate) config: Option<&'static str>,
    /// The split, where it is not `train`.
    pub(crate) split: Option<&'static str>,
    /// What mixes take it for.
    pub(crate) class: Class,
    /// Its language; none of programs.
    pub(crate) language: Option<Language>,
    /// Chats, where it is no text.
    pub(crate) chats: bool,
    /// Its licence, which results inherit.
    pub(crate) licence: &'static str,
    /// How many documents it has.
    pub(crate) documents: u64,
    /// How many bytes one of them has, in the mean.
    pub(crate) each: u64,
    /// What it is, in a few words.
    pub(crate) about: &'static str,
}

const TEXT: Set = Set {
    name: "",
    repo: "",
    config: None,
    split: None,
    class: Class::General,
    language: None,
    chats: false,
    licence: "",
    documents: 0,
    each: 3_000,
    about: "",
};
const WEB: Set = Set { licence: "ODC-By 1.0, and the terms of Common Crawl", documents: 50_000_000, ..TEXT };
const CHATS: Set = Set { chats: true, each: 1_000, ..TEXT };

/// All of them. Of those for a language, the first is what is proposed.
pub(crate) const SETS: &[Set] = &[
    Set {
        name: "wiki_ja",
        repo: "wikimedia/wikipedia",
        config: Some("20231101.ja"),
        class: Class::Japanese,
        language: Some(Language::Ja),
        licence: "CC BY-SA 3.0 and GFDL",
        documents: 1_400_000,
        each: 5_000,
        about: "Japanese Wikipedia",
        ..TEXT
    },
    Set {
        name: "web_ja",
        repo: "HuggingFaceFW/fineweb-2",
        config: Some("jpn_Jpan"),
        class: Class::Japanese,
        language: Some(Language::Ja),
        about: "Japanese web pages",
        ..WEB
    },
    Set {
        name: "web_en",
        repo: "HuggingFaceFW/fineweb-edu",
        config: Some("sample-10BT"),
        language: Some(Language::En),
        documents: 9_600_000,
        each: 4_500,
        about: "English web pages to learn from",
        ..WEB
    },
    Set {
        name: "wiki_en",
        repo: "wikimedia/wikipedia",
        config: Some("20231101.en"),
        language: Some(Language::En),
        licence: "CC BY-SA 3.0 and GFDL",
        documents: 6_400_000,
        about: "English Wikipedia",
        ..TEXT
    },
    Set {
        name: "tinystories",
        repo: "roneneldan/TinyStories",
        language: Some(Language::En),
        licence: "CDLA-Sharing-1.0",
        documents: 2_100_000,
        each: 900,
        about: "short stories in few English words",
        ..TEXT
    },
    Set {
        name: "web_zh",
        repo: "HuggingFaceFW/fineweb-2",
        config: Some("cmn_Hani"),
        language: Some(Language::Zh),
        about: "Chinese web pages",
        ..WEB
    },
    Set {
        name: "web_ko",
        repo: "HuggingFaceFW/fineweb-2",
        config: Some("kor_Hang"),
        language: Some(Language::Ko),
        about: "Korean web pages",
        ..WEB
    },
    Set {
        name: "python",
        repo: "codeparrot/codeparrot-clean",
        class: Class::Code,
        licence: "each file its own, by the column `license`",
        documents: 5_300_000,
        each: 9_300,
        about: "Python programs of GitHub",
        ..TEXT
    },
    Set {
        name: "dolly_ja",
        repo: "kunishou/databricks-dolly-15k-ja",
        class: Class::Japanese,
        language: Some(Language::Ja),
        licence: "CC BY-SA 3.0",
        documents: 15_000,
        about: "Japanese instructions and answers",
        ..CHATS
    },
    Set {
        name: "oasst_ja",
        repo: "llm-jp/oasst1-21k-ja",
        class: Class::Japanese,
        language: Some(Language::Ja),
        licence: "Apache 2.0",
        documents: 21_000,
        about: "Japanese conversations",
        ..CHATS
    },
    Set {
        name: "alpaca_ja",
        repo: "shi3z/alpaca_cleaned_ja_json",
        class: Class::Japanese,
        language: Some(Language::Ja),
        licence: "CC BY 4.0",
        documents: 50_000,
        about: "Japanese instructions and answers",
        ..CHATS
    },
    Set {
        name: "dolly_en",
        repo: "databricks/databricks-dolly-15k",
        language: Some(Language::En),
        licence: "CC BY-SA 3.0",
        documents: 15_000,
        about: "English instructions and answers",
        ..CHATS
    },
    Set {
        name: "ultrachat",
        repo: "HuggingFaceH4/ultrachat_200k",
        split: Some("train_sft"),
        language: Some(Language::En),
        licence: "MIT",
        documents: 208_000,
        each: 6_000,
        about: "long English conversations",
        ..CHATS
    },
];

impl Set {
    /// How much text it has, about.
    pub(crate) fn bytes(&self) -> u64 {
        self.documents.saturating_mul(self.each)
    }
}

/// The set of this repository, and of this configuration where one is named.
pub(crate) fn find(repo: &str, config: Option<&str>) -> Option<&'static Set> {
    SETS.iter().find(|set| set.repo == repo && set.config == config)
}

/// Texts for some languages, and programs last.
pub(crate) fn texts(languages: &[Language]) -> Vec<&'static Set> {
    let speaks = |set: &&Set| !set.chats && set.language.is_none_or(|language| languages.contains(&language));
    SETS.iter().filter(speaks).collect()
}

/// What is proposed to learn some languages from: one set for each.
pub(crate) fn proposed(languages: &[Language]) -> Vec<&'static Set> {
    let first = |language: &Language| SETS.iter().find(|set| !set.chats && set.language == Some(*language));
    languages.iter().filter_map(first).collect()
}

/// What a benchmark learns some languages from: web pages, of which there is enough.
pub(crate) fn web(languages: &[Language]) -> Vec<&'static Set> {
    let first = |language: &Language| {
        SETS.iter().find(|set| set.name.starts_with("web_") && set.language == Some(*language))
    };
    languages.iter().filter_map(first).collect()
}

/// Chats in some languages.
pub(crate) fn chats(languages: &[Language]) -> Vec<&'static Set> {
    let speaks = |set: &&Set| set.chats && set.language.is_some_and(|language| languages.contains(&language));
    SETS.iter().filter(speaks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_have_names_of_their_own_and_are_found_by_what_is_typed() {
        for (at, set) in SETS.iter().enumerate() {
            assert!(SETS[..at].iter().all(|other| other.name != set.name), "{}", set.name);
            assert_eq!(find(set.repo, set.config), Some(set), "{}", set.name);
            assert!(!set.licence.is_empty() && !set.about.is_empty() && set.documents > 0, "{}", set.name);
        }
        assert_eq!(find("wikimedia/wikipedia", None), None, "a configuration is part of what is meant");
    }

    #[test]
    fn every_language_has_texts_and_web_pages() {
        for language in [Language::Ja, Language::En, Language::Zh, Language::Ko] {
            assert_eq!((proposed(&[language]).len(), web(&[language]).len()), (1, 1), "{language:?}");
        }
        assert_eq!(chats(&[Language::Ja]).len(), 3);
        assert_eq!(chats(&[Language::Zh, Language::Ko]), Vec::<&Set>::new());
        assert!(texts(&[Language::Ko]).iter().any(|set| set.class == Class::Code));
    }
}
