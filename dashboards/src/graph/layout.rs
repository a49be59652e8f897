//! A layered drawing (Sugiyama, Tagawa, Toda 1981) with bounded work: layers by longest path without the edges that
//! close cycles, then a few sweeps that put every node beside its neighbors.

/// Sweeps over the layers, there and back.
const SWEEPS: usize = 6;

/// Where a node stands.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Spot {
    /// Layer, from the left.
    pub(super) layer: usize,
    /// Row, from the top; halves where a layer is shorter than the longest.
    pub(super) row: f64,
}

/// All spots.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Layout {
    /// By node.
    pub(super) spots: Vec<Spot>,
    /// Number of layers.
    pub(super) layers: usize,
    /// Rows of the longest layer.
    pub(super) rows: usize,
}

impl Layout {
    /// Places `nodes` nodes with `edges` (from, to). O((nodes + edges) x sweeps x log nodes).
    pub(super) fn of(nodes: usize, edges: &[(usize, usize)]) -> Self {
        let forward = without_cycles(nodes, edges);
        let layer = layers(nodes, &forward);
        let count = layer.iter().max().map_or(0, |last| last + 1);
        let mut rows: Vec<Vec<usize>> = vec![Vec::new(); count];
        for (node, layer) in layer.iter().enumerate() {
            rows[*layer].push(node);
        }
        let order = order(&mut rows, nodes, &forward);
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let spots = (0..nodes).map(|node| {
            let short = longest - rows[layer[node]].len();
            Spot {
                layer: layer[node],
                row: order[node] + short as f64 / 2.0,
            }
        });
        Self {
            spots: spots.collect(),
            layers: count,
            rows: longest,
        }
    }
}

/// The edges without those that lead back: found by a walk in depth that keeps its own stack.
fn without_cycles(nodes: usize, edges: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut outgoing: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    let mut incoming = vec![0usize; nodes];
    for (from, to) in edges {
        outgoing[*from].push(*to);
        incoming[*to] += usize::from(from != to);
    }
    let mut roots: Vec<usize> = (0..nodes).collect();
    roots.sort_by_key(|node| incoming[*node]);
    // 0 = not seen, 1 = on the way, 2 = done.
    let mut state = vec![0u8; nodes];
    let mut kept = Vec::new();
    for root in roots {
        let mut stack = vec![(root, 0)];
        while let Some((node, next)) = stack.pop() {
            if next == 0 {
                if state[node] != 0 {
                    continue;
                }
                state[node] = 1;
            }
            match outgoing[node].get(next) {
                None => state[node] = 2,
                Some(to) => {
                    stack.push((node, next + 1));
                    if state[*to] != 1 {
                        kept.push((node, *to));
                    }
                    if state[*to] == 0 {
                        stack.push((*to, 0));
                    }
                }
            }
        }
    }
    kept
}

/// The layer of every node: one right of the rightmost of its callers.
fn layers(nodes: usize, forward: &[(usize, usize)]) -> Vec<usize> {
    let mut waits = vec![0usize; nodes];
    let mut outgoing: Vec<Vec<usize>> = vec![Vec::new(); nodes];
    for (from, to) in forward {
        waits[*to] += 1;
        outgoing[*from].push(*to);
    }
    let mut layer = vec![0; nodes];
    let mut ready: Vec<usize> = (0..nodes).filter(|node| waits[*node] == 0).collect();
    while let Some(node) = ready.pop() {
        for to in &outgoing[node] {
            layer[*to] = layer[*to].max(layer[node] + 1);
            waits[*to] -= 1;
            if waits[*to] == 0 {
                ready.push(*to);
            }
        }
    }
    layer
}

/// Sorts every layer by the mean place of the neighbors in the layers before, then after, and so on.
fn order(rows: &mut [Vec<usize>], nodes: usize, forward: &[(usize, usize)]) -> Vec<f64> {
    let (mut before, mut after) = (vec![Vec::new(); nodes], vec![Vec::new(); nodes]);
    for (from, to) in forward {
        after[*from].push(*to);
        before[*to].push(*from);
    }
    let mut place = vec![0.0; nodes];
    let number = |row: &[usize], place: &mut Vec<f64>| {
        for (at, node) in row.iter().enumerate() {
            place[*node] = at as f64;
        }
    };
    for row in rows.iter() {
        number(row, &mut place);
    }
    for sweep in 0..SWEEPS {
        let neighbors: &[Vec<usize>] = if sweep % 2 == 0 { &before } else { &after };
        let mut settle = |row: &mut Vec<usize>| {
            let mean = |node: &usize| {
                let list = &neighbors[*node];
                let sum: f64 = list.iter().map(|other| place[*other]).sum();
                match list.len() {
                    0 => place[*node],
                    count => sum / count as f64,
                }
            };
            let mut keyed: Vec<(f64, usize)> = row.iter().map(|node| (mean(node), *node)).collect();
            keyed.sort_by(|one, other| one.0.total_cmp(&other.0));
            *row = keyed.into_iter().map(|(_, node)| node).collect();
            number(row, &mut place);
        };
        if sweep % 2 == 0 {
            rows.iter_mut().for_each(&mut settle);
        } else {
            rows.iter_mut().rev().for_each(&mut settle);
        }
    }
    place
}

#[cfg(test)]
mod tests {
    //! Layers, cycles and bounds.

    use super::*;

    #[test]
    fn callers_stand_left_and_cycles_end() {
        let layout = Layout::of(4, &[(0, 1), (1, 2), (2, 1), (0, 2), (2, 3), (3, 3)]);
        let layers: Vec<usize> = layout.spots.iter().map(|spot| spot.layer).collect();
        assert_eq!(layers, [0, 1, 2, 3]);
        assert_eq!((layout.layers, layout.rows), (4, 1));
    }

    #[test]
    fn no_two_nodes_share_a_spot() {
        let edges: Vec<(usize, usize)> = (0..200).map(|at| (at * 7 % 60, at * 13 % 60)).collect();
        let layout = Layout::of(60, &edges);
        for (at, spot) in layout.spots.iter().enumerate() {
            assert!(!layout.spots[..at].contains(spot), "{at}");
        }
    }

    #[test]
    fn nothing_and_lone_nodes() {
        assert_eq!(Layout::of(0, &[]), Layout::default());
        assert_eq!(Layout::of(2, &[]).rows, 2);
    }
}
