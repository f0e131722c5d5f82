//! Where a function of a built kernel lies.
//!
//! The file is the candidate's, so nothing in it is trusted: what does not fit gives no name.

use std::ops::Range;

use super::super::elf::{Elf, FUNC};
use super::assembly::plain_name;

/// Where the function that the sources call `entry` lies.
pub fn function(object: &[u8], entry: &str) -> Option<Range<u64>> {
    let symbols = Elf::read(object)?.symbols();
    let found = symbols.iter().filter(|symbol| symbol.kind == FUNC).find(|symbol| {
        let name = plain_name(&String::from_utf8_lossy(symbol.name));
        name.rsplit("::").next() == Some(entry)
    })?;
    Some(found.value..found.value.checked_add(found.bytes)?)
}

#[cfg(test)]
mod tests {
    use super::super::super::elf::tests::object;
    use super::*;

    #[test]
    fn a_function_is_found_by_the_name_that_sources_give_it() {
        assert_eq!(function(&object(), "f"), Some(0x1000..0x1010));
        assert_eq!(function(&object(), "g"), None);
    }

    #[test]
    fn a_torn_or_lying_file_has_no_functions_and_makes_no_panic() {
        let whole = object();
        for cut in 0..whole.len() {
            let _range = function(&whole[..cut], "f");
            let mut lying = whole.clone();
            lying[cut] = 0xff;
            let _range = function(&lying, "f");
        }
    }
}
