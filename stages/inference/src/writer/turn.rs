//! The next token of each text that has its turn: texts choose by themselves, so they do it on the threads that operations have.
use super::Slot;
use super::text::{Next, Text};
use crate::{News, Piece, Reason, Result, Ticket};
use muse_model::kernels::share_out;

struct Turn<'a> {
    number: usize,
    ticket: Ticket,
    text: &'a mut Text,
    next: Next<'a>,
    said: Option<Result<(Piece, Option<Reason>)>>,
}

/// Lets texts choose, those in slots of these numbers, and tells what is new of them, in the order in which they came. Slots of texts
/// that are over are free.
pub(super) fn all(slots: &mut [Slot], turns: &[(usize, Next<'_>)]) -> Vec<(Ticket, Result<News>)> {
    let mut busy: Vec<Turn<'_>> = slots
        .iter_mut()
        .enumerate()
        .filter_map(|(number, slot)| {
            let (_, next) = turns.iter().find(|(one, _)| *one == number)?;
            let (ticket, text) = slot.text.as_mut()?;
            Some(Turn { number, ticket: *ticket, text, next: *next, said: None })
        })
        .collect();
    share_out(&mut busy, |turn| turn.said = Some(turn.text.choose(turn.next)));
    busy.sort_unstable_by_key(|turn| turn.ticket);
    let (mut news, mut free) = (Vec::new(), Vec::new());
    for Turn { number, ticket, text, said, .. } in busy {
        let over = match said {
            None => continue,
            Some(Err(error)) => Some(Err(error)),
            Some(Ok((piece, ended))) => {
                if !piece.text.is_empty() || !piece.tokens.is_empty() {
                    news.push((ticket, Ok(News::Piece(piece))));
                }
                ended.map(|reason| Ok(News::Ended(text.ended(reason))))
            }
        };
        if let Some(over) = over {
            news.push((ticket, over));
            free.push(number);
        }
    }
    free.into_iter().for_each(|number| slots[number].text = None);
    news
}
