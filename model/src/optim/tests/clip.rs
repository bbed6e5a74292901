//! What QK-clip multiplies logits by. `model/tests/clip.rs` has the whole way from weights to logits.
use super::*;
use crate::optim::qk_clip;

#[test]
fn each_head_comes_to_the_threshold() {
    let factors = qk_clip::<B>(tensor(&[-5.0, 0.0, 200.0, 150.0, 100.0]), 100.0, &tensor(&[1.0]));
    assert_eq!(floats(factors), [1.0, 1.0, 0.5, 100.0 / 150.0, 1.0]);
}

#[test]
fn nothing_changes_where_nothing_is_too_loud() {
    for threshold in [100.0, 41.0] {
        let factors = qk_clip::<B>(tensor(&[-5.0, 0.0, 1.0, 40.9]), threshold, &tensor(&[1.0]));
        assert_eq!(floats(factors), [1.0; 4]);
    }
}

#[test]
fn nothing_changes_where_the_step_changes_nothing() {
    let loud = tensor(&[900.0, f32::NAN, f32::INFINITY, 0.0]);
    assert_eq!(floats(qk_clip::<B>(loud, 100.0, &tensor(&[f32::NAN]))), [1.0; 4]);
}
