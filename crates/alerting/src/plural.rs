//! Numbers with their word, for sentences that people read.
use std::fmt::Display;

/// A number and its word: `one` for 1, `many` for every other.
pub(crate) fn counted<N: Copy + Display + PartialEq + From<u8>>(n: N, one: &str, many: &str) -> String {
    format!("{n} {}", if n == N::from(1) { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many_and_none_is() {
        let said = [0_usize, 1, 2].map(|n| counted(n, "day", "days"));
        assert_eq!(said, ["0 days", "1 day", "2 days"]);
    }
}
