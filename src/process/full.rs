//! Is a disk full? Found out by writing to it, for a tool that says "no space" has often removed what
//! it wrote by then, quotas stand in no table, and tools say it in many words or none.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate};
use rustix::io::Errno;

/// How much room there must be for a disk not to count as full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// What any tool needs: for one that said nothing about room.
    Little,
    /// What a tool may have needed that said there was none.
    Much,
}

impl Want {
    /// By what a tool said; `LC_ALL=C` or not, the system's own words are among those looked for.
    pub fn after(output: &str) -> Self {
        // Of the C library, of binutils, of LLVM, and of tools that only see a short write.
        const PHRASES: [&str; 6] = [
            "No space left on device",
            "Disk quota exceeded",
            "no space",
            "disk full",
            "can't write",
            "file truncated",
        ];
        let system = [Errno::NOSPC, Errno::DQUOT].map(|errno| in_words(&errno.into()));
        let said = PHRASES.iter().any(|phrase| output.contains(phrase))
            || system.iter().any(|words| output.contains(words.as_str()));
        if said { Self::Much } else { Self::Little }
    }

    fn bytes(self) -> usize {
        match self {
            Self::Little => 64 << 10,
            Self::Much => 16 << 20,
        }
    }
}

/// The system's words, without the number that the standard library adds.
fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// True when so much cannot be written into the folder because its disk, or this user's share of
/// it, is full. What is written for that has no name and is gone at once.
pub fn is_full(folder: &Path, want: Want) -> bool {
    match probe(folder, want.bytes()) {
        Ok(()) => false,
        Err(e) => matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded),
    }
}

fn probe(folder: &Path, bytes: usize) -> io::Result<()> {
    let nameless = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file: File = match rustix::fs::open(folder, nameless, Mode::RUSR | Mode::WUSR) {
        Ok(fd) => fd.into(),
        // File systems without nameless files.
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => tempfile::tempfile_in(folder)?,
        Err(errno) => return Err(errno.into()),
    };
    match fallocate(&file, FallocateFlags::empty(), 0, bytes as u64) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP) => {
            let block = vec![1; 64 << 10];
            for _ in 0..bytes.div_ceil(block.len()) {
                file.write_all(&block)?;
            }
            file.sync_data()
        }
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tools_say_of_a_full_disk_is_understood() {
        for text in [
            "/usr/bin/ld: final link failed: No space left on device",
            "as: can't write 17 bytes to section .text of /tmp/x.o: 'No space left on device'",
            "/usr/bin/ld: kernel.o: file truncated",
            "cc1: error: write: Disk quota exceeded",
        ] {
            assert_eq!(Want::after(text), Want::Much, "{text}");
        }
        assert_eq!(Want::after("k.c:2: error: 'z' undeclared"), Want::Little);
    }

    #[test]
    fn a_disk_with_room_is_not_full_and_nothing_is_left_on_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        assert!(!is_full(dir.path(), Want::Little));
        assert!(!is_full(&dir.path().join("gone"), Want::Much));
        assert_eq!(std::fs::read_dir(dir.path()).expect("there").count(), 0);
    }
}
