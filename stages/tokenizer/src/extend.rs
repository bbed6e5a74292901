//! Goes on from a tokenizer that there is: its ids and merges stay, and what the corpus adds is merged from its tokens.
//!
//! Words are first merged by the base, so each new merge joins tokens that stand side by side when it is its turn, and
//! what it makes can be reached.
use crate::bpe::{self, Limits, Vocabulary, Words};
use crate::count::Table;
use crate::cut::Cut;
use crate::files::{Settings, special_token};
use crate::letters::{letters, spell};
use crate::params::{Algorithm, Normalize, Params, Split};
use crate::train::Trained;
use muse_artifacts::tokenizer::CHATML;
use muse_stage::{Context, StageError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tokenizers::models::bpe::BPE;
use tokenizers::{Model, ModelWrapper, Tokenizer};

/// A tokenizer to go on from.
pub(crate) struct Base {
    folder: PathBuf,
    json: Value,
    model: BPE,
    vocabulary: Vocabulary,
    /// Tokens that stand for single bytes of characters: they do not merge.
    byte_fallback: bool,
}

impl Base {
    /// Opens a folder, or says why it cannot be gone on from.
    pub(crate) fn open(folder: &Path, params: &Params) -> Result<Self, StageError> {
        let path = if folder.is_dir() { folder.join("tokenizer.json") } else { folder.to_owned() };
        let bytes = fs::read(&path).map_err(StageError::io(&path))?;
        let wrong = |message: String, help: &str| {
            Err(StageError::new(format!("{}: {message}", path.display())).help(help.to_owned()))
        };
        let tokenizer = match Tokenizer::from_bytes(&bytes) {
            Ok(tokenizer) => tokenizer,
            Err(error) => {
                return wrong(
                    format!("not a tokenizer: {error}"),
                    "`base` takes the result of a tokenizer stage, or a folder with a `tokenizer.json`",
                );
            }
        };
        let json: Value = serde_json::from_slice(&bytes)
            .map_err(|error| StageError::new(format!("{}: {error}", path.display())))?;
        let ModelWrapper::BPE(model) = tokenizer.get_model().clone() else {
            return wrong(
                "only byte-pair tokenizers can be gone on from".into(),
                "leave `base` out, or take one whose model is `BPE`",
            );
        };
        let marked = [&model.continuing_subword_prefix, &model.end_of_word_suffix];
        if marked.into_iter().flatten().any(|mark| !mark.is_empty()) {
            return wrong(
                "its tokens say where in a word they stand, and merging does not".into(),
                "take a base that is byte-level, such as those of GPT-2, Llama 3 or Qwen",
            );
        }
        if params.algorithm != Algorithm::Bpe
            || params.split != Split::default()
            || params.normalize != Normalize::None
            || params.add_prefix_space
        {
            return wrong(
                "with a `base`, the algorithm and the way from text to words are its own".into(),
                "leave out `algorithm`, `split`, `normalize` and `add_prefix_space`",
            );
        }
        let tokens = tokenizer.get_vocab(true);
        let (has, wanted) = (tokens.values().max().map_or(0, |id| *id as usize + 1), params.vocab_size());
        let special =
            params.special_tokens.iter().flatten().filter(|token| !tokens.contains_key(*token)).count();
        // Before there is room made for them: a file can name any id.
        if has >= wanted || has + special > wanted {
            let more = if special > 0 { format!(" and {special} more are special") } else { String::new() };
            return wrong(
                format!("it has {has} tokens already{more}, and {wanted} are asked for"),
                "`vocab_size` is how many tokens there are in the end, those of the base counted",
            );
        }
        let mut vocabulary = Vocabulary::default();
        tokens.iter().for_each(|(text, id)| vocabulary.place(text, *id));
        Ok(Self { folder: folder.to_owned(), json, byte_fallback: model.byte_fallback, model, vocabulary })
    }

    /// How it cuts text.
    pub(crate) fn cut(&self) -> Result<Cut, StageError> {
        Cut::of(&self.json)
    }

    /// Adds what the words give.
    pub(crate) fn extend(
        &mut self,
        context: &mut Context,
        params: &Params,
        words: Table,
        bytes: bool,
    ) -> Result<Trained, StageError> {
        let mut specials = Vec::new();
        for token in params.special_tokens.iter().flatten() {
            specials.push((token.clone(), self.vocabulary.push(token.clone())));
        }
        let words = self.words(words, bytes)?;
        let limits = Limits {
            size: params.vocab_size(),
            min_frequency: params.min_frequency(),
            max_length: usize::try_from(params.max_token_length.0).unwrap_or(usize::MAX),
            // What a merge makes must be new, or older merges would go on from it.
            closed: self.vocabulary.iter().map(|(text, _)| text.to_owned()).collect(),
        };
        let total = params.vocab_size.0;
        let merges = bpe::learn(words, &mut self.vocabulary, &limits, |tokens| {
            context.progress(tokens as u64, Some(total), "tokens");
            context.go_on()
        })?;
        let broken = || StageError::new("the base's `tokenizer.json` lacks a part of its model");
        let model = self.json.get_mut("model").and_then(Value::as_object_mut).ok_or_else(broken)?;
        // All tokens, added ones too: the library numbers those anew that the model does not hold.
        let vocab = self.vocabulary.iter().map(|(text, id)| (text.to_owned(), Value::from(id)));
        model.insert("vocab".into(), vocab.collect::<serde_json::Map<_, _>>().into());
        let old = model.get_mut("merges").and_then(Value::as_array_mut).ok_or_else(broken)?;
        let texts = old.first().is_some_and(Value::is_string);
        for merge in &merges {
            let pair = [self.vocabulary.text(merge.left), self.vocabulary.text(merge.right)];
            old.push(if texts { pair.join(" ").into() } else { json!(pair) });
        }
        if let Some(added) = self.json.get_mut("added_tokens").and_then(Value::as_array_mut) {
            for (text, id) in &specials {
                // What the base knows as a word, or as a token that is not special, becomes special.
                match added.iter_mut().find(|token| token.get("content") == Some(&text.as_str().into())) {
                    Some(token) => token["special"] = true.into(),
                    None => added.push(special_token(text, *id)),
                }
            }
        }
        let json = std::mem::take(&mut self.json);
        Ok(Trained { json, tokens: self.vocabulary.len(), learned: merges.len(), specials })
    }

    /// Words as the base's tokens. One that it does not know, or that stands for a byte, has no neighbours.
    fn words(&self, words: Table, bytes: bool) -> Result<Words, StageError> {
        let letters = letters();
        let mut counted = Words::default();
        let apart = |token: &str| {
            self.model.unk_token.as_deref() == Some(token) || self.byte_fallback && token.starts_with("<0x")
        };
        for (word, count) in words {
            let text =
                if bytes { spell(&letters, &word) } else { String::from_utf8_lossy(&word).into_owned() };
            let tokens = self.model.tokenize(&text);
            let tokens = tokens
                .map_err(|error| StageError::new(format!("the base has no tokens for `{text}`: {error}")))?;
            for run in tokens.split(|token| apart(&token.value)) {
                counted.push(run.iter().map(|token| token.id), count);
            }
        }
        Ok(counted)
    }

    /// The base's settings and its chat template, with what the parameters say.
    pub(crate) fn settings(&self, template: Option<String>) -> Result<Settings, StageError> {
        let read = |name: &str| -> Result<Option<String>, StageError> {
            let path = self.folder.join(name);
            match fs::read_to_string(&path) {
                Ok(text) => Ok(Some(text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(StageError::io(&path)(error)),
            }
        };
        let object = |name: &str| -> Result<BTreeMap<String, Value>, StageError> {
            let wrong = |error| StageError::new(format!("{}: {error}", self.folder.join(name).display()));
            read(name)?.map_or(Ok(BTreeMap::new()), |text| serde_json::from_str(&text).map_err(wrong))
        };
        let base = object("tokenizer_config.json")?;
        let roles = object("special_tokens_map.json")?;
        // A base may have several, by name: then its settings keep them.
        let own =
            read("chat_template.jinja")?.or_else(|| Some(base.get("chat_template")?.as_str()?.to_owned()));
        let lacks = own.is_none() && !base.contains_key("chat_template");
        let chatml = ["<|im_start|>", "<|im_end|>"].iter().all(|token| self.vocabulary.id(token).is_some());
        let template = template.or(own).or_else(|| (lacks && chatml).then(|| CHATML.to_owned()));
        Ok(Settings { base, roles, template })
    }
}
