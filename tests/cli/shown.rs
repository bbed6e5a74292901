//! Pages that show texts token by token, held to what the code makes of these texts.
use crate::support::TestContext;
use muse_artifacts::corpus::{Message, MessageRef};
use muse_artifacts::tokenizer::Tokenizer;
use muse_artifacts::tokens::{Split, Tokens};
use muse_inference::{Pair, chat};
use std::fs;
use std::path::Path;

const STAGES: &str = "stages:
  corpus: { uses: download, with: { source: file, paths: [\"../text.txt\"] } }
  dialogues: { uses: download, with: { source: file, paths: [\"../chats.jsonl\"] } }
  tokenizer: { uses: tokenizer, inputs: { corpus: corpus }, with: { vocab_size: 276 } }
  chats:
    uses: pack
    inputs: { corpus: dialogues, tokenizer: tokenizer }
    with: { context: 36, mask: assistant, strategy: best-fit, validation: 0 }
";

/// Two dialogues, packed with a tokenizer that knows who speaks.
fn packed() -> (Tokens, Tokenizer) {
    let context = TestContext::pipeline(STAGES);
    context.write("text.txt", "user assistant system\n".repeat(20));
    let turn = |role: &str, content: &str| serde_json::json!({ "role": role, "content": content });
    let dialogues =
        [[turn("user", "1+1?"), turn("assistant", "2")], [turn("user", "2+2?"), turn("assistant", "4")]];
    let lines = dialogues.map(|messages| serde_json::json!({ "messages": messages }).to_string() + "\n");
    context.write("chats.jsonl", lines.concat());
    context.run(["-q"]).ok();
    let tokens = Tokens::open(&context.get("chats")).unwrap();
    (tokens, Tokenizer::open(&context.get("tokenizer")).unwrap())
}

/// What tokens stand for, spaces and new lines seen.
fn shown(tokenizer: &Tokenizer, id: u32) -> String {
    tokenizer.decode(&[id]).unwrap().replace(' ', "␣").replace('\n', "⏎")
}

fn row(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    ids.iter().map(|id| shown(tokenizer, *id)).collect::<Vec<_>>().join("|")
}

#[track_caller]
fn stands_in(page: &str, block: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(&format!("```text\n{block}```\n")), "docs/{page} should have\n{block}");
}

#[test]
fn what_carries_loss_is_shown_as_it_is() {
    let (tokens, tokenizer) = packed();
    let sequence = tokens.sequence(Split::Train, 0).unwrap();
    let ids = sequence.segment_ids();
    let row = |place: usize| {
        let label = u32::try_from(sequence.labels()[place]);
        let label = label.map_or_else(|_| "-".to_owned(), |id| shown(&tokenizer, id));
        let token = shown(&tokenizer, sequence.inputs()[place]);
        format!("{place:5}  {:8}  {token:13}  {label:10}", ids[place])
    };
    let head = "place  document  token          label     ";
    let mut table = format!("{head}  {head}").trim_end().to_owned() + "\n";
    let half = sequence.inputs().len() / 2;
    for place in 0..half {
        table += format!("{}  {}", row(place), row(place + half)).trim_end();
        table.push('\n');
    }
    stands_in("training.md", &table);
}

#[test]
fn where_a_prompt_ends_and_an_answer_begins_is_shown_as_it_is() {
    let (_, tokenizer) = packed();
    let said = |role: &str, content: &str| Message::new(role, content);
    let asked = [said("system", "Sums."), said("user", "1+1?")];
    let more = [asked.as_slice(), &[said("assistant", "2"), said("user", "2+2?")]].concat();
    let borrowed: Vec<MessageRef<'_>> = asked.iter().map(Message::borrow).collect();
    let answered: Vec<MessageRef<'_>> = more[..3].iter().map(Message::borrow).collect();
    let whole = tokenizer.encode_chat(&answered).unwrap();
    let prompt = chat::prompt(&tokenizer, &asked, 64).unwrap().ids;
    assert_eq!(prompt, tokenizer.encode_prompt(&borrowed).unwrap());
    let end = 1 + whole.ids.iter().rposition(|id| Some(*id) == tokenizer.end_of_turn().unwrap()).unwrap();
    let next = chat::prompt(&tokenizer, &more, 64).unwrap().ids;
    assert!(next.starts_with(&whole.ids[..end]), "what was read and written is not computed again");
    let block = format!(
        "prompt  {}\nanswer  {}\nprompt  … {}\n",
        row(&tokenizer, &prompt),
        row(&tokenizer, &whole.ids[prompt.len()..end]),
        row(&tokenizer, &next[end..]),
    );
    stands_in("using.md", &block);
    // Where there is no room for all of it, the oldest turns go, and what the system says stays.
    let short = chat::prompt(&tokenizer, &more, next.len() - 1).unwrap();
    let kept: Vec<MessageRef<'_>> = [&more[0], &more[3]].map(Message::borrow).to_vec();
    assert_eq!((short.left_out, short.ids), (2, tokenizer.encode_prompt(&kept).unwrap()));
}

#[test]
fn where_a_choice_begins_is_shown_as_it_is() {
    let (_, tokenizer) = packed();
    let pair = |choice: &str| Pair::of(&tokenizer, "user: 1+1?\nassistant:", &format!(" {choice}")).unwrap();
    let [first, second] = ["2", "the user"].map(pair);
    assert_eq!(first.context, second.context);
    let rows = [&first.context, &first.continuation, &second.continuation].map(|ids| row(&tokenizer, ids));
    let [context, first, second] = rows;
    let block = format!(
        "{context:44}what stands before: read once for all choices\n\
         {first:44}a choice: it is asked how likely these tokens are here\n\
         {second:44}the other\n"
    );
    stands_in("eval.md", &block);
}
