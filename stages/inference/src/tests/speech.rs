//! Text that is shown as tokens come: whole characters, and all of them.
use super::{LINES, TOKENIZER};
use crate::Speech;
use proptest::prelude::*;
use std::sync::Arc;

fn pieces(ids: &[u32]) -> Vec<String> {
    let mut speech = Speech::new(Arc::clone(&TOKENIZER));
    let mut pieces: Vec<String> = ids.iter().map(|id| speech.push(*id).unwrap()).collect();
    pieces.push(speech.end().unwrap());
    pieces
}

#[test]
fn a_character_in_several_tokens_is_shown_when_it_is_whole() {
    for line in LINES.iter().chain(&["鬱", "🇯🇵", "ab鬱c"]) {
        let pieces = pieces(&TOKENIZER.encode(line).unwrap());
        assert_eq!(pieces.concat(), *line);
        assert!(pieces.iter().all(|piece| !piece.contains('\u{FFFD}')), "{pieces:?}");
    }
    let ids = TOKENIZER.encode("鬱").unwrap();
    assert!(ids.len() > 1);
    assert!(pieces(&ids)[..ids.len() - 1].iter().all(String::is_empty));
}

#[test]
fn special_tokens_are_not_shown() {
    let end = TOKENIZER.token_id("<|im_end|>").unwrap();
    let ids = [TOKENIZER.encode("ab").unwrap(), vec![end], TOKENIZER.encode("桃").unwrap()].concat();
    assert_eq!(pieces(&ids).concat(), "ab桃");
}

#[test]
fn bytes_that_are_no_character_do_not_hold_the_text_up() {
    let first = TOKENIZER.encode("鬱").unwrap()[0];
    let many = pieces(&vec![first; 200]);
    assert_eq!(many.concat(), "\u{FFFD}".repeat(200));
    assert!(many[100..].iter().take(60).any(|piece| !piece.is_empty()));
}

proptest! {
    #[test]
    fn nothing_is_lost_of_any_text(text in any::<String>()) {
        let ids = TOKENIZER.encode(&text).unwrap();
        prop_assert_eq!(pieces(&ids).concat(), text);
    }

    #[test]
    fn nor_of_any_tokens(ids in prop::collection::vec(0_u32..300, 0..30)) {
        prop_assert_eq!(pieces(&ids).concat(), TOKENIZER.text(&ids).unwrap());
    }
}
