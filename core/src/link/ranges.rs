//! Sets of numbers as sorted ranges: received packets, settled messages.

use crate::sequence::{Range, Sequence};
use crate::storage::List;

/// Adds `n` to `ranges`, which are sorted, oldest first, and never adjacent. `false`, and nothing is changed, if that
/// takes one range more than fit.
pub(super) fn insert<L: List<Range>>(ranges: &mut L, n: Sequence) -> bool {
    let s = ranges.as_mut_slice();
    // Nearly always behind the last one.
    let i = s.iter().rposition(|r| !n.precedes(r.first)).map_or(0, |i| i + 1);
    let Some((before, after)) = s.split_at_mut_checked(i) else { return false };
    let next = after.first_mut().filter(|r| r.first == n.plus(1));
    match (before.last_mut(), next) {
        (Some(last), _) if last.contains(n) => {}
        (Some(last), next) if last.last.plus(1) == n => {
            last.last = n;
            if let Some(next) = next {
                last.last = next.last;
                ranges.remove(i);
            }
        }
        (_, Some(next)) => next.first = n,
        (_, None) => return ranges.insert(i, Range { first: n, last: n }),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::InlineList;

    #[test]
    fn ranges_join_and_stay_sorted_across_the_wrap() {
        let mut ranges = InlineList::<Range, 2>::EMPTY;
        let at = |n: i32| Sequence(n as u32);
        for (n, fits) in [
            (-2, true),
            (1, true),
            (4, false),
            (1, true),
            (-3, true),
            (0, true),
            (4, false),
            (-1, true),
            (4, true),
        ] {
            assert_eq!(insert(&mut ranges, at(n)), fits, "{n}");
        }
        let expected = [Range { first: at(-3), last: at(1) }, Range { first: at(4), last: at(4) }];
        assert_eq!(ranges.as_slice(), expected);
        assert!(!insert(&mut ranges, at(-9)));
        assert_eq!(ranges.as_slice(), expected);
    }
}
