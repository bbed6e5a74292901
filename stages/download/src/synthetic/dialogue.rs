//! A dialogue: questions that have an answer, and answers that are right.
use super::dice::Dice;
use super::words::{Cast, Words};
use crate::params::Language;
use muse_artifacts::corpus::Message;

/// Words that mean the same in both languages.
const PAIRS: &[(&str, &str)] = &[
    ("dog", "犬"),
    ("cat", "猫"),
    ("fox", "狐"),
    ("rabbit", "兎"),
    ("bear", "熊"),
    ("deer", "鹿"),
    ("horse", "馬"),
    ("cow", "牛"),
    ("bird", "鳥"),
    ("fish", "魚"),
    ("whale", "鯨"),
    ("turtle", "亀"),
    ("frog", "蛙"),
    ("bee", "蜂"),
    ("mountain", "山"),
    ("river", "川"),
    ("sea", "海"),
    ("sky", "空"),
    ("star", "星"),
    ("moon", "月"),
    ("sun", "太陽"),
    ("rain", "雨"),
    ("snow", "雪"),
    ("wind", "風"),
    ("flower", "花"),
    ("tree", "木"),
    ("forest", "森"),
    ("stone", "石"),
    ("book", "本"),
    ("letter", "手紙"),
    ("key", "鍵"),
    ("door", "扉"),
    ("window", "窓"),
    ("bridge", "橋"),
    ("boat", "舟"),
    ("umbrella", "傘"),
    ("clock", "時計"),
    ("mirror", "鏡"),
    ("hat", "帽子"),
    ("shoe", "靴"),
    ("tea", "お茶"),
    ("bread", "パン"),
    ("egg", "卵"),
    ("apple", "林檎"),
    ("peach", "桃"),
    ("red", "赤"),
    ("blue", "青"),
    ("white", "白"),
];

/// One to three questions with their answers; sometimes somebody says first how to answer.
pub(super) fn write(dice: &mut Dice, words: &Words, language: Language) -> Vec<Message> {
    let cast = words.cast(dice);
    let english = language == Language::En;
    let mut messages = Vec::new();
    if dice.below(4) == 0 {
        let rules: &[&str] = if english {
            &[
                "You are a helpful assistant.",
                "Answer in short sentences.",
                "You live in {p} and know everybody there.",
            ]
        } else {
            &[
                "あなたは親切な助手です。",
                "短い文で答えてください。",
                "あなたは{p}に住んでいて、みんなを知っています。",
            ]
        };
        messages.push(say("system", dice.pick(rules), words, &cast, dice));
    }
    for _ in 0..1 + dice.below(3) {
        let (ask, answer) = match dice.below(6) {
            0 => sum(dice, english),
            1 => translation(dice, english),
            2 => list(dice, words, english),
            3 => comparison(dice, words, english),
            _ => about(dice, english),
        };
        messages.push(say("user", &ask, words, &cast, dice));
        messages.push(say("assistant", &answer, words, &cast, dice));
    }
    messages
}

fn say(role: &str, sentence: &str, words: &Words, cast: &Cast, dice: &mut Dice) -> Message {
    let mut content = String::new();
    words.fill(&mut content, sentence, cast, dice);
    Message::new(role, content)
}

fn sum(dice: &mut Dice, english: bool) -> (String, String) {
    let (a, b) = (dice.below(100), dice.below(100));
    let (large, small) = (a.max(b), a.min(b));
    match (dice.below(2), english) {
        (0, true) => (format!("What is {a} plus {b}?"), format!("{a} plus {b} is {}.", a + b)),
        (0, false) => (format!("{a}足す{b}はいくつですか。"), format!("{a}足す{b}は{}です。", a + b)),
        (_, true) => (
            format!("{{n}} had {large} pieces of {{e}} and gave {small} to {{m}}. How many are left?"),
            format!("{{n}} has {} left, because {large} minus {small} is {}.", large - small, large - small),
        ),
        (_, false) => (
            format!("{{n}}は飴を{large}個持っていて、{{m}}に{small}個あげました。残りはいくつですか。"),
            format!("{large}引く{small}で、残りは{}個です。", large - small),
        ),
    }
}

fn translation(dice: &mut Dice, english: bool) -> (String, String) {
    let (en, ja) = PAIRS.get(dice.below(PAIRS.len())).copied().unwrap_or_default();
    if english {
        (format!("How do you say \"{en}\" in Japanese?"), format!("\"{en}\" is {ja} in Japanese."))
    } else {
        (format!("「{ja}」は英語で何と言いますか。"), format!("「{ja}」は英語で {en} と言います。"))
    }
}

fn list(dice: &mut Dice, words: &Words, english: bool) -> (String, String) {
    let count = 3 + dice.below(3);
    let mut things: Vec<String> = Vec::new();
    while things.len() < count {
        let thing = words.thing(dice);
        if !things.contains(&thing) {
            things.push(thing);
        }
    }
    let ask = if english {
        format!("Name {count} things that {{n}} could take to {{p}}.")
    } else {
        format!("{{n}}が{{p}}へ持って行く物を{count}つ挙げてください。")
    };
    let lines = things.iter().enumerate().map(|(at, thing)| format!("{}. {thing}", at + 1));
    (ask, lines.collect::<Vec<_>>().join("\n"))
}

fn comparison(dice: &mut Dice, words: &Words, english: bool) -> (String, String) {
    let a = 10 + dice.below(90);
    // Never the same.
    let b = 10 + (a - 10 + 1 + dice.below(89)) % 90;
    let (one, other) = (dice.pick(&words.animals), "{c}");
    let (older, by) = (if a > b { "{n}" } else { "{m}" }, a.abs_diff(b));
    if english {
        (
            format!("{{n}} the {other} is {a} years old and {{m}} the {one} is {b}. Who is older?"),
            format!("{older} is older, by {by} years."),
        )
    } else {
        (
            format!("{other}の{{n}}は{a}歳で、{one}の{{m}}は{b}歳です。どちらが年上ですか。"),
            format!("{older}のほうが{by}歳年上です。"),
        )
    }
}

fn about(dice: &mut Dice, english: bool) -> (String, String) {
    let all: &[(&str, &str)] = if english {
        &[
            ("Who is {n}?", "{n} is a {a} {c} from {p}. Most people know {n} because of the {o}."),
            ("Where can I find the {o}?", "The {o} is in {p}. Ask {n}, who keeps it behind a {a} {x}."),
            ("What should I cook {t}?", "Try {e} with {e}. Cook them {v}, and serve them in a {a} bowl."),
            (
                "I feel {f}. What can I do?",
                "Take a walk to {p}, eat some {e}, and talk to {n}. You may feel {f} afterwards.",
            ),
            (
                "Tell me a very short story about a {c}.",
                "A {a} {c} called {n} lost a {o} in {p}. {m} found it {t}, and they ate {e} together.",
            ),
            ("What is {p} like?", "{p} is {a} and {a}. {w}, and there is a {x} on every corner."),
        ]
    } else {
        &[
            ("{n}とは誰ですか。", "{n}は{p}に住む{a}{c}です。{o}を持っていることで知られています。"),
            ("{o}はどこにありますか。", "{o}は{p}にあります。{n}に聞いてみてください。"),
            ("{t}、何を作ればいいですか。", "{e}と{e}はどうでしょう。{v}作ると、おいしくできます。"),
            (
                "今、{f}気持ちです。どうすればいいですか。",
                "{p}まで散歩をして、{e}を食べて、{n}と話してみましょう。",
            ),
            (
                "{c}の短いお話をしてください。",
                "{a}{c}の{n}は{p}で{o}をなくしました。{t}、{m}がそれを見つけて、二人で{e}を食べました。",
            ),
            ("{p}はどんな所ですか。", "{p}は{a}所です。{w}。名物は{e}です。"),
        ]
    };
    let (ask, answer) = all.get(dice.below(all.len())).copied().unwrap_or_default();
    (ask.into(), answer.into())
}
