//! A model in a thread of its own: opened from a folder, shared, left in the middle, refused, gone.
use super::{TOKENIZER, engine, exported, folder, order};
use crate::{
    Device, Engine, InferenceError, Kept, Listener, Model, More, News, Result, Room, Settings, Source, chat,
};
use muse_artifacts::checkpoint::Weights;
use muse_artifacts::corpus::Message;
use muse_artifacts::tokenizer::Tokenizer;
use muse_model::decode::DeviceError;
use std::fs;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};

const CONTEXT: usize = 512;

fn settings(slots: usize, queue: usize) -> Settings {
    let room = Room { slots, context: CONTEXT };
    Settings { device: Device::Cpu, kept: Kept::F32, room, threads: 2, queue }
}

fn start(slots: usize, queue: usize) -> Model {
    let place = tempfile::tempdir().unwrap();
    exported(&place.path().join("model"), CONTEXT);
    // The files may go once it is opened.
    Model::start(
        Source::open(&place.path().join("model"), None, Weights::Last).unwrap(),
        settings(slots, queue),
    )
    .unwrap()
}

fn all(answer: &crate::Answer) -> String {
    let mut text = String::new();
    loop {
        match answer.wait().unwrap() {
            News::Piece(piece) => text += &piece.text,
            News::Ended(_) => return text,
        }
    }
}

#[test]
fn many_ask_one_model() {
    let model = start(3, 100);
    let right = all(&model.answer(order("The quick", 16, 0.0)).unwrap());
    let texts: Vec<String> = std::thread::scope(|scope| {
        let asked = (0..8).map(|_| {
            let model = model.clone();
            scope.spawn(move || all(&model.answer(order("The quick", 16, 0.0)).unwrap()))
        });
        asked.collect::<Vec<_>>().into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert!(texts.iter().all(|text| *text == right));
    let totals = model.totals();
    assert_eq!((totals.texts.load(Ordering::Relaxed), totals.written.load(Ordering::Relaxed)), (9, 9 * 16));
    assert_eq!(totals.waiting.load(Ordering::Relaxed), 0);
}

#[test]
fn a_text_that_nobody_waits_for_makes_room() {
    let model = start(1, 100);
    let long = model.answer(order("a", 500, 0.0)).unwrap();
    assert!(matches!(long.wait().unwrap(), News::Piece(_)));
    drop(long);
    all(&model.answer(order("b", 2, 0.0)).unwrap());
    assert_eq!(model.totals().texts.load(Ordering::Relaxed), 1);
}

/// Counts the texts that are being written when it hears that its own is over.
struct AtItsEnd(Model, Sender<usize>);

impl Listener for AtItsEnd {
    fn hear(&mut self, news: Result<News>) -> bool {
        let writing = self.0.totals().writing.load(Ordering::Relaxed);
        !matches!(news, Ok(News::Ended(_))) || self.1.send(writing).is_ok()
    }
}

#[test]
fn whoever_hears_that_a_text_is_over_finds_it_counted_so() {
    let model = start(1, 100);
    let (sender, counts) = channel();
    model.say(order("a", 3, 0.0), Box::new(AtItsEnd(model.clone(), sender))).unwrap();
    assert_eq!(counts.recv().unwrap(), 0);
}

/// An engine whose device is taken away while it runs: by an error, or by a panic.
struct Taken {
    engine: Box<dyn Engine>,
    steps: usize,
    panics: bool,
}

impl Taken {
    fn step(&mut self) -> Result<()> {
        self.steps += 1;
        let message = "the GPU fails at a step: it is lost".to_owned();
        match self.steps {
            0..5 => Ok(()),
            _ if self.panics => panic!("{message}"),
            _ => Err(DeviceError { message, help: None }.into()),
        }
    }
}

impl Engine for Taken {
    fn room(&self) -> Room {
        self.engine.room()
    }

    fn vocabulary(&self) -> usize {
        self.engine.vocabulary()
    }

    fn keep(&mut self, slot: usize, tokens: usize) -> usize {
        self.engine.keep(slot, tokens)
    }

    fn run(&mut self, more: &[More<'_>]) -> Result<Vec<f32>> {
        self.step()?;
        self.engine.run(more)
    }

    fn likeliest(&mut self, more: &[More<'_>], among: usize) -> Result<Vec<u32>> {
        self.step()?;
        self.engine.likeliest(more, among)
    }
}

#[test]
fn whoever_waits_for_a_model_that_fails_hears_why() {
    // Often, since whoever waits wakes up while it ends.
    for round in 0..20 {
        let tokenizer = Tokenizer::open(folder().path()).unwrap();
        let taken = move || {
            let engine: Box<dyn Engine> =
                Box::new(Taken { engine: engine(1, 64), steps: 0, panics: round % 2 == 0 });
            Ok(engine)
        };
        let model = Model::start_with(tokenizer, settings(1, 3), taken).unwrap();
        // The model may be gone before the second order comes.
        for answer in [(), ()].map(|()| model.answer(order("The quick", 30, 0.0))) {
            let error = match answer {
                Ok(answer) => loop {
                    if let Err(error) = answer.wait() {
                        break error;
                    }
                },
                Err(error) => error,
            };
            assert!(error.to_string().contains("it is lost"), "{error}");
        }
        assert!(model.stopped().is_some_and(|why| why.contains("it is lost")));
    }
}

#[test]
fn too_many_and_too_long_are_refused() {
    let refused = start(1, 0).answer(order("a", 2, 0.0)).err().unwrap();
    assert!(matches!(refused, InferenceError::Busy { waiting: 0 }), "{refused}");
    let model = start(1, 1);
    let mut long = order("a", 2, 0.0);
    long.prompt = vec![1; CONTEXT];
    let error = model.answer(long).unwrap().wait().unwrap_err();
    assert!(matches!(error, InferenceError::TooLong { tokens: CONTEXT, room: 511 }), "{error}");
    // Its place in the queue is free again.
    assert!(!all(&model.answer(order("a", 8, 0.0)).unwrap()).is_empty());
}

#[test]
fn a_folder_that_holds_no_model_says_what_is_wrong() {
    let place = tempfile::tempdir().unwrap();
    let folder_of = place.path().join("model");
    exported(&folder_of, CONTEXT);
    let said = |error: InferenceError| format!("{error}; {}", error.hint().unwrap_or_default());
    let open = || Source::open(&folder_of, None, Weights::Last).map(drop).map_err(said);
    assert_eq!(open(), Ok(()));
    let tokenizer = folder_of.join("tokenizer/tokenizer.json");
    let text = fs::read_to_string(&tokenizer).unwrap();
    fs::write(&tokenizer, format!("{text} ")).unwrap();
    let error = open().unwrap_err();
    assert!(
        error.contains("the model learned the tokens of b3:") && error.contains("packed with"),
        "{error}"
    );
    fs::remove_dir_all(folder_of.join("tokenizer")).unwrap();
    assert!(open().unwrap_err().contains("no tokenizer with this checkpoint"));
    let given = folder();
    assert!(Source::open(&folder_of, Some(given.path()), Weights::Last).is_ok());
    assert!(said(Source::open(place.path(), None, Weights::Last).err().unwrap()).contains("no checkpoint"));
}

#[test]
fn a_conversation_loses_its_oldest_turns_first() {
    let say = |role: &str, content: &str| Message::new(role, content);
    let messages = [
        say("system", "be kind"),
        say("user", "first question"),
        say("assistant", "first answer"),
        say("user", "second question"),
        say("assistant", "second answer"),
        say("user", "third question"),
    ];
    let text = |room| {
        let prompt = chat::prompt(&TOKENIZER, &messages, room).unwrap();
        (TOKENIZER.text(&prompt.ids).unwrap(), prompt.left_out)
    };
    let (whole, none) = text(10_000);
    assert!(whole.contains("first question") && whole.ends_with("assistant\n") && none == 0);
    let full = chat::prompt(&TOKENIZER, &messages, 10_000).unwrap().ids.len();
    let (cut, left_out) = text(full - 1);
    assert_eq!(left_out, 2);
    assert!(!cut.contains("first") && cut.contains("be kind") && cut.contains("second question"), "{cut}");
    let least =
        chat::prompt(&TOKENIZER, &[messages[0].clone(), messages[5].clone()], 10_000).unwrap().ids.len();
    assert_eq!(text(least).1, 4);
    let error = chat::prompt(&TOKENIZER, &messages, least - 1).unwrap_err();
    assert!(matches!(error, InferenceError::TooLong { .. }), "{error}");
    let ends = chat::ends(&TOKENIZER).unwrap();
    assert_eq!(ends, ["<|im_end|>", "<|endoftext|>"].map(|end| TOKENIZER.token_id(end).unwrap()));
}
