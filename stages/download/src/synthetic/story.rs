//! A story: somebody somewhere, a trouble, what came of it, an end.
use super::dice::Dice;
use super::words::Words;

pub(super) fn write(dice: &mut Dice, words: &Words) -> String {
    let cast = words.cast(dice);
    let mut story = String::with_capacity(1600);
    let mut paragraph = |dice: &mut Dice, sentences: &[&str]| {
        if !story.is_empty() {
            story.push_str("\n\n");
        }
        for (at, sentence) in sentences.iter().enumerate() {
            if at > 0 {
                story.push_str(words.space);
            }
            words.fill(&mut story, sentence, &cast, dice);
        }
    };
    let opening = dice.pick(words.openings);
    let second = dice.pick(words.events);
    let trouble = dice.pick(words.troubles);
    paragraph(dice, &[opening, second, trouble]);
    for _ in 0..1 + dice.below(4) {
        let mut sentences = Vec::with_capacity(8);
        for _ in 0..2 + dice.below(4) {
            let list = if dice.below(3) == 0 { words.sayings } else { words.events };
            let sentence = dice.pick(list);
            // Nobody says the same thing twice in a breath.
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        paragraph(dice, &sentences);
    }
    let ending = dice.pick(words.endings);
    paragraph(dice, &[ending]);
    story.push('\n');
    story
}
