//! Texts that are measured: what is asked of a text, and what its likelihood is divided by.
use crate::judge::{joined, words};
use crate::record::Measured;
use muse_artifacts::tokenizer::Tokenizer;
use muse_inference::Pair;
use muse_stage::StageError;

/// A text in windows that ask about each token once, and its size.
pub(crate) fn whole(ids: &[u32], text: &str, prefix: u32, room: usize) -> (Vec<Pair>, Measured) {
    (Pair::windows(ids, prefix, room), size(ids.len(), &[text]))
}

/// Of a chat what the assistant says, each time behind all before it, and the size of that. Special tokens are not asked about: they
/// are no text.
pub(crate) fn answers(
    ids: &[u32],
    said: &[bool],
    tokenizer: &Tokenizer,
    prefix: u32,
    room: usize,
) -> Result<(Vec<Pair>, Measured), StageError> {
    let special = |id: u32| tokenizer.specials().iter().any(|(_, special)| *special == id);
    let counts = |at: usize| said.get(at).is_some_and(|said| *said) && !special(ids[at]);
    let (mut pairs, mut texts, mut tokens, mut from) = (Vec::new(), Vec::new(), 0, 0);
    while let Some(start) = (from..ids.len()).find(|at| counts(*at)) {
        let end = (start..ids.len()).find(|at| !counts(*at)).unwrap_or(ids.len());
        texts.push(tokenizer.decode(&ids[start..end])?);
        tokens += end - start;
        for begin in (start..end).step_by(room.max(1)) {
            let context = [&[prefix], &ids[..begin]].concat();
            let continuation = ids[begin..end.min(begin + room.max(1))].to_vec();
            pairs.push(Pair { context, continuation });
        }
        from = end;
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Ok((pairs, size(tokens, &texts)))
}

fn size(tokens: usize, texts: &[&str]) -> Measured {
    let sum = |count: fn(&str) -> u64| texts.iter().map(|text| count(text)).sum();
    Measured {
        likelihood: 0.0,
        tokens: tokens as u64,
        bytes: sum(|text| text.len() as u64),
        joined: sum(joined),
        words: sum(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_chat_what_the_assistant_says_is_asked_about_behind_all_before_it() {
        let folder = tempfile::tempdir().unwrap();
        crate::tests::tokenizer(folder.path());
        let tokenizer = Tokenizer::open(folder.path()).unwrap();
        let end = tokenizer.end_of_text().unwrap();
        let [asked, first, more, second] =
            ["why?", "空は 青い", "and?", "one two three"].map(|text| tokenizer.encode(text).unwrap());
        let parts = [(&asked, false), (&first, true), (&more, false), (&second, true)];
        let (mut ids, mut said) = (Vec::new(), Vec::new());
        for (part, is_said) in parts {
            ids.extend(part.iter().chain([&end]));
            said.resize(ids.len(), is_said);
        }
        let (pairs, measured) = answers(&ids, &said, &tokenizer, end, 100).unwrap();
        let begin = asked.len() + 1;
        assert_eq!(pairs[0], Pair { context: [&[end], &ids[..begin]].concat(), continuation: first.clone() });
        let begin = begin + first.len() + 1 + more.len() + 1;
        assert_eq!(
            pairs[1],
            Pair { context: [&[end], &ids[..begin]].concat(), continuation: second.clone() }
        );
        assert_eq!(pairs.len(), 2);
        let count = (first.len() + second.len()) as u64;
        let right = Measured { likelihood: 0.0, tokens: count, bytes: 13 + 13, joined: 4, words: 2 + 3 };
        assert_eq!(measured, right);
        // What is longer than the model has room for is asked about in parts.
        let (pairs, same) = answers(&ids, &said, &tokenizer, end, 2).unwrap();
        assert!(pairs.iter().all(|pair| pair.continuation.len() <= 2) && pairs.len() > 2);
        let asked: Vec<u32> = pairs.into_iter().flat_map(|pair| pair.continuation).collect();
        assert_eq!((asked, same), ([first, second].concat(), measured));
    }
}
