//! Text to ids and back, the quick way and the library's; conversations and what in them is learned.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use muse_artifacts::corpus::{Message, MessageRef};
use muse_artifacts::tokenizer::{CHATML, Tokenizer, split::Split};
use proptest::prelude::*;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use tempfile::TempDir;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split as SplitStep, SplitPattern};
use tokenizers::tokenizer::{AddedToken, SplitDelimiterBehavior};

const LINES: [&str; 6] = [
    "むかしむかし、ある村におじいさんとおばあさんがいました。おじいさんは山へ、おばあさんは川へ行きました。",
    "川で洗濯をしていると、大きな桃がどんぶらこ、どんぶらこと流れてきました。",
    "The quick brown fox jumps over the lazy dog, and the dog doesn't mind: it's 12345 o'clock.",
    "   leading spaces, tabs\tand\r\nnew lines\n\n\n and trailing spaces   ",
    "emoji 👩‍👩‍👧‍👦 🇯🇵, half-width ｶﾀｶﾅ, combining e\u{301}, NUL \0, and <|im_end|> as a text",
    "桃太郎は、犬と猿と雉を連れて、鬼ヶ島へ鬼退治に行きました。東京タワーは333メートルです。",
];

/// A small tokenizer, trained on the lines above.
fn folder(split: Split) -> TempDir {
    let mut tokenizer = tokenizers::Tokenizer::new(BPE::default());
    let pattern = SplitPattern::Regex(split.pattern().into());
    let cut = SplitStep::new(pattern, SplitDelimiterBehavior::Isolated, false).unwrap();
    let bytes = ByteLevel::new(false, true, false);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![cut.into(), bytes.into()])));
    tokenizer.with_decoder(Some(bytes));
    let special = |text: &str| AddedToken::from(text, true);
    let trainer = BpeTrainer::builder()
        .vocab_size(420)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>"].map(special).to_vec())
        .build();
    tokenizer.train(&mut TrainerWrapper::from(trainer), LINES.repeat(3).into_iter()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    tokenizer.save(folder.path().join("tokenizer.json"), false).unwrap();
    fs::write(folder.path().join("chat_template.jinja"), CHATML).unwrap();
    let config =
        json!({ "eos_token": { "content": "<|im_end|>" }, "pad_token": "<|pad|>", "bos_token": null });
    fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    folder
}

fn open(folder: &Path) -> Tokenizer {
    Tokenizer::open(folder).unwrap()
}

static SCRIPT: LazyLock<Tokenizer> = LazyLock::new(|| open(folder(Split::Script).path()));
static GPT2: LazyLock<Tokenizer> = LazyLock::new(|| open(folder(Split::Gpt2).path()));

/// Random text, and pieces of what the tokenizers were trained on, so that there is much to merge.
fn text() -> impl Strategy<Value = String> {
    let piece = (0..LINES.len(), any::<(u16, u16)>()).prop_map(|(line, (from, length))| {
        let line: Vec<char> = LINES[line].chars().collect();
        let from = usize::from(from) % line.len();
        let to = from + usize::from(length) % (line.len() - from + 1);
        line[from..to].iter().collect::<String>()
    });
    let special = prop::sample::select(vec!["<|endoftext|>", "<|im_", "end|>", "<|im_end|>", "\u{FDD0}"]);
    let part = prop_oneof![any::<String>(), piece.clone(), piece, special.prop_map(str::to_owned)];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_quick_way_gives_the_ids_of_the_library(text in text()) {
        for tokenizer in [&*SCRIPT, &*GPT2] {
            prop_assert!(tokenizer.is_quick());
            let ids = tokenizer.encode(&text).unwrap();
            prop_assert_eq!(&ids, &tokenizer.encode_slowly(&text).unwrap());
            prop_assert_eq!(tokenizer.decode(&ids).unwrap(), text.clone());
        }
    }

    #[test]
    fn long_words_too(word in "[あ-ん]{40,400}|[a-z]{120,300}") {
        prop_assert_eq!(SCRIPT.encode(&word).unwrap(), SCRIPT.encode_slowly(&word).unwrap());
    }

    #[test]
    fn what_was_said_stays_what_it_is(role in "user|assistant|system", content in text()) {
        let chat = SCRIPT.encode_chat(&[MessageRef { role: &role, content: &content, extra: None }]).unwrap();
        let text = SCRIPT.decode(&chat.ids).unwrap();
        prop_assert_eq!(text, format!("<|im_start|>{role}\n{content}<|im_end|>\n"));
        // Whatever was said, there are two special tokens.
        prop_assert_eq!(chat.ids.iter().filter(|id| **id < 4).count(), 2);
        let learned: Vec<u32> =
            chat.ids.iter().zip(&chat.learned).filter(|(_, learned)| **learned).map(|(id, _)| *id).collect();
        let said = if role == "assistant" { format!("{content}<|im_end|>") } else { String::new() };
        prop_assert_eq!(SCRIPT.decode(&learned).unwrap(), said);
    }
}

fn conversation() -> Vec<Message> {
    vec![
        Message::new("system", "短く答える。"),
        Message::new("user", "桃はどこから来ましたか。"),
        Message::new("assistant", "川から流れてきました。"),
        Message::new("user", "犬は?"),
        Message {
            role: "assistant".into(),
            content: "鬼ヶ島へ。".into(),
            extra: Some("{\"name\": \"x\"}".into()),
        },
    ]
}

fn borrowed(message: &Message) -> MessageRef<'_> {
    MessageRef { role: &message.role, content: &message.content, extra: message.extra.as_deref() }
}

fn refs(messages: &[Message]) -> Vec<MessageRef<'_>> {
    messages.iter().map(borrowed).collect()
}

#[test]
fn a_prompt_is_the_beginning_of_its_answer() {
    let messages = conversation();
    let whole = SCRIPT.encode_chat(&refs(&messages)).unwrap();
    for asked in [2, 4] {
        let prompt = SCRIPT.encode_prompt(&refs(&messages[..asked])).unwrap();
        assert_eq!(whole.ids[..prompt.len()], prompt, "{asked} messages");
        assert!(!whole.learned[prompt.len() - 1] && whole.learned[prompt.len()]);
    }
}

#[test]
fn a_template_without_marks_gives_the_same() {
    let plain = folder(Split::Script);
    let template = CHATML.replace("endgeneration", "endif").replace("{% generation", "{% if true");
    fs::write(plain.path().join("chat_template.jinja"), template).unwrap();
    let messages = conversation();
    let marked = SCRIPT.encode_chat(&refs(&messages)).unwrap();
    let unmarked = open(plain.path()).encode_chat(&refs(&messages)).unwrap();
    assert_eq!(unmarked.ids, marked.ids);
    // Without marks what ends the turn's line counts as said.
    let more = unmarked.learned.iter().zip(&marked.learned).filter(|(a, b)| a != b).count();
    assert_eq!(more, 2);
    let odd = "{% for message in messages %}{% if not loop.last %}…{% else %}{{ message.content }}{% endif %}{% endfor %}";
    fs::write(plain.path().join("chat_template.jinja"), odd).unwrap();
    let error = open(plain.path()).encode_chat(&refs(&messages)).unwrap_err();
    assert!(error.to_string().contains("otherwise than its parts"), "{error}");
}

#[test]
fn templates_as_others_write_them() {
    let other = folder(Split::Script);
    let template = "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% else %}\
        {% set loop_messages = messages %}{% endif %}{% for m in loop_messages %}{% if m['role'] not in ['user', 'assistant'] %}\
        {{ raise_exception('no such role: ' + m['role']) }}{% endif %}[{{ m.role.upper() }}] {{ m['content'].strip() | trim }}\
        {{ m.name }}\n{% endfor %}";
    fs::write(other.path().join("chat_template.jinja"), template).unwrap();
    fs::write(other.path().join("tokenizer_config.json"), "{\"bos_token\": \"<|im_start|>\"}").unwrap();
    let tokenizer = open(other.path());
    let ids = tokenizer.encode_prompt(&refs(&conversation()[3..])).unwrap();
    assert_eq!(tokenizer.decode(&ids).unwrap(), "<|im_start|>[USER] 犬は?\n[ASSISTANT] 鬼ヶ島へ。x\n");
    let tool = [Message::new("tool", "7")];
    let error = tokenizer.encode_prompt(&refs(&tool)).unwrap_err().to_string();
    assert!(error.contains("chat_template.jinja") && error.contains("no such role: tool"), "{error}");
}

#[test]
fn a_template_says_what_ends_a_turn() {
    assert_eq!(SCRIPT.end_of_turn().unwrap(), SCRIPT.token_id("<|im_end|>"));
    let other = folder(Split::Script);
    let end_of = |template: &str| {
        fs::write(other.path().join("chat_template.jinja"), template).unwrap();
        let tokenizer = open(other.path());
        tokenizer.end_of_turn().unwrap().and_then(|id| tokenizer.token(id))
    };
    // The end outside of what is learned, another end, and a template that never writes one.
    let marked = "{% for m in messages %}<|im_start|>{{ m.role }}: {% if m.role == 'assistant' %}{% generation %}{{ m.content }}\
        {% endgeneration %}{% else %}{{ m.content }}{% endif %}<|pad|>{% endfor %}";
    assert_eq!(end_of(marked).as_deref(), Some("<|pad|>"));
    let plain = "{% for m in messages %}{% if m.role == 'user' %}Q: {{ m.content }}\nA: {% else %}\
        {{ m.content }}<|endoftext|>{% endif %}{% endfor %}";
    assert_eq!(end_of(plain).as_deref(), Some("<|endoftext|>"));
    assert_eq!(end_of("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"), None);
}

#[test]
fn tokens_are_the_bytes_of_a_text() {
    for (tokenizer, line) in LINES.iter().flat_map(|line| [(&SCRIPT, line), (&GPT2, line)]) {
        let ids = tokenizer.encode(line).unwrap();
        let bytes: Vec<u8> = ids.iter().flat_map(|id| tokenizer.token_bytes(*id)).collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), *line);
    }
    assert_eq!(SCRIPT.token_bytes(2), b"<|im_end|>");
    assert_eq!(SCRIPT.token_bytes(9_999), b"");
}

#[test]
fn a_template_without_marks_writes_the_same() {
    let other = folder(Split::Script);
    let marked = open(other.path());
    let plain = marked.plain_chat_template().unwrap();
    assert!(!plain.contains("generation %}") && plain.contains("{%  if true  %}"), "{plain}");
    fs::write(other.path().join("chat_template.jinja"), plain).unwrap();
    let plain = open(other.path());
    let conversation = conversation();
    let refs = refs(&conversation);
    assert_eq!(plain.encode_chat(&refs).unwrap().ids, marked.encode_chat(&refs).unwrap().ids);
    assert_eq!(plain.encode_prompt(&refs).unwrap(), marked.encode_prompt(&refs).unwrap());
}

#[test]
fn what_a_person_reads_holds_no_special_tokens() {
    let ids = SCRIPT.encode_prompt(&refs(&conversation()[3..])).unwrap();
    assert!(SCRIPT.decode(&ids).unwrap().contains("<|im_end|>"));
    assert_eq!(SCRIPT.text(&ids).unwrap(), "user\n犬は?\nassistant\n鬼ヶ島へ。\nassistant\n");
}

/// A tokenizer as [`folder`] makes it, with changes to its `tokenizer.json`.
fn changed(change: impl Fn(&mut serde_json::Value)) -> Tokenizer {
    let folder = folder(Split::Script);
    let path = folder.path().join("tokenizer.json");
    let mut json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut json);
    fs::write(&path, json.to_string()).unwrap();
    open(folder.path())
}

#[test]
fn special_tokens_that_overlap_themselves_are_text_where_somebody_says_them() {
    let tokenizer = changed(|json| json["added_tokens"][3]["content"] = "##".into());
    let hash = tokenizer.token_id("##").unwrap();
    for said in ["##", "###", "####", "# ## ###"] {
        let chat = tokenizer.encode_chat(&refs(&[Message::new("user", said)])).unwrap();
        assert!(!chat.ids.contains(&hash), "{said}");
        assert_eq!(tokenizer.decode(&chat.ids).unwrap(), format!("<|im_start|>user\n{said}<|im_end|>\n"));
    }
}

#[test]
fn texts_are_whole_and_the_same_each_time_whatever_the_file_says() {
    let cut = changed(|json| {
        json["truncation"] =
            json!({ "direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0 });
        json["padding"] = json!({ "strategy": { "Fixed": 600 }, "direction": "Right", "pad_to_multiple_of": null,
                                  "pad_id": 3, "pad_type_id": 0, "pad_token": "<|pad|>" });
        json["model"]["dropout"] = 0.5.into();
    });
    assert!(!cut.is_quick());
    for line in LINES {
        assert_eq!(cut.encode(line).unwrap(), SCRIPT.encode(line).unwrap());
    }
}

#[test]
fn what_is_known_of_a_tokenizer() {
    assert_eq!(SCRIPT.vocab_size(), 420);
    assert_eq!((SCRIPT.end_of_text(), SCRIPT.token_id("<|im_end|>")), (Some(0), Some(2)));
    assert_eq!(SCRIPT.role("eos_token"), Some("<|im_end|>"));
    assert!(SCRIPT.digest().starts_with("b3:") && SCRIPT.digest() != GPT2.digest());
}

#[test]
fn what_is_no_tokenizer_is_an_error_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let said = || Tokenizer::open(folder.path()).err().unwrap().to_string();
    assert!(said().contains("tokenizer.json"), "{}", said());
    for text in ["", "{}", "{\"model\": 7}", "\u{0}"] {
        fs::write(folder.path().join("tokenizer.json"), text).unwrap();
        assert!(said().contains("not a tokenizer"), "{}", said());
    }
}

#[test]
fn what_stands_before_every_text_is_known() {
    assert!(SCRIPT.beginning().unwrap().is_empty());
    let place = folder(Split::Script);
    let path = place.path().join("tokenizer.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let special = |name: &str| json!({ "SpecialToken": { "id": name, "type_id": 0 } });
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    let token = |name: &str| json!({ "id": name, "ids": [SCRIPT.token_id(name).unwrap()], "tokens": [name] });
    let (start, end) = ("<|im_start|>", "<|im_end|>");
    json["post_processor"] = json!({
        "type": "TemplateProcessing", "single": [special(start), text, special(end)], "pair": [text, text],
        "special_tokens": { start: token(start), end: token(end) },
    });
    fs::write(&path, json.to_string()).unwrap();
    let tokenizer = open(place.path());
    assert_eq!(tokenizer.beginning().unwrap(), [SCRIPT.token_id(start).unwrap()]);
    // A text by itself is as it was.
    assert_eq!(tokenizer.encode(LINES[0]).unwrap(), SCRIPT.encode(LINES[0]).unwrap());
}
