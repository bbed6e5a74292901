//! A conversation as ids, and which of them the assistant said: what training on answers learns from.
use super::Tokenizer;
use super::template::Marks;
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

    fn written(&self, messages: &[MessageRef<'_>], answer: bool) -> Result<(String, Marks)> {
        let texts = messages.iter().flat_map(|one| [one.role, one.content, one.extra.unwrap_or_default()]);
        let Some(marks) = Marks::apart_from(texts) else {
            return Err(ArtifactError::format(
                &self.folder,
                "a conversation holds every noncharacter there is",
            ));
        };
        self.written_with(messages, answer, marks)
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
        let (mut learned, mut rest) = (false, text);
        while !rest.is_empty() {
            let mark = rest.find([marks.begin, marks.end]).unwrap_or(rest.len());
            let special = self.specials.iter().filter_map(|(special, id)| {
                Some((rest[..mark].find(special.as_str())?, std::cmp::Reverse(special.len()), *id))
            });
            let special = special.min();
            let plain = special.map_or(mark, |(at, _, _)| at);
            if plain > 0 {
                self.encode_into(&rest[..plain].replace(marks.said, ""), &mut chat.ids)?;
                chat.learned.resize(chat.ids.len(), learned);
            }
            rest = match special {
                Some((at, length, id)) => {
                    chat.ids.push(id);
                    chat.learned.push(learned);
                    &rest[at + length.0..]
                }
                None => {
                    let mut letters = rest[mark..].chars();
                    if let Some(letter) = letters.next() {
                        learned = letter == marks.begin;
                    }
                    letters.as_str()
                }
            };
        }
        Ok(chat)
    }
}

fn without(text: &str, marks: Marks) -> String {
    text.replace([marks.begin, marks.end], "")
}
