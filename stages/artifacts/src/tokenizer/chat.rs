//! A conversation as ids, and which of them the assistant said: what training on answers learns from.
use super::Tokenizer;
use super::template::{Marks, Template, defuse};
use crate::corpus::MessageRef;
use crate::{ArtifactError, Result};

/// A conversation as ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedChat {
    /// The ids.
    pub ids: Vec<u32>,
    /// For each whether it is a part of what the assistant said.
    pub learned: Vec<bool>,
}

impl Tokenizer {
    /// Whether it has a chat template.
    pub fn has_chat_template(&self) -> bool {
        self.template.is_some()
    }

    /// Its chat template in jinja alone: without `{% generation %}`, which few programs know. What it writes is the same.
    pub fn plain_chat_template(&self) -> Option<String> {
        self.template.as_ref().map(Template::plain)
    }

    /// A conversation, as its template writes it.
    pub fn encode_chat(&self, messages: &[MessageRef<'_>]) -> Result<EncodedChat> {
        let (text, marks) = self.written(messages, false)?;
        if self.template.as_ref().is_some_and(|template| template.marked) {
            return self.encode_marked(&text, marks);
        }
        // The template does not say where the assistant speaks: each answer is what it adds to what went before.
        let mut marked = String::new();
        for at in (0..messages.len()).filter(|at| messages[*at].role == "assistant") {
            let (asked, _) = self.written_with(&messages[..at], true, marks)?;
            let (answered, _) = self.written_with(&messages[..=at], false, marks)?;
            let done = without(&marked, marks);
            let answer = answered.strip_prefix(&asked).filter(|_| asked.starts_with(&done));
            let Some(answer) = answer.filter(|_| text.starts_with(&answered)) else {
                let message = "the chat template writes a conversation otherwise than its parts, and does not say where \
                               the assistant speaks";
                let help =
                    "put `{% generation %}` and `{% endgeneration %}` around what the assistant says in it";
                return Err(ArtifactError::format(&self.folder, message).help(help));
            };
            marked.push_str(&asked[done.len()..]);
            marked.extend([marks.begin]);
            marked.push_str(answer);
            marked.extend([marks.end]);
        }
        let done = without(&marked, marks).len();
        marked.push_str(&text[done..]);
        self.encode_marked(&marked, marks)
    }

    /// A conversation that the assistant is to go on with.
    pub fn encode_prompt(&self, messages: &[MessageRef<'_>]) -> Result<Vec<u32>> {
        let (text, marks) = self.written(messages, true)?;
        Ok(self.encode_marked(&text, marks)?.ids)
    }

    /// The same without what `is_space` at its end, and the same with a text behind it, both cut as one: whoever asks how likely the
    /// text is asks of the tokens that the second has more.
    pub fn encode_prompt_with(
        &self,
        messages: &[MessageRef<'_>],
        text: &str,
        is_space: fn(char) -> bool,
    ) -> Result<(Vec<u32>, Vec<u32>)> {
        let marks = self.marks(messages, text)?;
        let (asked, _) = self.written_with(messages, true, marks)?;
        let nothing = |letter: char| is_space(letter) || letter == marks.begin || letter == marks.end;
        let before = self.encode_marked(asked.trim_end_matches(nothing), marks)?.ids;
        let whole = asked + &defuse(text, &self.specials, marks.said);
        Ok((before, self.encode_marked(&whole, marks)?.ids))
    }

    /// The token that ends what the assistant says, by the chat template: text that is generated ends with it.
    pub fn end_of_turn(&self) -> Result<Option<u32>> {
        let message = |role, content| MessageRef { role, content, extra: None };
        let chat = self.encode_chat(&[message("user", "a"), message("assistant", "b")])?;
        // Where the template itself says what the assistant speaks, it may leave the end outside.
        let spoken = chat.learned.iter().position(|learned| *learned).unwrap_or(chat.ids.len());
        let special = |id: &&u32| self.specials.iter().any(|(_, special)| special == *id);
        Ok(chat.ids.iter().skip(spoken).find(special).copied())
    }

    fn written(&self, messages: &[MessageRef<'_>], answer: bool) -> Result<(String, Marks)> {
        self.written_with(messages, answer, self.marks(messages, "")?)
    }

    /// Marks that stand neither in a conversation nor in a text.
    fn marks(&self, messages: &[MessageRef<'_>], text: &str) -> Result<Marks> {
        let texts = messages.iter().flat_map(|one| [one.role, one.content, one.extra.unwrap_or_default()]);
        Marks::apart_from(texts.chain([text])).ok_or_else(|| {
            ArtifactError::format(&self.folder, "a conversation holds every noncharacter there is")
        })
    }

    fn written_with(
        &self,
        messages: &[MessageRef<'_>],
        answer: bool,
        marks: Marks,
    ) -> Result<(String, Marks)> {
        let Some(template) = &self.template else {
            let help =
                "train it with a `chat_template`, or put a `chat_template.jinja` beside `tokenizer.json`";
            return Err(ArtifactError::format(&self.folder, "this tokenizer has no chat template").help(help));
        };
        let text = template.render(messages, answer, &self.roles, marks, &self.specials)?;
        Ok((text, marks))
    }

    /// Ids of a marked text. It is cut at special tokens and where the assistant begins and ends, so that what is learned
    /// begins with the token that follows the prompt when text is generated.
    fn encode_marked(&self, text: &str, marks: Marks) -> Result<EncodedChat> {
        let mut chat = EncodedChat::default();
        let mut firsts: Vec<char> =
            self.specials.iter().filter_map(|(special, _)| special.chars().next()).collect();
        firsts.extend([marks.begin, marks.end]);
        let (mut learned, mut from, mut at) = (false, 0, 0);
        while let Some(found) = text[at..].find(|letter| firsts.contains(&letter)) {
            let here = at + found;
            let mut letters = text[here..].chars();
            let letter = letters.next().unwrap_or_default();
            at = text.len() - letters.as_str().len();
            let special =
                self.specials.iter().find(|(special, _)| text[here..].starts_with(special.as_str()));
            let mark = letter == marks.begin || letter == marks.end;
            if !mark && special.is_none() {
                continue;
            }
            self.add_plain(&text[from..here], marks, learned, &mut chat)?;
            match special {
                Some((special, id)) => {
                    chat.ids.push(*id);
                    chat.learned.push(learned);
                    at = here + special.len();
                }
                None => learned = letter == marks.begin,
            }
            from = at;
        }
        self.add_plain(&text[from..], marks, learned, &mut chat)?;
        Ok(chat)
    }

    /// Adds a piece that holds no special token.
    fn add_plain(&self, text: &str, marks: Marks, learned: bool, chat: &mut EncodedChat) -> Result<()> {
        if text.contains(marks.said) {
            self.encode_into(&text.replace(marks.said, ""), &mut chat.ids)?;
        } else {
            self.encode_into(text, &mut chat.ids)?;
        }
        chat.learned.resize(chat.ids.len(), learned);
        Ok(())
    }
}

fn without(text: &str, marks: Marks) -> String {
    text.replace([marks.begin, marks.end], "")
}
