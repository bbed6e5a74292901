//! Languages, told by the scripts of a document, and English by its most common words.
use crate::params::Japanese;
use muse_stage::schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};
use std::borrow::Cow;

/// A language that documents can be told to be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Japanese: kana and kanji.
    Ja,
    /// English: Latin letters and English words.
    En,
    /// Chinese: kanji without kana.
    Zh,
    /// Korean: Hangul.
    Ko,
}

const ALL: [(&str, Language); 4] =
    [("ja", Language::Ja), ("en", Language::En), ("zh", Language::Zh), ("ko", Language::Ko)];

/// The languages that stay; none named means any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Languages(pub Vec<Language>);

/// The least share of letters that makes the language.
const MAIN_SHARE: f64 = 0.5;
/// The least share of English words in all words of a text of Latin letters; prose has 0.3 and more.
const ENGLISH_WORDS: f64 = 0.12;
/// With fewer words no share is asked for: plain letters will do.
const FEW_WORDS: u64 = 8;
/// Common in English, and not in its neighbours.
const ENGLISH: [&str; 40] = [
    "the", "of", "and", "to", "that", "for", "it", "with", "as", "are", "this", "be", "by", "from", "at",
    "have", "has", "not", "you", "he", "his", "they", "their", "which", "or", "but", "what", "there", "been",
    "would", "she", "her", "we", "my", "your", "can", "if", "will", "its", "who",
];

/// What a text's letters say.
#[derive(Default)]
struct Letters {
    kana: u64,
    han: u64,
    hangul: u64,
    latin: u64,
    ascii: u64,
    all: u64,
    words: u64,
    english: u64,
}

impl Letters {
    fn count(text: &str) -> Self {
        let mut letters = Self::default();
        let mut word = None;
        for (at, character) in text.char_indices() {
            let latin = character.is_ascii_alphabetic() || matches!(character, '\u{c0}'..='\u{24f}');
            if latin {
                word.get_or_insert(at);
                letters.latin += 1;
                letters.all += 1;
                letters.ascii += u64::from(character.is_ascii());
                continue;
            }
            if let Some(start) = word.take() {
                letters.word(text.get(start..at).unwrap_or_default());
            }
            match u32::from(character) {
                0..=0x7f => continue,
                0x3041..=0x309f | 0x30a1..=0x30fa | 0x30fc..=0x30ff | 0x31f0..=0x31ff | 0xff66..=0xff9f => {
                    letters.kana += 1;
                }
                0x3005
                | 0x3007
                | 0x3400..=0x4dbf
                | 0x4e00..=0x9fff
                | 0xf900..=0xfaff
                | 0x2_0000..=0x3_ffff => {
                    letters.han += 1;
                }
                0x1100..=0x11ff | 0x3130..=0x318f | 0xac00..=0xd7a3 => letters.hangul += 1,
                _ if character.is_alphabetic() => {}
                _ => continue,
            }
            letters.all += 1;
        }
        if let Some(start) = word {
            letters.word(text.get(start..).unwrap_or_default());
        }
        letters
    }

    fn word(&mut self, word: &str) {
        self.words += 1;
        self.english +=
            u64::from(word.len() <= 5 && ENGLISH.iter().any(|known| known.eq_ignore_ascii_case(word)));
    }
}

/// The language of a text; `None` where it is another one, or no language at all.
pub(crate) fn tell(text: &str, japanese: &Japanese) -> Option<Language> {
    let letters = Letters::count(text);
    let share = |part: u64, of: u64| part as f64 / of.max(1) as f64;
    let asian = letters.kana + letters.han;
    if letters.all == 0 {
        return None;
    }
    if asian > 0
        && share(asian, letters.all) >= japanese.min_share
        && share(letters.kana, asian) >= japanese.min_kana
    {
        return Some(Language::Ja);
    }
    if share(letters.han, letters.all) >= MAIN_SHARE && share(letters.kana, asian) < japanese.min_kana {
        return Some(Language::Zh);
    }
    if share(letters.hangul, letters.all) >= MAIN_SHARE {
        return Some(Language::Ko);
    }
    let english = if letters.words < FEW_WORDS {
        letters.ascii == letters.all
    } else {
        share(letters.english, letters.words) >= ENGLISH_WORDS
    };
    (share(letters.latin, letters.all) >= MAIN_SHARE && english).then_some(Language::En)
}

/// The name of what [`tell`] answers.
pub(crate) fn name(language: Option<Language>) -> &'static str {
    ALL.iter().find(|(_, one)| Some(*one) == language).map_or("other", |(name, _)| name)
}

impl Serialize for Languages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [] => serializer.serialize_str("any"),
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Languages {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let list = match value {
            Value::String(text) if text == "any" => return Ok(Self::default()),
            Value::Array(list) => list,
            one => vec![one],
        };
        let languages = list.into_iter().map(serde_json::from_value).collect::<Result<Vec<_>, _>>();
        languages.map(Self).map_err(de::Error::custom)
    }
}

impl JsonSchema for Languages {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Languages".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        let mut alone = vec!["any"];
        alone.extend(&names);
        let list = json!({ "type": "array", "items": { "type": "string", "enum": names }, "minItems": 1 });
        let either = json!({ "anyOf": [{ "type": "string", "enum": alone }, list] });
        Schema::try_from(either).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> &'static str {
        name(tell(text, &Japanese::default()))
    }

    #[test]
    fn languages_are_told_apart() {
        let cases = [
            ("ja", "吾輩は猫である。名前はまだ無い。"),
            ("ja", "ｺﾝﾆﾁﾊ"),
            ("ja", "Rustのtraitはvtableで実装されています。"),
            ("ja", "東京都千代田区霞が関一丁目"),
            ("zh", "我是一只猫。还没有名字。"),
            ("ko", "나는 고양이로소이다. 이름은 아직 없다."),
            ("en", "I am a cat. As yet I have no name, and I have no idea where I was born."),
            ("en", "OK, thanks"),
            ("en", "The café at the corner of the street has been closed for a year 東京"),
            (
                "other",
                "Ich bin ein Kater. Einen Namen habe ich noch nicht, und wo ich geboren bin, weiß ich nicht.",
            ),
            ("other", "Je suis un chat. Je n'ai pas encore de nom et je ne sais pas où je suis né."),
            ("other", "Ik ben een kat. Een naam heb ik nog niet en waar ik geboren ben weet ik niet."),
            ("other", "Soy un gato. Todavía no tengo nombre y no sé dónde he nacido, pero recuerdo algo."),
            ("other", "Я кот. Имени у меня пока нет."),
            ("other", "12345 🙂 \0 --"),
            ("other", ""),
        ];
        for (language, text) in cases {
            assert_eq!(told(text), language, "{text}");
        }
    }

    #[test]
    fn what_japanese_is_can_be_set() {
        let strict = Japanese { min_share: 0.9, min_kana: 0.5 };
        assert_eq!(tell("Rustのtraitはvtableで実装されています。", &strict), None);
        assert_ne!(tell("漢字仮名交じり文", &strict), Some(Language::Ja));
        assert_eq!(tell("漢字", &Japanese { min_share: 0.3, min_kana: 0.0 }), Some(Language::Ja));
    }

    #[test]
    fn one_language_or_several_can_be_written() {
        for (text, list) in [
            (json!("any"), vec![]),
            (json!("ja"), vec![Language::Ja]),
            (json!(["ja", "en"]), vec![Language::Ja, Language::En]),
        ] {
            let languages: Languages = serde_json::from_value(text.clone()).unwrap();
            assert_eq!(languages.0, list);
            assert_eq!(serde_json::to_value(&languages).unwrap(), text);
        }
        assert!(serde_json::from_value::<Languages>(json!("jp")).is_err());
        assert!(serde_json::from_value::<Languages>(json!(["any"])).is_err());
    }
}
