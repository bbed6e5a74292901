//! Stories and dialogues of our own making: document `i` depends on the seed and on `i` alone.
//!
//! The sentences are few, the words and names that fill them many, and what is said in a document hangs together: names
//! come back, sums are right, translations are the same everywhere. There is something to learn in it for a small model.
mod dialogue;
mod dice;
mod english;
mod japanese;
mod story;
mod words;

use crate::params::Language;
use dice::Dice;
use muse_artifacts::corpus::Body;
use words::Words;

/// What to make.
pub(crate) struct Recipe {
    seed: u64,
    languages: Vec<Language>,
    /// Of 2^32 documents so many are dialogues.
    dialogues: u64,
    english: Words,
    japanese: Words,
}

impl Recipe {
    pub(crate) fn new(seed: u64, languages: &[Language], dialogues: f64) -> Self {
        Self {
            seed,
            languages: languages.to_vec(),
            // A share is far from the limits of either type.
            dialogues: (dialogues.clamp(0.0, 1.0) * f64::from(u32::MAX)).round() as u64
                + u64::from(dialogues >= 1.0),
            english: english::words(),
            japanese: japanese::words(),
        }
    }
}

/// The document with a number.
pub(crate) fn document(recipe: &Recipe, number: u64) -> Body {
    let mut dice = Dice::new(recipe.seed, number);
    let language = recipe.languages.get(dice.below(recipe.languages.len())).copied().unwrap_or(Language::En);
    let is_dialogue = dice.next() >> 32 < recipe.dialogues;
    let words = match language {
        Language::En => &recipe.english,
        Language::Ja => &recipe.japanese,
    };
    if is_dialogue {
        Body::Chat(dialogue::write(&mut dice, words, language))
    } else {
        Body::Text(story::write(&mut dice, words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn texts(recipe: &Recipe, count: u64) -> Vec<String> {
        (0..count)
            .map(|number| match document(recipe, number) {
                Body::Text(text) => text,
                Body::Chat(messages) => {
                    messages.into_iter().map(|m| m.content).collect::<Vec<_>>().join("\n")
                }
            })
            .collect()
    }

    #[test]
    fn documents_depend_on_the_seed_and_their_number_alone() {
        let both = [Language::Ja, Language::En];
        let recipe = Recipe::new(7, &both, 0.25);
        let all = texts(&recipe, 50);
        assert_eq!(all, texts(&Recipe::new(7, &both, 0.25), 50));
        assert_ne!(all, texts(&Recipe::new(8, &both, 0.25), 50));
        assert!(all.iter().all(|text| !text.contains(['{', '}']) && text.len() > 40), "{all:#?}");
    }

    #[test]
    fn shares_are_held() {
        let chats = |share| {
            let recipe = Recipe::new(1, &[Language::En], share);
            (0..2000).filter(|number| matches!(document(&recipe, *number), Body::Chat(_))).count()
        };
        assert_eq!((chats(0.0), chats(1.0)), (0, 2000));
        assert!((400..600).contains(&chats(0.25)));
    }

    #[test]
    fn there_are_thousands_of_words() {
        let english = texts(&Recipe::new(0, &[Language::En], 0.25), 3000).join(" ");
        let words: HashSet<&str> = english.split(|c: char| !c.is_alphanumeric()).collect();
        assert!(words.len() > 4000, "{}", words.len());
        let japanese = texts(&Recipe::new(0, &[Language::Ja], 0.25), 3000).join("");
        let pairs: HashSet<(char, char)> = japanese.chars().zip(japanese.chars().skip(1)).collect();
        assert!(pairs.len() > 4000, "{}", pairs.len());
    }
}
