//! Keeps the values of secrets out of logs and events: `***` stands in their place.

/// Replaces secrets in a stream that arrives in pieces.
pub(crate) struct Mask {
    secrets: Vec<Vec<u8>>,
    longest: usize,
    held: Vec<u8>,
}

impl Mask {
    /// A mask for these values.
    pub(crate) fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<Vec<u8>> = Vec::new();
        for value in values {
            // A program may print one line of a secret with several, or leave its last newline out.
            let lines = value.lines().filter(|line| line.len() >= 8).map(str::to_owned).collect::<Vec<_>>();
            secrets.extend(lines.into_iter().chain([value.trim().to_owned(), value]).map(String::into_bytes));
        }
        secrets.retain(|secret| !secret.is_empty());
        // Where one secret begins with another, the longer one is what stands there.
        secrets.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        secrets.dedup();
        let longest = secrets.first().map_or(0, Vec::len);
        Self { secrets, longest, held: Vec::new() }
    }

    /// Takes a piece and gives back what can be shown of it: the end is held back while it may begin a secret.
    pub(crate) fn pass(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        self.show(false)
    }

    /// What was held back, now that nothing more comes.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        self.show(true)
    }

    fn show(&mut self, last: bool) -> Vec<u8> {
        let mut shown = Vec::with_capacity(self.held.len());
        let mut at = 0;
        while at < self.held.len() {
            let rest = &self.held[at..];
            let grows = |secret: &Vec<u8>| secret.len() > rest.len() && secret.starts_with(rest);
            if !last && rest.len() < self.longest && self.secrets.iter().any(grows) {
                break;
            }
            if let Some(secret) = self.secrets.iter().find(|secret| rest.starts_with(secret)) {
                shown.extend_from_slice(b"***");
                at += secret.len();
            } else {
                shown.push(self.held[at]);
                at += 1;
            }
        }
        self.held.drain(..at);
        shown
    }

    /// A whole text.
    pub(crate) fn text(&mut self, text: &str) -> String {
        if self.secrets.is_empty() {
            return text.to_owned();
        }
        let mut shown = self.pass(text.as_bytes());
        shown.extend(self.finish());
        String::from_utf8_lossy(&shown).into_owned()
    }

    /// Whether there is anything to hide.
    pub(crate) fn is_empty(&self) -> bool {
        self.secrets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Mask;
    use proptest::prelude::*;

    #[test]
    fn a_secret_is_hidden_wherever_it_is_cut() {
        let text = b"token=hunter2hunter2; again hunter2 hunter";
        for cut in 0..text.len() {
            let mut mask = Mask::new(["hunter2".into()]);
            let mut shown = mask.pass(&text[..cut]);
            shown.extend(mask.pass(&text[cut..]));
            shown.extend(mask.finish());
            assert_eq!(String::from_utf8(shown).unwrap(), "token=******; again *** hunter");
        }
    }

    #[test]
    fn the_longer_of_two_and_each_line_of_many() {
        let mut mask = Mask::new(["abc".into(), "abcdef".into(), "-----KEY-----\nsecond line\n".into()]);
        assert_eq!(mask.text("abcdef abcd second line -----KEY----- line"), "*** ***d *** *** line");
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(text in "[ab]{0,40}", secrets in prop::collection::vec("[ab]{1,4}", 0..3), cuts in prop::collection::vec(0usize..40, 0..4)) {
            let whole = Mask::new(secrets.clone()).text(&text);
            let mut mask = Mask::new(secrets.clone());
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let mut shown = Vec::new();
            for pair in cuts.windows(2) {
                shown.extend(mask.pass(&text.as_bytes()[pair[0]..pair[1]]));
            }
            shown.extend(mask.finish());
            let shown = String::from_utf8(shown).unwrap();
            prop_assert_eq!(&shown, &whole);
            for secret in &secrets {
                prop_assert!(!shown.contains(secret.as_str()), "{} in {}", secret, shown);
            }
        }
    }
}
