//! Texts that end what is written: found across tokens, and never shown in part.

/// Looks for texts that end what is written.
pub struct Stops {
    wanted: Vec<String>,
    /// What may be the beginning of one.
    held: String,
}

impl Stops {
    /// Looks for these; empty ones end nothing.
    pub fn new(wanted: &[String]) -> Self {
        Self { wanted: wanted.iter().filter(|stop| !stop.is_empty()).cloned().collect(), held: String::new() }
    }

    /// What can be shown of the text up to here, and whether it ends there.
    pub fn push(&mut self, text: &str) -> (String, bool) {
        self.held.push_str(text);
        // The one that is whole first, so that it does not matter in which pieces a text comes.
        let found = self.wanted.iter().filter_map(|stop| {
            let at = self.held.find(stop.as_str())?;
            Some((at + stop.len(), at))
        });
        if let Some((_, at)) = found.min() {
            let mut shown = std::mem::take(&mut self.held);
            shown.truncate(at);
            return (shown, true);
        }
        let begins = |at: &usize| {
            let tail = &self.held.as_bytes()[*at..];
            self.wanted.iter().any(|stop| stop.as_bytes().starts_with(tail))
        };
        // A stop begins where a character does.
        let first = self.held.char_indices().map(|(at, _)| at).find(begins).unwrap_or(self.held.len());
        let rest = self.held.split_off(first);
        (std::mem::replace(&mut self.held, rest), false)
    }

    /// What was held back, where nothing follows.
    pub fn end(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut stops = Stops::new(&stops.iter().map(|stop| (*stop).to_owned()).collect::<Vec<_>>());
        let mut shown = String::new();
        for piece in pieces {
            let (more, ended) = stops.push(piece);
            shown += &more;
            if ended {
                return (shown, true);
            }
        }
        (shown + &stops.end(), false)
    }

    #[test]
    fn the_first_that_is_found_ends_the_text() {
        assert_eq!(all(&["\n\n", "END"], &["ab\n", "c\n", "\nd"]), ("ab\nc".into(), true));
        assert_eq!(all(&["b", "ab"], &["xab"]), ("x".into(), true));
        assert_eq!(all(&["終わり"], &["これで終", "わ", "りだ"]), ("これで".into(), true));
        assert_eq!(all(&["終わり"], &["終わ", "る"]), ("終わる".into(), false));
        assert_eq!(all(&["aab"], &["a", "a", "a", "b"]), ("a".into(), true));
        assert_eq!(all(&[""], &["a", ""]), ("a".into(), false));
        assert_eq!(all(&["END"], &["so E"]), ("so E".into(), false));
    }

    #[test]
    fn nothing_is_held_back_without_need() {
        let mut stops = Stops::new(&["###".to_owned()]);
        assert_eq!(stops.push("a#"), ("a".into(), false));
        assert_eq!(stops.push("b"), ("#b".into(), false));
    }

    proptest! {
        /// However the text is cut, what is shown is what stands before the first stop.
        #[test]
        fn cuts_change_nothing(letters in "[abあ]{0,24}", stops in prop::collection::vec("[abあ]{1,3}", 0..3), cut in 1_usize..5) {
            let pieces: Vec<String> = letters.chars().collect::<Vec<_>>().chunks(cut).map(|some| some.iter().collect()).collect();
            let found = stops.iter().filter_map(|stop| letters.find(stop.as_str()).map(|at| (at + stop.len(), at))).min();
            let got = all(&stops.iter().map(String::as_str).collect::<Vec<_>>(), &pieces.iter().map(String::as_str).collect::<Vec<_>>());
            let right = found.map_or(letters.as_str(), |(_, at)| &letters[..at]);
            prop_assert_eq!(got, (right.to_owned(), found.is_some()));
        }
    }
}
