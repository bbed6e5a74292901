//! Unicode forms. What they do depends on the tables of `unicode-normalization`; a test holds their version.
use crate::params::Normalize;
use muse_artifacts::corpus::{Body, Document, DocumentRef};
use std::borrow::Cow;
use unicode_normalization::{UnicodeNormalization, is_nfc, is_nfkc};

impl Normalize {
    /// The text in this form; borrowed where it is in it already.
    pub(crate) fn text<'a>(self, text: &'a str) -> Cow<'a, str> {
        match self {
            Self::None => text.into(),
            Self::Nfc if text.chars().all(never_changed) || is_nfc(text) => text.into(),
            Self::Nfc => text.nfc().collect::<String>().into(),
            Self::Nfkc if text.chars().all(|one| never_changed(one) && !folded(one)) || is_nfkc(text) => {
                text.into()
            }
            Self::Nfkc => text.nfkc().collect::<String>().into(),
        }
    }

    /// The document with everything that was said in this form; `None` where nothing changes.
    pub(crate) fn document(self, document: &DocumentRef<'_>) -> Option<Document> {
        let changed = |text: &str| matches!(self.text(text), Cow::Owned(_));
        if self == Self::None || !document.texts().any(changed) {
            return None;
        }
        let mut owned = document.to_owned();
        match &mut owned.body {
            Body::Text(text) => self.replace(text),
            Body::Chat(messages) => {
                messages.iter_mut().for_each(|message| self.replace(&mut message.content))
            }
        }
        Some(owned)
    }

    fn replace(self, text: &mut String) {
        if let Cow::Owned(new) = self.text(text) {
            *text = new;
        }
    }
}

/// Characters that no neighbour combines with from behind and that NFC leaves alone: nearly all of Japanese and
/// English. The library's tables are ten times slower to ask.
#[inline]
fn never_changed(character: char) -> bool {
    matches!(u32::from(character),
        0..=0x2ff | 0x2010..=0x2027 | 0x3000..=0x3029 | 0x3041..=0x3096 | 0x30a0..=0x30ff | 0x4e00..=0x9fff
        | 0xac00..=0xd7a3 | 0xff01..=0xffee)
}

/// Those among them that NFKC may change.
#[inline]
fn folded(character: char) -> bool {
    matches!(u32::from(character), 0x80..=0x2ff | 0x2010..=0x2027 | 0x3000 | 0x30ff | 0xac00..=0xd7a3 | 0xff01..=0xffee)
}

#[cfg(test)]
mod tests {
    use super::*;
    use muse_artifacts::corpus::Message;
    use proptest::prelude::*;
    use unicode_normalization::char::canonical_combining_class;
    use unicode_normalization::{IsNormalized, UNICODE_VERSION, is_nfc_quick, is_nfkc_quick};

    #[test]
    fn new_unicode_tables_are_a_new_version_of_the_stage() {
        assert_eq!(UNICODE_VERSION, (18, 0, 0), "raise VERSION");
        assert_eq!(char::UNICODE_VERSION, (17, 0, 0), "raise VERSION: rules count letters by these tables");
    }

    #[test]
    fn the_short_cuts_agree_with_the_tables() {
        for character in (0..=0x10ffff).filter_map(char::from_u32).filter(|one| never_changed(*one)) {
            let alone = std::iter::once(character);
            assert_eq!(canonical_combining_class(character), 0, "{character:?}");
            assert_eq!(is_nfc_quick(alone.clone()), IsNormalized::Yes, "{character:?}");
            assert!(folded(character) || is_nfkc_quick(alone) == IsNormalized::Yes, "{character:?}");
        }
    }

    #[test]
    fn forms_of_a_text() {
        let text = "か\u{3099}ｶﾞＡ①神";
        assert_eq!(Normalize::None.text(text), text);
        assert_eq!(Normalize::Nfc.text(text), "がｶﾞＡ①神");
        assert_eq!(Normalize::Nfkc.text(text), "がガA1神");
        assert!(matches!(Normalize::Nfc.text("日本語 text\0"), Cow::Borrowed(_)));
    }

    #[test]
    fn of_a_chat_every_turn_changes_and_nothing_is_lost() {
        let mut message = Message::new("user", "か\u{3099}");
        message.extra = Some(r#"{"id":"か\u3099"}"#.into());
        let chat = Document::chat(vec![message.clone(), Message::new("assistant", "はい")], "s");
        let changed = Normalize::Nfc.document(&chat.borrow()).unwrap();
        message.content = "が".into();
        assert_eq!(changed, Document::chat(vec![message, Message::new("assistant", "はい")], "s"));
        assert_eq!(Normalize::Nfc.document(&changed.borrow()), None);
    }

    proptest! {
        #[test]
        fn a_text_is_what_the_library_makes_of_it(text in "[か-ごｶ-ﾟ\u{3099}\u{309a}a-cé\u{300}-\u{305}가-깋\u{1161}\u{11a8}①神]{0,12}") {
            prop_assert_eq!(Normalize::Nfc.text(&text), text.nfc().collect::<String>());
            prop_assert_eq!(Normalize::Nfkc.text(&text), text.nfkc().collect::<String>());
        }
    }
}
