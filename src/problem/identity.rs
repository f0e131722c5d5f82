//! What a problem means, as a digest: part of the key of everything that is checked against it.

use std::path::PathBuf;

use super::Problem;
use crate::digest::Digest;

/// Counted up when the meaning of a problem changes while its encoding does not.
const VERSION: &[u8] = b"optloop problem 1";

/// The digest of what `problem` means and of its reference's text. Comments and the order of
/// tables in the file do not count, nor does where the reference lies.
///
/// # Panics
/// Never: the encoding takes any plain data.
pub fn canonical_digest(problem: &Problem, reference_text: &str) -> Digest {
    let meaning = Problem { reference: PathBuf::new(), ..problem.clone() };
    let encoded = postcard::to_stdvec(&meaning).expect("a problem holds plain data only");
    let mut bytes = Vec::with_capacity(encoded.len() + reference_text.len() + 64);
    for part in [VERSION, &encoded, reference_text.as_bytes()] {
        // The length first: no two lists of parts give the same bytes.
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(part);
    }
    Digest::of(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{ArgKind, case};

    #[test]
    fn every_part_of_the_meaning_counts_and_the_place_of_the_reference_does_not() {
        let problem = case::tests::problem();
        let base = canonical_digest(&problem, "text");
        let changed = |change: fn(&mut Problem)| {
            let mut other = problem.clone();
            change(&mut other);
            canonical_digest(&other, "text")
        };
        assert_eq!(base, changed(|p| p.reference = "/elsewhere/reference.c".into()));
        assert_ne!(base, canonical_digest(&problem, "other text"));
        let every_change: [fn(&mut Problem); 8] = [
            |p| p.entry.push('x'),
            |p| p.tolerance.atol = 0.5,
            |p| p.tolerance.rtol = 0.5,
            |p| p.cases.truncate(1),
            |p| p.args.swap(0, 1),
            |p| p.flops = None,
            |p| p.holdout = None,
            |p| p.args[2].kind = ArgKind::Scalar("cols".into()),
        ];
        for (i, change) in every_change.into_iter().enumerate() {
            assert_ne!(base, changed(change), "change {i}");
        }
    }
}
