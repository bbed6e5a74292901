//! A tokenizer in llama.cpp's words: its tokens, and the way from text to them, where llama.cpp has it.
//!
//! Byte-level BPE is `gpt2` there, with one of the splits that it knows by name; single characters with bytes for the others
//! are `llama` without merges. What would give other ids in plain texts is refused; what does so in rare ones is noted.
use super::OTHERWISE;
use super::file::Value;
use crate::source::Source;
use muse_artifacts::tokenizer::split::Split;
use muse_stage::StageError;
use serde_json::Value as Json;
use std::collections::HashSet;
use std::fs;

/// The split of Qwen's tokenizers: that of GPT-4, but digits stand alone.
const QWEN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// What llama.cpp writes for a space in tokens of `llama`.
const SPACE: &str = "\u{2581}";

const SCRIPT_NOTE: &str = "The tokenizer cuts words by `split: script`, which llama.cpp does not know; the file names \
    `smaug-bpe`, the nearest that it knows. Letters with combining marks, as in Hindi and Thai, and words behind a single \
    quote that begin like a contraction, as in `'this'`, become other tokens there than in training. Other text has the same.";
const NORMAL_NOTE: &str = "The tokenizer normalizes text before all else, which llama.cpp does not do: text that is not in \
    that form becomes other tokens there.";

/// What a token is, as the format numbers it.
#[derive(Clone, Copy)]
enum Kind {
    Normal = 1,
    Control = 3,
    UserDefined = 4,
    Unused = 5,
    Byte = 6,
}

/// The keys of a tokenizer, and what is to be said of it.
pub(crate) struct Vocabulary {
    pub(crate) keys: Vec<(String, Value)>,
    pub(crate) notes: Vec<String>,
}

impl Vocabulary {
    /// The tokenizer of a source, with as many tokens as its model has.
    pub(crate) fn of(source: &Source) -> Result<Self, StageError> {
        let path = source.tokenizer_folder.join("tokenizer.json");
        let bytes = fs::read(&path).map_err(StageError::io(&path))?;
        let json = serde_json::from_slice(&bytes)
            .map_err(|error| StageError::new(format!("{}: {error}", path.display())))?;
        Self::new(&json, source.model.vocab_size.unwrap_or(0))
    }

    /// The same from a `tokenizer.json`.
    fn new(json: &Json, size: usize) -> Result<Self, StageError> {
        let model = &json["model"];
        let off = |name: &str| matches!(&model[name], Json::Null | Json::Bool(false)) || model[name] == "";
        let plain = ["unk_token", "continuing_subword_prefix", "end_of_word_suffix"].into_iter().all(off);
        if model["type"] != "BPE" || !plain {
            let kind = model["type"].as_str().unwrap_or("unknown");
            return Err(refused(&format!("a model of type `{kind}` that llama.cpp reads otherwise")));
        }
        let mut notes = normalized(&json["normalizer"])?;
        let mut tokens = Tokens::of(json, size)?;
        let mut keys = if model["byte_fallback"] == true {
            tokens.characters(model)?
        } else {
            let (pre, note) = split(json)?;
            notes.extend(note.map(str::to_owned));
            vec![
                ("model", Value::Text("gpt2".into())),
                ("pre", Value::Text(pre.into())),
                ("merges", Value::Texts(merges(model)?)),
            ]
        };
        tokens.fill_up();
        keys.push(("tokens", Value::Texts(tokens.texts)));
        keys.push(("token_type", Value::I32s(tokens.kinds.into_iter().map(|kind| kind as i32).collect())));
        let keys = keys.into_iter().map(|(name, value)| (format!("tokenizer.ggml.{name}"), value)).collect();
        Ok(Self { keys, notes })
    }
}

fn refused(what: &str) -> StageError {
    StageError::new(format!("the tokenizer has {what}")).help(OTHERWISE)
}

/// What is done to text before all else, which llama.cpp leaves out.
fn normalized(normalizer: &Json) -> Result<Vec<String>, StageError> {
    match normalizer["type"].as_str() {
        None => Ok(Vec::new()),
        Some("NFC" | "NFKC") => Ok(vec![NORMAL_NOTE.to_owned()]),
        Some(other) => Err(refused(&format!("a normalizer `{other}`, which llama.cpp does not do"))),
    }
}

/// The name by which llama.cpp knows the split into words, and what is to be said of it.
fn split(json: &Json) -> Result<(&'static str, Option<&'static str>), StageError> {
    let unknown = || refused("a way to cut text into words that llama.cpp does not know");
    let steps = &json["pre_tokenizer"];
    let bytes = |step: &Json, regex: bool| {
        step["type"] == "ByteLevel"
            && step["add_prefix_space"] == false
            && step["use_regex"].as_bool().unwrap_or(true) == regex
    };
    let merged_whole = json["model"]["ignore_merges"] == true;
    let regex = match steps["pretokenizers"].as_array().map(Vec::as_slice) {
        None if bytes(steps, true) => Split::Gpt2.pattern(),
        Some([first, second]) if bytes(second, false) => {
            let isolated =
                first["type"] == "Split" && first["behavior"] == "Isolated" && first["invert"] == false;
            let regex = first["pattern"]["Regex"].as_str().filter(|_| isolated);
            regex.ok_or_else(unknown)?
        }
        _ => return Err(unknown()),
    };
    match (Split::from_pattern(regex), merged_whole) {
        (Some(Split::Gpt2), false) => Ok(("gpt-2", None)),
        (Some(Split::Gpt4), false) => Ok(("smaug-bpe", None)),
        // The same split, but words that are tokens are taken whole.
        (Some(Split::Gpt4), true) => Ok(("llama-bpe", None)),
        (Some(Split::Script), false) => Ok(("smaug-bpe", Some(SCRIPT_NOTE))),
        (None, false) if regex == QWEN => Ok(("qwen2", None)),
        _ => Err(unknown()),
    }
}

fn merges(model: &Json) -> Result<Vec<String>, StageError> {
    let spelled = |merge: &Json| match merge {
        Json::String(text) => Some(text.clone()),
        pair => Some(format!("{} {}", pair.get(0)?.as_str()?, pair.get(1)?.as_str()?)),
    };
    let all = model["merges"].as_array().into_iter().flatten().map(spelled);
    all.collect::<Option<_>>().ok_or_else(|| refused("merges that are no pairs"))
}

/// Tokens by their ids. An empty text is one that there is not.
struct Tokens {
    texts: Vec<String>,
    kinds: Vec<Kind>,
}

impl Tokens {
    fn of(json: &Json, size: usize) -> Result<Self, StageError> {
        let mut all = Self { texts: vec![String::new(); size], kinds: vec![Kind::Unused; size] };
        for (text, id) in json["model"]["vocab"].as_object().into_iter().flatten() {
            all.put(text, id, Kind::Normal)?;
        }
        for token in json["added_tokens"].as_array().into_iter().flatten() {
            let kind = if token["special"] == true { Kind::Control } else { Kind::UserDefined };
            all.put(token["content"].as_str().unwrap_or_default(), &token["id"], kind)?;
        }
        Ok(all)
    }

    fn put(&mut self, text: &str, id: &Json, kind: Kind) -> Result<(), StageError> {
        let place = id.as_u64().and_then(|id| usize::try_from(id).ok());
        match place.and_then(|id| Some((self.texts.get_mut(id)?, self.kinds.get_mut(id)?))) {
            Some((at, its)) => {
                (*at, *its) = (text.to_owned(), kind);
                Ok(())
            }
            None => Err(refused(&format!("a token `{text}` whose id is beyond the model's"))),
        }
    }

    /// Single characters, and bytes for those that are no tokens: what llama.cpp calls `llama`, which joins nothing where no
    /// token has two characters. There a space is another character.
    fn characters(&mut self, model: &Json) -> Result<Vec<(&'static str, Value)>, StageError> {
        let mut bytes = 0;
        for (text, kind) in self.texts.iter_mut().zip(&mut self.kinds) {
            let is_byte = text.len() == 6 && text.starts_with("<0x") && text.ends_with('>');
            match kind {
                Kind::Normal if is_byte => (*kind, bytes) = (Kind::Byte, bytes + 1),
                Kind::Normal if text == SPACE => {
                    return Err(refused("a token `▁`, which is a space to llama.cpp"));
                }
                Kind::Normal if text == " " => SPACE.clone_into(text),
                Kind::Normal if text.chars().nth(1).is_some() => {
                    return Err(refused("bytes for what it does not know, and tokens of several characters"));
                }
                _ => {}
            }
        }
        if model["merges"].as_array().is_some_and(|merges| !merges.is_empty()) || bytes != 256 {
            return Err(refused("bytes for what it does not know, and merges"));
        }
        if !self.texts.iter().any(|text| text == SPACE) {
            return Err(refused("no token for a space, which llama.cpp wants"));
        }
        Ok(vec![
            ("model", Value::Text("llama".into())),
            ("pre", Value::Text("default".into())),
            ("add_space_prefix", Value::Bool(false)),
            ("scores", Value::F32s(vec![0.0; self.texts.len()])),
        ])
    }

    /// Names for ids that are padding: each must have one of its own.
    fn fill_up(&mut self) {
        let taken: HashSet<String> = self.texts.iter().cloned().collect();
        for (id, text) in self.texts.iter_mut().enumerate().filter(|(_, text)| text.is_empty()) {
            *text = format!("[PAD{id}]");
            while taken.contains(text) {
                text.push('_');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn step(regex: &str) -> Json {
        let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "use_regex": false });
        let split = json!({ "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false });
        json!({ "type": "Sequence", "pretokenizers": [split, bytes] })
    }

    fn pairs(regex: &str) -> Json {
        json!({
            "normalizer": null, "pre_tokenizer": step(regex),
            "added_tokens": [{ "id": 0, "content": "<e>", "special": true }, { "id": 3, "content": "<t>", "special": false }],
            "model": { "type": "BPE", "unk_token": null, "byte_fallback": false, "ignore_merges": false,
                       "vocab": { "<e>": 0, "a": 1, "b": 2, "ab": 4, "[PAD6]": 5 }, "merges": [["a", "b"]] },
        })
    }

    fn get(vocabulary: &Vocabulary, key: &str) -> Option<Value> {
        let key = format!("tokenizer.ggml.{key}");
        vocabulary.keys.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone())
    }

    fn texts(all: &[&str]) -> Option<Value> {
        Some(Value::Texts(all.iter().map(|text| (*text).to_owned()).collect()))
    }

    #[test]
    fn byte_pairs_are_gpt2_with_a_split_that_llama_cpp_knows() {
        let made = Vocabulary::new(&pairs(Split::Gpt4.pattern()), 8).unwrap();
        assert_eq!(get(&made, "model"), Some(Value::Text("gpt2".into())));
        assert_eq!(get(&made, "pre"), Some(Value::Text("smaug-bpe".into())));
        assert_eq!(get(&made, "merges"), texts(&["a b"]));
        assert_eq!(
            get(&made, "tokens"),
            texts(&["<e>", "a", "b", "<t>", "ab", "[PAD6]", "[PAD6]_", "[PAD7]"])
        );
        assert_eq!(get(&made, "token_type"), Some(Value::I32s(vec![3, 1, 1, 4, 1, 1, 5, 5])));
        assert!(made.notes.is_empty());
        let pre = |json: &Json| match get(&Vocabulary::new(json, 6).unwrap(), "pre") {
            Some(Value::Text(pre)) => pre,
            other => panic!("{other:?}"),
        };
        assert_eq!(pre(&pairs(Split::Gpt2.pattern())), "gpt-2");
        assert_eq!(pre(&pairs(QWEN)), "qwen2");
        let mut alone = pairs("");
        alone["pre_tokenizer"] = json!({ "type": "ByteLevel", "add_prefix_space": false });
        assert_eq!(pre(&alone), "gpt-2");
        let mut whole = pairs(Split::Gpt4.pattern());
        whole["model"]["ignore_merges"] = json!(true);
        assert_eq!(pre(&whole), "llama-bpe");
    }

    #[test]
    fn what_is_not_quite_the_same_is_noted() {
        let made = Vocabulary::new(&pairs(Split::Script.pattern()), 6).unwrap();
        assert_eq!(made.notes, [SCRIPT_NOTE]);
        let mut formed = pairs(Split::Gpt2.pattern());
        formed["normalizer"] = json!({ "type": "NFC" });
        assert_eq!(Vocabulary::new(&formed, 6).unwrap().notes, [NORMAL_NOTE]);
    }

    fn characters() -> Json {
        let mut vocab = serde_json::Map::from_iter([("<e>".to_owned(), json!(0))]);
        (0..256).for_each(|byte| _ = vocab.insert(format!("<0x{byte:02X}>"), json!(byte + 1)));
        ["a", " ", "猫"].iter().for_each(|text| _ = vocab.insert((*text).into(), json!(vocab.len())));
        let mut json = pairs(Split::Gpt2.pattern());
        json["added_tokens"] = json!([{ "id": 0, "content": "<e>", "special": true }]);
        json["model"]["vocab"] = vocab.into();
        json["model"]["merges"] = json!([]);
        json["model"]["byte_fallback"] = json!(true);
        json
    }

    #[test]
    fn characters_are_llama_without_merges() {
        let made = Vocabulary::new(&characters(), 260).unwrap();
        assert_eq!(get(&made, "model"), Some(Value::Text("llama".into())));
        assert_eq!(get(&made, "add_space_prefix"), Some(Value::Bool(false)));
        assert_eq!(get(&made, "merges"), None);
        let (Some(Value::Texts(tokens)), Some(Value::I32s(kinds))) =
            (get(&made, "tokens"), get(&made, "token_type"))
        else {
            panic!()
        };
        assert_eq!(tokens[256..], ["<0xFF>", "a", "▁", "猫"]);
        assert_eq!((kinds[0], kinds[1], kinds[256], kinds[257]), (3, 6, 6, 1));
    }

    #[test]
    fn what_llama_cpp_would_read_otherwise_is_refused() {
        let said = |json: &Json, size| {
            let Err(error) = Vocabulary::new(json, size) else { panic!("{json}") };
            error.to_string()
        };
        let changed = |change: &dyn Fn(&mut Json), mut json: Json| {
            change(&mut json);
            said(&json, 261)
        };
        let pairs = || pairs(Split::Gpt2.pattern());
        assert!(changed(&|json| json["model"]["type"] = json!("Unigram"), pairs()).contains("Unigram"));
        assert!(changed(&|json| json["model"]["unk_token"] = json!("?"), pairs()).contains("BPE"));
        assert!(
            changed(&|json| json["normalizer"] = json!({ "type": "Prepend" }), pairs()).contains("Prepend")
        );
        assert!(changed(&|json| json["pre_tokenizer"] = step("x+"), pairs()).contains("cut text into words"));
        assert!(changed(&|json| json["model"]["ignore_merges"] = json!(true), pairs()).contains("cut text"));
        assert!(said(&pairs(), 5).contains("beyond the model's"));
        let add = |text: &'static str| move |json: &mut Json| json["model"]["vocab"][text] = json!(260);
        assert!(changed(&add("▁"), characters()).contains("`▁`"));
        assert!(changed(&add("ab"), characters()).contains("several characters"));
        assert!(
            changed(&|json| json["model"]["merges"] = json!([["a", "a"]]), characters()).contains("merges")
        );
        let lost = |json: &mut Json| _ = json["model"]["vocab"].as_object_mut().unwrap().remove(" ");
        assert!(changed(&lost, characters()).contains("no token for a space"));
    }
}
