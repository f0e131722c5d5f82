//! What a sanitizer printed, in a line: pure text to text.

use std::path::{Path, PathBuf};

/// Reports that speak of the sanitizer's own needs (its frames are larger, its allocator stricter),
/// not of the kernel.
const OWN_NEEDS: [&str; 5] = [
    "stack-overflow",
    "requested allocation size",
    "out of memory",
    "out-of-memory",
    "allocation-size-too-big",
];

/// The first finding: its kind, the access and the place in the user's own sources, such as
/// `heap-buffer-overflow: READ of size 4 at softmax.c:12`.
pub(super) fn read(printed: &str, sources: &[PathBuf]) -> Option<String> {
    let lines: Vec<&str> = printed.lines().collect();
    lines.iter().enumerate().find_map(|(number, line)| {
        if let Some((_, what)) = line.split_once("ERROR: AddressSanitizer: ") {
            return address(what, &lines[number + 1..], sources);
        }
        let (place, what) = line.split_once(": runtime error: ")?;
        let frame = place_among(&lines[number + 1..], sources);
        let place = frame.or_else(|| location(place).map(|(file, line)| named(file, line)));
        Some(with_place(format!("undefined behaviour: {what}"), place))
    })
}

fn address(what: &str, after: &[&str], sources: &[PathBuf]) -> Option<String> {
    if OWN_NEEDS.iter().any(|need| what.contains(need)) {
        return None;
    }
    let end = [" on ", " (", ": "].iter().filter_map(|mark| what.find(mark)).min();
    let kind = what[..end.unwrap_or(what.len())].trim_start_matches("attempting ").trim();
    let access = after.iter().take_while(|line| !line.trim().starts_with('#')).find_map(access);
    let text = access.map_or_else(|| kind.to_owned(), |access| format!("{kind}: {access}"));
    Some(with_place(text, place_among(after, sources)))
}

/// `READ of size 4` of `READ of size 4 at 0x602000000014 thread T0`; `WRITE` of a line about a
/// signal.
fn access(line: &&str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [access @ ("READ" | "WRITE"), "of", "size", size, ..] => {
            Some(format!("{access} of size {size}"))
        }
        _ if line.contains("signal is caused by a") => {
            let access = words.iter().find(|word| ["READ", "WRITE"].contains(word));
            access.map(|access| (*access).to_owned())
        }
        _ => None,
    }
}

fn with_place(text: String, place: Option<String>) -> String {
    match place {
        Some(place) => format!("{text} at {place}"),
        None => text,
    }
}

/// The first frame of the first stack that lies in one of the sources, or else in a file beside
/// them: the build maps their folders to `.`.
fn place_among(after: &[&str], sources: &[PathBuf]) -> Option<String> {
    let stack = after.iter().map(|line| line.trim());
    let stack = stack.skip_while(|line| !line.starts_with('#'));
    let frames: Vec<(&Path, &str)> =
        stack.take_while(|line| line.starts_with('#')).filter_map(frame).collect();
    let of_source = |file: &Path| sources.iter().any(|s| s.file_name() == file.file_name());
    let beside = |file: &Path| !file.is_absolute() && !file.to_string_lossy().contains("../");
    let found = frames.iter().find(|(file, _)| of_source(file));
    let found = found.or_else(|| frames.iter().find(|(file, _)| beside(file)));
    found.map(|(file, line)| named(file, line))
}

/// File and line of `#0 0x7f6dfd6a42ab in scale ././k.c:2:96`.
fn frame(line: &str) -> Option<(&Path, &str)> {
    let (_, function) = line.split_once(" in ")?;
    let (_, place) = function.split_once(' ')?;
    // C++ functions have spaces in their names; files of sources seldom do.
    location(place.rsplit(' ').next()?)
}

/// `file:line` or `file:line:column`.
fn location(place: &str) -> Option<(&Path, &str)> {
    let mut parts = place.split(':');
    let (file, line) = (parts.next()?, parts.next()?);
    let is_line = !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit());
    is_line.then_some((Path::new(file), line))
}

fn named(file: &Path, line: &str) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
    format!("{name}:{line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from GCC 12.2 and clang 14.0.6; addresses as they came.
    const HEAP_GCC: &str = "\
=================================================================
==4766==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602000000040 at pc 0x7f6dfd6a42ac bp 0x7ffc82da8a20 sp 0x7ffc82da8a18
READ of size 4 at 0x602000000040 thread T0
    #0 0x7f6dfd6a42ab in scale k.c:2
    #1 0x5620459391f2 in main (/tmp/main+0x11f2)
    #2 0x7f6dfce45249 in __libc_start_call_main ../sysdeps/nptl/libc_start_call_main.h:58

0x602000000040 is located 0 bytes to the right of 16-byte region [0x602000000030,0x602000000040)
allocated by thread T0 here:
    #0 0x7f6dfd0b89cf in __interceptor_malloc ../../../../src/libsanitizer/asan/asan_malloc_linux.cpp:69
";
    const HEAP_CLANG: &str = "\
=================================================================
==7794==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602000000060 at pc 0x7f26a0b9065d bp 0x7fffa9e1d370 sp 0x7fffa9e1d368
READ of size 4 at 0x602000000060 thread T0
    #0 0x7f26a0b9065c in scale ././k.c:2:96
    #1 0x55a20a9251f2 in main (/tmp/main+0x11f2) (BuildId: 15781eef87652b69a3435af13a3ad9b4ce447139)
";
    const HEAP_UNSYMBOLIZED: &str = "\
==7800==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602000000060 at pc 0x7f757ad7365d bp 0x7ffff0a86990 sp 0x7ffff0a86988
READ of size 4 at 0x602000000060 thread T0
    #0 0x7f757ad7365c  (k.so+0x265c) (BuildId: 4f377adceae2d5cef0eabf9faa359270a845e264)
";
    const OVERFLOW_GCC: &str = "\
/tmp/u.c:1:63: runtime error: signed integer overflow: 4 + 2147483647 cannot be represented in type 'int'
    #0 0x7fdb5c2ac1c1 in scale u.c:1
    #1 0x5620a592e1f2 in main (/tmp/main+0x11f2)
";
    const OVERFLOW_CLANG: &str = "\
/tmp/u.c:1:63: runtime error: signed integer overflow: 2147483647 + 4 cannot be represented in type 'int'
    #0 0x7f2a2b769519 in scale ././u.c:1:63
SUMMARY: UndefinedBehaviorSanitizer: undefined-behavior /tmp/u.c:1:63 in 
";
    const SEGV_GCC: &str = "\
AddressSanitizer:DEADLYSIGNAL
=================================================================
==4800==ERROR: AddressSanitizer: SEGV on unknown address 0x000000000018 (pc 0x7fef1d1c01d2 bp 0x7fff325b4570 sp 0x7fff325b4570 T0)
==4800==The signal is caused by a WRITE memory access.
==4800==Hint: address points to the zero page.
    #0 0x7fef1d1c01d2 in scale s.c:1
";
    const MEMCPY_GCC: &str = "\
==9==ERROR: AddressSanitizer: stack-buffer-overflow on address 0x7ffd at pc 0x7f bp 0x7f sp 0x7f
WRITE of size 64 at 0x7ffd thread T0
    #0 0x7f81 in __interceptor_memcpy ../../../../src/libsanitizer/sanitizer_common/x.inc:827
    #1 0x7f82 in tile ./tile.h:9
    #2 0x7f83 in scale k.c:31
";
    const STACK: &str = "\
==9==ERROR: AddressSanitizer: stack-overflow on address 0x7ffd (pc 0x7f bp 0x7f sp 0x7f T0)
    #0 0x7f81 in scale k.c:3
";

    #[test]
    fn findings_of_both_compilers_become_a_line() {
        let sources = ["/p/k.c", "/p/u.c", "/p/s.c"].map(PathBuf::from);
        let overflow = |sum: &str| {
            let what =
                format!("signed integer overflow: {sum} cannot be represented in type 'int'");
            Some(format!("undefined behaviour: {what} at u.c:1"))
        };
        let plain = |text: &str| Some(text.to_owned());
        for (printed, expected) in [
            (HEAP_GCC, plain("heap-buffer-overflow: READ of size 4 at k.c:2")),
            (HEAP_CLANG, plain("heap-buffer-overflow: READ of size 4 at k.c:2")),
            (HEAP_UNSYMBOLIZED, plain("heap-buffer-overflow: READ of size 4")),
            (OVERFLOW_GCC, overflow("4 + 2147483647")),
            (OVERFLOW_CLANG, overflow("2147483647 + 4")),
            (SEGV_GCC, plain("SEGV: WRITE at s.c:1")),
            (MEMCPY_GCC, plain("stack-buffer-overflow: WRITE of size 64 at k.c:31")),
            (STACK, None),
            ("hello\n", None),
            ("", None),
        ] {
            assert_eq!(read(printed, &sources), expected);
        }
    }

    #[test]
    fn a_header_beside_the_sources_is_named_when_no_source_is_on_the_stack() {
        let sources = [PathBuf::from("/p/other.c")];
        let found = read(MEMCPY_GCC, &sources).unwrap();
        assert!(found.ends_with("at tile.h:9"), "{found}");
    }
}
