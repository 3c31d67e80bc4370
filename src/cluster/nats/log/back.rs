//! How to find an entry by its number. JetStream numbers the messages of all keys together, so an entry names some of the entries
//! before it, with their numbers in the stream.
//!
//! Entry `n` names `n - 1`, and then that number with its lowest bit removed, again and again: 12 names 11, 10 and 8. So it names
//! few, any earlier entry is a few steps away, and what `n + 1` names follows from `n` alone.

/// The entries that entry `seq` names, the latest first.
fn named(seq: u64) -> impl Iterator<Item = u64> {
    let below = |seq: &u64| Some(seq & (seq - 1)).filter(|seq| *seq > 0);
    std::iter::successors(seq.checked_sub(1).filter(|seq| *seq > 0), below)
}

/// Numbers in the stream of what the entry after `seq` names. `stream` is that of `seq`, and `back` are those of what it names.
pub(super) fn after(seq: u64, stream: u64, back: &[u64]) -> Vec<u64> {
    if seq == 0 {
        return Vec::new();
    }
    let next = seq & (seq - 1);
    let rest = named(seq).zip(back).skip_while(|(seq, _)| *seq != next).map(|(_, stream)| *stream);
    std::iter::once(stream).chain(rest).collect()
}

/// The step from entry `seq` towards `wanted`, which comes before it: the number of an entry and its number in the stream.
pub(super) fn step(seq: u64, back: &[u64], wanted: u64) -> Option<(u64, u64)> {
    named(seq).zip(back.iter().copied()).take_while(|(seq, _)| *seq >= wanted).last()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_a_few_steps_away() {
        // Entry `seq` has the number `7 * seq` in the stream.
        let mut all = vec![Vec::new(), Vec::new()];
        for seq in 1..3000 {
            all.push(after(seq, 7 * seq, &all[seq as usize]));
        }
        assert_eq!(all[12], [77, 70, 56]);
        assert!(all.iter().all(|back| back.len() <= 11));
        for from in [1, 2, 3, 1000, 1023, 1024, 1025, 2047, 2048, 3000_u64] {
            for wanted in 1..from {
                let (mut at, mut steps) = (from, 0);
                while at != wanted {
                    let (seq, stream) = step(at, &all[at as usize], wanted).unwrap();
                    assert!(stream == 7 * seq && seq >= wanted && seq < at);
                    (at, steps) = (seq, steps + 1);
                }
                assert!(steps <= 12, "{steps} from {from} to {wanted}");
            }
        }
    }

    #[test]
    fn what_an_entry_lacks_is_no_step() {
        assert_eq!(step(12, &[], 3), None);
        assert_eq!(step(1, &[1, 2], 0), None);
        assert_eq!(after(0, 0, &[]), [0_u64; 0]);
    }
}
