//! Experts: which ones each row goes through, and how rows are dealt to them.
use crate::cpu::share_out;
use burn::prelude::*;
use burn::tensor::DType;

/// How rows choose experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Experts to choose from.
    pub count: usize,
    /// How many a row goes through.
    pub chosen: usize,
    /// In how many groups they stand, as many in each.
    pub groups: usize,
    /// How many groups a row chooses from.
    pub chosen_groups: usize,
}

/// The experts of each row, likeliest first, by their scores `[rows, count]` and what is added to them for the choice. Of equals it is the
/// first. Groups go by their best expert, and by the sum of their best two where something is added (DeepSeek-V2 and V3).
pub fn choose(scores: &[f32], bias: Option<&[f32]>, choice: &Choice) -> Vec<u32> {
    let Choice { count, chosen, .. } = *choice;
    let mut all = vec![0; scores.len() / count * chosen];
    let mut parts: Vec<_> = scores.chunks(PART * count).zip(all.chunks_mut(PART * chosen)).collect();
    share_out(&mut parts, |(scores, all)| {
        let mut chooser = Chooser::new(bias, choice);
        for (scores, all) in scores.chunks_exact(count).zip(all.chunks_exact_mut(chosen)) {
            chooser.choose(scores, all);
        }
    });
    all
}

/// Rows that a thread takes at once.
const PART: usize = 512;

/// Chooses row by row, in memory that is there already.
struct Chooser<'a> {
    choice: &'a Choice,
    bias: Option<&'a [f32]>,
    keys: Vec<f32>,
    groups: Vec<f32>,
    best: Vec<usize>,
}

impl<'a> Chooser<'a> {
    fn new(bias: Option<&'a [f32]>, choice: &'a Choice) -> Self {
        let best = Vec::with_capacity(choice.count + 1);
        Self { choice, bias, keys: vec![0.0; choice.count], groups: vec![0.0; choice.groups], best }
    }

    fn choose(&mut self, scores: &[f32], chosen: &mut [u32]) {
        let Self { choice, bias, keys, groups, best } = self;
        keys.copy_from_slice(scores);
        if let Some(bias) = bias {
            keys.iter_mut().zip(*bias).for_each(|(key, bias)| *key += bias);
        }
        if choice.chosen_groups < choice.groups {
            let each = choice.count / choice.groups;
            for (of_group, keys) in groups.iter_mut().zip(keys.chunks_exact(each)) {
                largest(keys, if bias.is_some() { 2 } else { 1 }, best);
                *of_group = best.iter().map(|at| keys[*at]).sum();
            }
            largest(groups, choice.chosen_groups, best);
            for group in (0..choice.groups).filter(|group| !best.contains(group)) {
                keys[group * each..(group + 1) * each].fill(f32::NEG_INFINITY);
            }
        }
        largest(keys, choice.chosen, best);
        chosen.iter_mut().zip(best).for_each(|(chosen, at)| *chosen = *at as u32);
    }
}

/// The places of the largest numbers, the largest first; of equals the first.
fn largest(numbers: &[f32], most: usize, places: &mut Vec<usize>) {
    places.clear();
    for (at, number) in numbers.iter().enumerate() {
        if places.len() == most && !is_more(*number, numbers[places[most - 1]]) {
            continue;
        }
        let before = places.iter().position(|other| is_more(*number, numbers[*other]));
        places.insert(before.unwrap_or(places.len()), at);
        places.truncate(most);
    }
}

/// Whether one is larger. What is no number is less than all: a model that has gone astray is stopped elsewhere.
fn is_more(one: f32, other: f32) -> bool {
    one > other || other.is_nan() && !one.is_nan()
}

/// Rows dealt to experts. Places stand expert by expert, and those of one in the rows' order; what fills an expert's up to a multiple is
/// empty.
#[derive(Clone, Debug)]
pub struct Dealing<B: Backend> {
    /// `[places]`: the row of each; of an empty one as many as there are rows.
    pub rows: Tensor<B, 1, Int>,
    /// `[places]`: which choice each is, those of a row one behind the other; of an empty one as many as there are choices.
    pub order: Tensor<B, 1, Int>,
    /// `[rows * chosen]`: the place of each choice.
    pub places: Tensor<B, 1, Int>,
    /// Where the places of each expert end.
    pub ends: Vec<usize>,
    /// How many rows each expert has.
    pub loads: Vec<u32>,
    /// How many experts a row goes through.
    pub chosen: usize,
}

impl<B: Backend> Dealing<B> {
    /// Deals rows to the experts that each chose, `[rows, chosen]`, of so many. Each expert has a multiple of so many places.
    pub fn new(experts: &[u32], chosen: usize, count: usize, multiple: usize, device: &B::Device) -> Self {
        let mut loads = vec![0; count];
        experts.iter().for_each(|expert| loads[*expert as usize] += 1);
        let (mut next, mut ends, mut all) = (Vec::with_capacity(count), Vec::with_capacity(count), 0);
        for load in &loads {
            next.push(all);
            all += (*load as usize).next_multiple_of(multiple);
            ends.push(all);
        }
        let (mut order, mut places) = (vec![experts.len() as i32; all], vec![0; experts.len()]);
        for (choice, expert) in experts.iter().enumerate() {
            let place: &mut usize = &mut next[*expert as usize];
            (order[*place], places[choice]) = (choice as i32, *place as i32);
            *place += 1;
        }
        let rows: Vec<i32> = order.iter().map(|choice| choice / chosen as i32).collect();
        let row = |numbers: Vec<i32>| {
            let count = numbers.len();
            Tensor::from_data(TensorData::new(numbers, [count]), (device, DType::I32))
        };
        Self { rows: row(rows), order: row(order), places: row(places), ends, loads, chosen }
    }

    /// How many rows, and how many places.
    pub fn sizes(&self) -> [usize; 2] {
        [self.places.dims()[0] / self.chosen, self.rows.dims()[0]]
    }
}

/// The places of each expert: the first, and how many.
pub(crate) fn parts(ends: &[usize]) -> Vec<(usize, usize)> {
    let firsts = [0].into_iter().chain(ends.iter().copied());
    firsts.zip(ends).map(|(first, end)| (first, end - first)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;

    const EIGHT: Choice = Choice { count: 8, chosen: 2, groups: 1, chosen_groups: 1 };

    #[test]
    fn rows_choose_their_largest_scores() {
        let scores = [0.1, 0.4, 0.0, 0.2, 0.4, 0.3, 0.0, 0.1];
        assert_eq!(choose(&scores, None, &EIGHT), [1, 4], "of equals the first");
        // What is added counts for the choice.
        let mut bias = [0.0; 8];
        (bias[6], bias[1]) = (1.0, -0.3);
        assert_eq!(choose(&scores, Some(&bias), &EIGHT), [6, 4]);
        // Two rows, each by itself.
        let both = [scores, [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]].concat();
        assert_eq!(choose(&both, None, &EIGHT), [1, 4, 0, 1]);
    }

    #[test]
    fn groups_are_chosen_first() {
        // The best of all is in the third group, the best two together in the second.
        let scores = [0.3, 0.3, 0.5, 0.4, 0.6, 0.0, 0.1, 0.2];
        let grouped = |chosen_groups| Choice { groups: 4, chosen_groups, ..EIGHT };
        assert_eq!(choose(&scores, None, &grouped(1)), [4, 5], "by the best expert");
        let nothing = [0.0; 8];
        assert_eq!(choose(&scores, Some(&nothing), &grouped(1)), [2, 3], "by the best two");
        assert_eq!(choose(&scores, None, &grouped(2)), [4, 2]);
        assert_eq!(choose(&scores, None, &grouped(4)), choose(&scores, None, &EIGHT));
        // A bias opens a group.
        let bias = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5];
        assert_eq!(choose(&scores, Some(&bias), &grouped(1)), [7, 6]);
        let halves = Choice { groups: 2, chosen_groups: 1, ..EIGHT };
        assert_eq!(choose(&scores, None, &halves), [4, 7]);
    }

    #[test]
    fn what_is_no_number_is_chosen_last_and_nothing_twice() {
        let all = Choice { chosen: 8, ..EIGHT };
        let mut scores = [f32::NAN; 8];
        scores[5] = 0.1;
        let mut chosen = choose(&scores, None, &all);
        assert_eq!(chosen[0], 5);
        chosen.sort_unstable();
        assert_eq!(chosen, [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn each_choice_has_a_place_with_its_expert() {
        let experts = [3, 1, 1, 0, 3, 1, 1, 3, 0, 1];
        for multiple in [1, 4] {
            let dealing = Dealing::<Flex>::new(&experts, 2, 5, multiple, &Default::default());
            assert_eq!(dealing.loads, [2, 5, 0, 3, 0]);
            let ends: &[usize] = if multiple == 1 { &[2, 7, 7, 10, 10] } else { &[4, 12, 12, 16, 16] };
            assert_eq!((dealing.ends.as_slice(), dealing.sizes()), (ends, [5, ends[4]]));
            let [rows, order, places] = [&dealing.rows, &dealing.order, &dealing.places]
                .map(|ints| ints.to_data().to_vec::<i32>().unwrap());
            for (choice, (place, expert)) in places.iter().zip(experts).enumerate() {
                let place = *place as usize;
                assert_eq!((order[place], rows[place]), (choice as i32, choice as i32 / 2));
                let (first, len) = parts(&dealing.ends)[expert as usize];
                assert!((first..first + len).contains(&place));
            }
            let empty = order.iter().filter(|choice| **choice == 10).count();
            assert_eq!(empty, ends[4] - 10);
            assert_eq!(rows.iter().filter(|row| **row == 5).count(), empty);
            // Rows of an expert keep their order.
            assert!(rows[ends[0]..ends[0] + 5].is_sorted());
        }
    }
}
