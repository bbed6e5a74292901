//! Texts side by side: each is what it would be alone, whatever is written beside it and wherever it came from.
use super::{TOKENIZER, along, engine, engine_of, order};
use crate::{
    Ended, InferenceError, Likely, More, News, Order, Piece, Reason, Sampling, Ticket, Wanted, Writer,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const CONTEXT: usize = 96;

fn writer(slots: usize) -> Writer {
    Writer::new(engine(slots, CONTEXT), Arc::clone(&TOKENIZER))
}

/// Steps until nothing is left to do. The text of each order, and how it ended.
fn finish(writer: &mut Writer) -> BTreeMap<Ticket, (String, Option<Ended>)> {
    let mut all: BTreeMap<Ticket, (String, Option<Ended>)> = BTreeMap::new();
    while writer.waiting() + writer.writing() > 0 {
        for (ticket, news) in writer.step().unwrap() {
            let entry = all.entry(ticket).or_default();
            match news.unwrap() {
                News::Piece(Piece { text, .. }) => entry.0 += &text,
                News::Ended(ended) => entry.1 = Some(ended),
            }
        }
    }
    all
}

fn alone(order: &Order) -> (String, Ended) {
    let mut writer = writer(1);
    writer.add(order.clone()).unwrap();
    let (text, ended) = finish(&mut writer).into_values().next().unwrap();
    (text, ended.unwrap())
}

#[test]
fn more_texts_than_slots_are_all_written_as_if_alone() {
    let orders: Vec<Order> =
        ["The quick", "むかし", "a", "emoji 👩 and then the quick brown fox jumps", "x y z"]
            .iter()
            .zip([0.0, 1.0, 0.7, 0.0, 2.0])
            .map(|(text, temperature)| order(text, 20, temperature))
            .collect();
    for slots in [1, 2, 3, 8] {
        let mut writer = writer(slots);
        let tickets: Vec<Ticket> = orders.iter().map(|order| writer.add(order.clone()).unwrap()).collect();
        let all = finish(&mut writer);
        for (order, ticket) in orders.iter().zip(tickets) {
            let (text, ended) = &all[&ticket];
            let right = alone(order);
            assert_eq!((text, ended.unwrap().written), (&right.0, right.1.written), "{slots} slots");
        }
    }
    // Chance depends on the seed, and on nothing else.
    let other = Order { sampling: crate::Sampling { seed: 6, ..orders[1].sampling }, ..orders[1].clone() };
    assert_ne!(alone(&other).0, alone(&orders[1]).0);
}

#[test]
fn a_prompt_longer_than_a_portion_is_as_good() {
    let long = TOKENIZER.encode(&"The quick brown fox. ".repeat(80)).unwrap();
    let context = long.len() + 10;
    assert!(long.len() > 600);
    let text = |slots| {
        let mut writer = Writer::new(engine(slots, context), Arc::clone(&TOKENIZER));
        let short = writer.add(order("a", 3, 0.0)).unwrap();
        let ticket = writer
            .add(Order { sampling: order("", 1, 0.0).sampling, ..Order::new(long.clone(), 8) })
            .unwrap();
        let all = finish(&mut writer);
        assert_eq!(all[&short].1.unwrap().written, 3);
        all[&ticket].clone()
    };
    assert_eq!(text(2).0, text(1).0);
}

#[test]
fn what_a_slot_holds_is_not_computed_again() {
    let mut writer = writer(2);
    let first = order("The quick brown fox", 12, 0.0);
    let ticket = writer.add(first.clone()).unwrap();
    let begun = finish(&mut writer)[&ticket].clone();
    // A chat goes on where it was; another text takes the other slot.
    let next = order(&format!("The quick brown fox{} and then", begun.0), 5, 0.0);
    let other = writer.add(order("むかし", 3, 0.0)).unwrap();
    let second = writer.add(next.clone()).unwrap();
    let all = finish(&mut writer);
    assert_eq!(all[&other].1.unwrap().cached, 0);
    let ended = all[&second].1.unwrap();
    assert!(ended.cached > first.prompt.len() / 2 && ended.cached < next.prompt.len(), "{ended:?}");
    assert_eq!(all[&second].0, alone(&next).0);
    // The very same again: all but its last token is there.
    let again = writer.add(next.clone()).unwrap();
    assert_eq!(finish(&mut writer)[&again].1.unwrap().cached, next.prompt.len() - 1);
}

#[test]
fn what_cannot_be_cut_is_read_from_the_beginning() {
    let alone = |order: &Order| {
        let mut writer = Writer::new(engine_of(&along(CONTEXT), 1), Arc::clone(&TOKENIZER));
        let ticket = writer.add(order.clone()).unwrap();
        finish(&mut writer)[&ticket].0.clone()
    };
    let mut writer = Writer::new(engine_of(&along(CONTEXT), 1), Arc::clone(&TOKENIZER));
    let mut written = |order: &Order| {
        let ticket = writer.add(order.clone()).unwrap();
        let (text, ended) = finish(&mut writer).remove(&ticket).unwrap();
        (text, ended.unwrap().cached)
    };
    let first = order("The quick brown fox", 12, 0.0);
    let (begun, _) = written(&first);
    // A part of what is there, and something else behind it.
    let other = order("The quick brown dog", 5, 0.0);
    assert_eq!(written(&other), (alone(&other), 0));
    // All that is there, and more: it goes on.
    let (text, _) = written(&first);
    assert_eq!(text, begun);
    let mut more = first.clone();
    more.prompt.extend(TOKENIZER.encode(&begun).unwrap());
    more.prompt.extend(TOKENIZER.encode(" and then").unwrap());
    let (text, cached) = written(&more);
    assert_eq!(text, alone(&more));
    assert!(cached == 0 || cached > first.prompt.len(), "{cached}");
}

#[test]
fn a_text_ends_by_a_token_a_stop_or_its_length() {
    let plain = order("The quick", 20, 0.0);
    let (text, ended) = alone(&plain);
    assert_eq!((ended.reason, ended.written, ended.prompt), (Reason::Length, 20, plain.prompt.len()));
    // A stop from the middle of it, which may come in several tokens.
    let middle: String = text.chars().skip(4).take(2).collect();
    let at = text.find(&middle).unwrap();
    let (cut, ended) = alone(&Order { stops: vec!["never".into(), middle], ..plain.clone() });
    assert_eq!((cut.as_str(), ended.reason), (&text[..at], Reason::Stop));
    // Its own fifth token as one that ends it.
    let likely = Order { likely: Some(2), ..plain.clone() };
    let mut writer = writer(1);
    writer.add(likely).unwrap();
    let mut tokens = Vec::new();
    while writer.writing() + writer.waiting() > 0 {
        for (_, news) in writer.step().unwrap() {
            if let News::Piece(piece) = news.unwrap() {
                tokens.extend(piece.tokens);
            }
        }
    }
    assert_eq!(tokens.len(), 20);
    assert!(tokens.iter().all(|token| token.others.len() == 2 && token.others[0].0 == token.id));
    assert!(tokens.iter().all(|token| token.logprob == Some(token.others[0].1) && token.others[0].1 < 0.0));
    let end = tokens[4].id;
    let first = tokens.iter().position(|token| token.id == end).unwrap();
    let (cut, ended) = alone(&Order { ends: vec![end], ..plain.clone() });
    assert_eq!((ended.reason, ended.written), (Reason::Stop, first + 1));
    assert!(text.starts_with(&cut) && cut.len() < text.len());
    let prompt = plain.prompt.len();
    let nothing = Ended { reason: Reason::Length, prompt, cached: 0, written: 0 };
    assert_eq!(alone(&Order { most: 0, ..plain }).1, nothing);
}

#[test]
fn of_a_whole_text_it_is_told_how_likely_the_prompt_was() {
    // Longer than a portion, and beside another text.
    let long = TOKENIZER.encode(&"The quick brown fox. ".repeat(80)).unwrap();
    let room = long.len() + 4;
    // Once with room for few logits, so that they come in parts.
    for (prompt, rows) in [(&long[..1], None), (&long[..20], None), (&long[..20], Some(7)), (&long[..], None)]
    {
        let mut writer = Writer::new(engine(2, room), Arc::clone(&TOKENIZER));
        writer.rows = rows.unwrap_or(writer.rows);
        // What a slot holds is of no use to it: nobody kept how likely that was.
        writer.add(Order::new(prompt.to_vec(), 1)).unwrap();
        finish(&mut writer);
        writer.add(order("a b", 3, 0.0)).unwrap();
        let whole = Order { likely: Some(1), whole: true, ..Order::new(prompt.to_vec(), 2) };
        let sampling = Sampling { temperature: 0.0, ..whole.sampling };
        let ticket = writer.add(Order { sampling, ..whole }).unwrap();
        let (mut tokens, mut cached) = (Vec::new(), None);
        while writer.writing() + writer.waiting() > 0 {
            for (_, news) in writer.step().unwrap().into_iter().filter(|(one, _)| *one == ticket) {
                match news.unwrap() {
                    News::Piece(piece) => tokens.extend(piece.tokens),
                    News::Ended(ended) => cached = Some(ended.cached),
                }
            }
        }
        let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
        assert_eq!((ids.len(), &ids[..prompt.len()], cached), (prompt.len() + 2, prompt, Some(0)));
        assert_eq!((tokens[0].logprob, tokens[0].others.len()), (None, 0));
        // One way through the model for all of it.
        let mut engine = engine(1, room);
        let logits =
            engine.run(&[More { slot: 0, ids: &ids[..ids.len() - 1], wanted: Wanted::All }]).unwrap();
        for (row, token) in logits.chunks_exact(engine.vocabulary()).zip(&tokens[1..]) {
            let likely = Likely::new(&row[..TOKENIZER.vocab_size()]);
            assert!((token.logprob.unwrap() - likely.of(token.id)).abs() < 1e-4);
            assert!((token.others[0].1 - likely.best(1)[0].1).abs() < 1e-4);
        }
    }
}

#[test]
fn a_whole_text_tells_of_the_token_that_ends_it_and_of_a_prompt_alone() {
    let plain = order("The quick", 20, 0.0);
    let told = |order: Order| {
        let mut writer = writer(1);
        writer.add(order).unwrap();
        let mut tokens = Vec::new();
        while writer.writing() + writer.waiting() > 0 {
            for (_, news) in writer.step().unwrap() {
                if let News::Piece(piece) = news.unwrap() {
                    tokens.extend(piece.tokens);
                }
            }
        }
        tokens
    };
    let (prompt, likely) = (plain.prompt.len(), Some(0));
    let first = told(Order { likely, most: 1, ..plain.clone() })[0].id;
    let ended = Order { likely, ends: vec![first], ..plain.clone() };
    assert_eq!(told(ended.clone()).len(), 0);
    let whole = told(Order { whole: true, ..ended });
    assert_eq!((whole.len(), whole.last().map(|token| token.id)), (prompt + 1, Some(first)));
    assert_eq!(told(Order { likely, whole: true, most: 0, ..plain }).len(), prompt);
}

#[test]
fn a_text_ends_where_the_context_does() {
    let order = order("a b c", 10_000, 1.0);
    let ended = alone(&order).1;
    assert_eq!((ended.reason, ended.written), (Reason::Length, CONTEXT - order.prompt.len()));
}

#[test]
fn what_cannot_be_written_is_refused() {
    let mut writer = writer(1);
    assert!(matches!(writer.add(Order::new(vec![], 5)), Err(InferenceError::Empty)));
    let long = writer.add(Order::new(vec![1; CONTEXT], 5)).unwrap_err();
    assert_eq!(long.to_string(), "the prompt has 96 tokens, and there is room for 95");
    let strange = writer.add(Order::new(vec![1, 320], 5)).unwrap_err();
    assert_eq!(strange.to_string(), "there is no token 320 in this model");
    assert_eq!(writer.waiting(), 0);
}

#[test]
fn no_token_is_chosen_that_stands_for_nothing() {
    // The model has rows that no token of the tokenizer has.
    let tokens = TOKENIZER.vocab_size();
    assert!(tokens < engine(1, 8).vocabulary());
    let mut writer = writer(1);
    writer.add(Order { likely: Some(0), ..order("a", 80, 5.0) }).unwrap();
    let mut seen = 0;
    while writer.waiting() + writer.writing() > 0 {
        for (_, news) in writer.step().unwrap() {
            if let News::Piece(piece) = news.unwrap() {
                assert!(piece.tokens.iter().all(|token| (token.id as usize) < tokens));
                seen += piece.tokens.len();
            }
        }
    }
    assert_eq!(seen, 80);
}

#[test]
fn a_text_that_is_cancelled_makes_room() {
    let mut writer = writer(1);
    let first = writer.add(order("a", 50, 0.0)).unwrap();
    let second = writer.add(order("The quick", 4, 0.0)).unwrap();
    let third = writer.add(order("b", 4, 0.0)).unwrap();
    writer.step().unwrap();
    writer.cancel(first);
    writer.cancel(third);
    let all = finish(&mut writer);
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), [second]);
    assert_eq!(all[&second].0, alone(&order("The quick", 4, 0.0)).0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    /// Whenever texts come, and however many have room.
    #[test]
    fn when_a_text_comes_changes_nothing(
        texts in prop::collection::vec(("[a-zあ-ん ]{1,12}", 1_usize..12, 0_usize..6), 1..6),
        slots in 1_usize..4,
    ) {
        let mut writer = writer(slots);
        let mut got: BTreeMap<Ticket, String> = BTreeMap::new();
        let mut orders = BTreeMap::new();
        let mut hear = |news: Vec<(Ticket, crate::Result<News>)>| {
            for (ticket, news) in news {
                if let News::Piece(piece) = news.unwrap() {
                    *got.entry(ticket).or_default() += &piece.text;
                }
            }
        };
        for (text, most, steps) in &texts {
            let order = order(text, *most, 0.9);
            orders.insert(writer.add(order.clone()).unwrap(), order);
            (0..*steps).for_each(|_| hear(writer.step().unwrap()));
        }
        while writer.waiting() + writer.writing() > 0 {
            hear(writer.step().unwrap());
        }
        for (ticket, order) in orders {
            prop_assert_eq!(got.get(&ticket).cloned().unwrap_or_default(), alone(&order).0);
        }
    }
}
