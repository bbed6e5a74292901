//! Where boxes and arrows go: layers from left to right, few crossings, short arrows.
//!
//! The way of Sugiyama: a box's layer is its longest path from a source; an arrow over several layers gets a point
//! in each of them; points are ordered by the mean place of their neighbours; then each moves to the mean height of
//! its neighbours as far as order and gaps allow.
use std::collections::VecDeque;

/// Sweeps that look for an order with fewer crossings.
const ORDER_SWEEPS: usize = 12;
/// Sweeps that straighten arrows.
const HEIGHT_SWEEPS: usize = 8;
/// More points than this on long arrows would cost more than they bring: such arrows are drawn in one go.
const MOST_POINTS: usize = 20_000;

/// A drawing without units of its own: layers are counted, heights are in the unit of `sizes`.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// For each box its layer, from 0.
    pub(super) layer: Vec<usize>,
    /// For each box the height of its middle.
    pub(super) middle: Vec<f64>,
    /// For each arrow the points between its ends, as layer and height.
    pub(super) points: Vec<Vec<(usize, f64)>>,
}

/// Places `sizes.len()` boxes of these heights, `gap` apart.
pub(super) fn place(sizes: &[f64], edges: &[(usize, usize)], gap: f64) -> Layout {
    let layer = layers(sizes.len(), edges);
    let mut points = Points::new(sizes, edges, &layer);
    points.order();
    let middle = points.heights(gap);
    let at = |point: usize| middle.get(point).copied().unwrap_or(0.0);
    let chains = points.chains.iter().map(|chain| {
        chain.iter().map(|&point| (points.layer.get(point).copied().unwrap_or(0), at(point))).collect()
    });
    Layout { points: chains.collect(), middle: (0..sizes.len()).map(at).collect(), layer }
}

/// The longest path from a source; then each source as far right as its first reader allows.
fn layers(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut below = vec![Vec::new(); count];
    let mut missing = vec![0_usize; count];
    for &(from, to) in edges.iter().filter(|(from, to)| *from < count && *to < count) {
        below[from].push(to);
        missing[to] += 1;
    }
    let sources: Vec<usize> = (0..count).filter(|&node| missing[node] == 0).collect();
    let mut layer = vec![0_usize; count];
    let mut ready: VecDeque<usize> = sources.iter().copied().collect();
    while let Some(node) = ready.pop_front() {
        for &reader in &below[node] {
            layer[reader] = layer[reader].max(layer[node] + 1);
            missing[reader] -= 1;
            if missing[reader] == 0 {
                ready.push_back(reader);
            }
        }
    }
    for source in sources {
        if let Some(first) = below[source].iter().map(|&reader| layer[reader]).min() {
            layer[source] = first.saturating_sub(1);
        }
    }
    layer
}

/// Boxes and the points of long arrows, which take part in order and heights alike.
struct Points {
    layer: Vec<usize>,
    size: Vec<f64>,
    /// Neighbours in the layer before and in the layer behind.
    before: Vec<Vec<usize>>,
    behind: Vec<Vec<usize>>,
    /// For each layer its points from top to bottom.
    rows: Vec<Vec<usize>>,
    /// For each arrow its points between the ends.
    chains: Vec<Vec<usize>>,
}

impl Points {
    fn new(sizes: &[f64], edges: &[(usize, usize)], layer: &[usize]) -> Self {
        let mut points = Self {
            layer: layer.to_vec(),
            size: sizes.to_vec(),
            before: vec![Vec::new(); sizes.len()],
            behind: vec![Vec::new(); sizes.len()],
            rows: vec![Vec::new(); layer.iter().max().map_or(0, |last| last + 1)],
            chains: Vec::with_capacity(edges.len()),
        };
        for (node, &layer) in layer.iter().enumerate() {
            points.rows[layer].push(node);
        }
        let span = |&(from, to): &(usize, usize)| match (layer.get(from), layer.get(to)) {
            (Some(from), Some(to)) => to.saturating_sub(*from),
            _ => 0,
        };
        let wanted: usize = edges.iter().map(|edge| span(edge).saturating_sub(1)).sum();
        for edge in edges {
            let mut chain = Vec::new();
            if span(edge) >= 1 {
                let (mut last, to) = *edge;
                let between = if wanted > MOST_POINTS { 0 } else { span(edge) - 1 };
                for _ in 0..between {
                    let point = points.add(points.layer[last] + 1);
                    points.join(last, point);
                    chain.push(point);
                    last = point;
                }
                points.join(last, to);
            }
            points.chains.push(chain);
        }
        points
    }

    fn add(&mut self, layer: usize) -> usize {
        let point = self.layer.len();
        self.layer.push(layer);
        self.size.push(0.0);
        self.before.push(Vec::new());
        self.behind.push(Vec::new());
        self.rows[layer].push(point);
        point
    }

    fn join(&mut self, from: usize, to: usize) {
        self.behind[from].push(to);
        self.before[to].push(from);
    }

    /// Sweeps to the right and to the left, and keeps the best order that was seen.
    fn order(&mut self) {
        let mut best = (self.crossings(), self.rows.clone());
        for sweep in 0..ORDER_SWEEPS {
            if best.0 == 0 {
                break;
            }
            let places = self.places();
            let mut place = places;
            let count = self.rows.len();
            for step in 0..count {
                let at = if sweep % 2 == 0 { step } else { count - 1 - step };
                let neighbours = if sweep % 2 == 0 { &self.before } else { &self.behind };
                let mut row = std::mem::take(&mut self.rows[at]);
                let mean = |point: &usize| {
                    let near = &neighbours[*point];
                    let sum: f64 = near.iter().map(|&near| place[near]).sum();
                    if near.is_empty() { place[*point] } else { sum / near.len() as f64 }
                };
                row.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
                for (at, &point) in row.iter().enumerate() {
                    place[point] = at as f64;
                }
                self.rows[at] = row;
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.rows.clone());
            }
        }
        self.rows = best.1;
    }

    /// For each point its place in its row.
    fn places(&self) -> Vec<f64> {
        let mut places = vec![0.0; self.layer.len()];
        for row in &self.rows {
            for (at, &point) in row.iter().enumerate() {
                places[point] = at as f64;
            }
        }
        places
    }

    /// How many pairs of arrows between neighbouring layers cross.
    fn crossings(&self) -> usize {
        let places = self.places();
        self.rows
            .iter()
            .map(|row| {
                let mut ends = Vec::new();
                for &point in row {
                    let mut to: Vec<usize> =
                        self.behind[point].iter().map(|&to| places[to] as usize).collect();
                    to.sort_unstable();
                    ends.extend(to);
                }
                inversions(&mut ends)
            })
            .sum()
    }

    /// Heights of all points: each as near to the mean of its neighbours as order and gaps allow.
    fn heights(&self, gap: f64) -> Vec<f64> {
        let mut middle = vec![0.0; self.layer.len()];
        for row in &self.rows {
            let mut next = 0.0;
            for &point in row {
                middle[point] = next + self.size[point] / 2.0;
                next += self.size[point] + gap;
            }
        }
        for sweep in 0..HEIGHT_SWEEPS {
            let count = self.rows.len();
            for step in 0..count {
                let at = if sweep % 2 == 0 { step } else { count - 1 - step };
                // The last sweeps look both ways, so that a box stands between what it takes and who takes it.
                let both = sweep + 2 >= HEIGHT_SWEEPS;
                let row = &self.rows[at];
                let wish = |point: usize| {
                    let before = self.before[point].iter().filter(|_| both || sweep % 2 == 0);
                    let behind = self.behind[point].iter().filter(|_| both || sweep % 2 == 1);
                    let near: Vec<f64> = before.chain(behind).map(|&near| middle[near]).collect();
                    if near.is_empty() { middle[point] } else { near.iter().sum::<f64>() / near.len() as f64 }
                };
                let wishes: Vec<f64> = row.iter().map(|&point| wish(point)).collect();
                let sizes: Vec<f64> = row.iter().map(|&point| self.size[point]).collect();
                for (&point, height) in row.iter().zip(apart(&wishes, &sizes, gap)) {
                    middle[point] = height;
                }
            }
        }
        let top =
            (0..middle.len()).map(|point| middle[point] - self.size[point] / 2.0).fold(f64::MAX, f64::min);
        middle.iter_mut().for_each(|height| *height -= top);
        middle
    }
}

/// The heights nearest to `wishes` in sum of squares that keep their order and stand `gap` apart.
fn apart(wishes: &[f64], sizes: &[f64], gap: f64) -> Vec<f64> {
    let mut offsets = Vec::with_capacity(wishes.len());
    let mut offset = 0.0;
    for (at, size) in sizes.iter().enumerate() {
        offset += if at == 0 { 0.0 } else { (sizes[at - 1] + size) / 2.0 + gap };
        offsets.push(offset);
    }
    // Without the offsets the heights need only not fall: neighbours that would are pooled at their mean.
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (wish, offset) in wishes.iter().zip(&offsets) {
        let mut pool = (wish - offset, 1);
        while let Some(&(mean, count)) = pools.last().filter(|(mean, _)| *mean > pool.0) {
            let both = count + pool.1;
            pool = ((mean * count as f64 + pool.0 * pool.1 as f64) / both as f64, both);
            pools.pop();
        }
        pools.push(pool);
    }
    let bases = pools.into_iter().flat_map(|(mean, count)| std::iter::repeat_n(mean, count));
    bases.zip(offsets).map(|(base, offset)| base + offset).collect()
}

/// How many pairs stand in the wrong order. Sorts on the way.
fn inversions(values: &mut [usize]) -> usize {
    if values.len() < 2 {
        return 0;
    }
    let middle = values.len() / 2;
    let (left, right) = values.split_at_mut(middle);
    let mut count = inversions(left) + inversions(right);
    let (mut merged, mut l, mut r) = (Vec::with_capacity(left.len() + right.len()), 0, 0);
    while l < left.len() || r < right.len() {
        if r == right.len() || (l < left.len() && left[l] <= right[r]) {
            merged.push(left[l]);
            l += 1;
        } else {
            count += left.len() - l;
            merged.push(right[r]);
            r += 1;
        }
    }
    values.copy_from_slice(&merged);
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_chain_is_a_line() {
        let layout = place(&[10.0; 4], &[(0, 1), (1, 2), (2, 3)], 5.0);
        assert_eq!(layout.layer, [0, 1, 2, 3]);
        assert_eq!(layout.middle, [5.0; 4]);
    }

    #[test]
    fn arrows_that_can_do_without_crossings_have_none() {
        let edges = [(0, 5), (1, 4), (2, 3), (0, 4)];
        let mut points = Points::new(&[1.0; 6], &edges, &layers(6, &edges));
        assert!(points.crossings() > 0);
        points.order();
        assert_eq!(points.crossings(), 0);
    }

    #[test]
    fn a_source_stands_next_to_its_reader() {
        assert_eq!(layers(4, &[(0, 1), (1, 2), (3, 2)]), [0, 1, 2, 1]);
    }

    #[test]
    fn what_is_no_graph_is_placed_all_the_same() {
        let round = place(&[1.0; 3], &[(0, 1), (1, 0), (2, 2), (7, 9)], 1.0);
        assert_eq!((round.layer.len(), round.points.len()), (3, 4));
        assert_eq!(place(&[], &[], 1.0).middle, [0.0; 0]);
    }

    #[test]
    fn a_hundred_thousand_boxes_are_placed_in_seconds() {
        let edges: Vec<_> = (1..100_000).map(|node| (node / 300, node)).collect();
        let began = std::time::Instant::now();
        assert_eq!(place(&vec![1.0; 100_000], &edges, 1.0).middle.len(), 100_000);
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }

    proptest! {
        #[test]
        fn inversions_are_counted(values in prop::collection::vec(0_usize..9, 0..30)) {
            let pairs = (0..values.len()).flat_map(|a| (a + 1..values.len()).map(move |b| (a, b)));
            let slow = pairs.filter(|&(a, b)| values[a] > values[b]).count();
            prop_assert_eq!(inversions(&mut values.clone()), slow);
        }

        #[test]
        fn no_box_lies_on_another_and_arrows_lead_right(
            pairs in prop::collection::vec((0_usize..25, 0_usize..25), 0..60),
        ) {
            let edges: Vec<_> = pairs.into_iter().filter(|(a, b)| a != b).map(|(a, b)| (a.min(b), a.max(b))).collect();
            let sizes: Vec<f64> = (0..25).map(|node| 10.0 + f64::from(node % 3)).collect();
            let layout = place(&sizes, &edges, 4.0);
            for (at, &(from, to)) in edges.iter().enumerate() {
                prop_assert!(layout.layer[from] < layout.layer[to]);
                prop_assert_eq!(layout.points[at].len(), layout.layer[to] - layout.layer[from] - 1);
            }
            for a in 0..25 {
                prop_assert!(layout.middle[a] >= sizes[a] / 2.0 - 1e-6);
                for b in (0..a).filter(|&b| layout.layer[a] == layout.layer[b]) {
                    let apart = (layout.middle[a] - layout.middle[b]).abs();
                    prop_assert!(apart + 1e-6 >= (sizes[a] + sizes[b]) / 2.0 + 4.0);
                }
            }
        }
    }
}
