//! The words of one language, and how a sentence with gaps is filled with them.
use super::dice::Dice;

/// The words and sentences of one language. A gap is written `{x}`; [`Words::fill`] says what each means.
pub(super) struct Words {
    /// Parts of names: front, middle, back.
    pub(super) people: [Vec<&'static str>; 3],
    /// Parts of names of places.
    pub(super) places: [Vec<&'static str>; 2],
    pub(super) animals: Vec<&'static str>,
    /// Parts of words for things.
    pub(super) materials: Vec<&'static str>,
    pub(super) things: Vec<&'static str>,
    pub(super) qualities: Vec<&'static str>,
    pub(super) manners: Vec<&'static str>,
    pub(super) feelings: Vec<&'static str>,
    pub(super) foods: Vec<&'static str>,
    pub(super) times: Vec<&'static str>,
    pub(super) weathers: Vec<&'static str>,
    pub(super) openings: &'static [&'static str],
    pub(super) troubles: &'static [&'static str],
    pub(super) events: &'static [&'static str],
    pub(super) sayings: &'static [&'static str],
    pub(super) endings: &'static [&'static str],
    /// What stands between sentences.
    pub(super) space: &'static str,
}

/// Who and what a document is about.
pub(super) struct Cast {
    pub(super) hero: String,
    pub(super) friend: String,
    pub(super) place: String,
    pub(super) animal: &'static str,
    pub(super) thing: String,
}

impl Words {
    pub(super) fn cast(&self, dice: &mut Dice) -> Cast {
        Cast {
            hero: self.person(dice),
            friend: self.person(dice),
            place: self.place(dice),
            animal: dice.pick(&self.animals),
            thing: self.thing(dice),
        }
    }

    fn person(&self, dice: &mut Dice) -> String {
        let [front, middle, back] = &self.people;
        let middle = if dice.below(3) == 0 { dice.pick(middle) } else { "" };
        [dice.pick(front), middle, dice.pick(back)].concat()
    }

    fn place(&self, dice: &mut Dice) -> String {
        [dice.pick(&self.places[0]), dice.pick(&self.places[1])].concat()
    }

    pub(super) fn thing(&self, dice: &mut Dice) -> String {
        let mut thing = String::new();
        if dice.below(2) == 0 {
            thing.push_str(dice.pick(&self.materials));
        }
        thing.push_str(dice.pick(&self.things));
        thing
    }

    /// Writes a sentence. Of the cast: `n` hero, `m` friend, `p` place, `c` animal, `o` thing. Drawn anew: `a` quality,
    /// `v` manner, `f` feeling, `e` food, `t` time, `w` weather, `b` another animal, `x` another thing, `q` another
    /// place, `k` a number.
    pub(super) fn fill(&self, out: &mut String, sentence: &str, cast: &Cast, dice: &mut Dice) {
        let mut rest = sentence;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let (gap, after) = after.split_once('}').unwrap_or((after, ""));
            rest = after;
            match gap {
                "n" => out.push_str(&cast.hero),
                "m" => out.push_str(&cast.friend),
                "p" => out.push_str(&cast.place),
                "c" => out.push_str(cast.animal),
                "o" => out.push_str(&cast.thing),
                "a" => out.push_str(dice.pick(&self.qualities)),
                "v" => out.push_str(dice.pick(&self.manners)),
                "f" => out.push_str(dice.pick(&self.feelings)),
                "e" => out.push_str(dice.pick(&self.foods)),
                "t" => out.push_str(dice.pick(&self.times)),
                "w" => out.push_str(dice.pick(&self.weathers)),
                "b" => out.push_str(dice.pick(&self.animals)),
                "x" => {
                    if dice.below(3) == 0 {
                        out.push_str(dice.pick(&self.materials));
                    }
                    out.push_str(dice.pick(&self.things));
                }
                "q" => {
                    out.push_str(dice.pick(&self.places[0]));
                    out.push_str(dice.pick(&self.places[1]));
                }
                "k" => out.push_str(&(2 + dice.below(98)).to_string()),
                _ => {}
            }
        }
        out.push_str(rest);
    }
}

/// Words that stand with spaces between them.
pub(super) fn list(text: &'static str) -> Vec<&'static str> {
    text.split_whitespace().collect()
}

/// Words that may hold spaces, with bars between them.
pub(super) fn phrases(text: &'static str) -> Vec<&'static str> {
    text.split('|').map(str::trim).collect()
}
