//! What `/proc` says about processes, read without allocation where it is asked often.

use rustix::fs::{Mode, OFlags};

const CHILDREN_BYTES: usize = 4096;

/// One line of `/proc/PID/stat`, as far as this room needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proc {
    pub(super) pid: i32,
    pub(super) name: String,
    pub(super) state: u8,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// Clock ticks between boot and start: together with the pid it names a process for ever.
    pub(super) start: u64,
}

impl Proc {
    /// The process as it is now, or `None` when it is gone.
    pub(super) fn read(pid: i32) -> Option<Self> {
        let mut buffer = [0_u8; 1024];
        let text = read_into(&format!("/proc/{pid}/stat"), &mut buffer)?;
        Self::parse(text)
    }

    /// The command name may hold spaces and parentheses, so fields count from its last `)`.
    fn parse(line: &[u8]) -> Option<Self> {
        let open = line.iter().position(|&byte| byte == b'(')?;
        let close = line.iter().rposition(|&byte| byte == b')')?;
        let pid = str::from_utf8(line.get(..open)?).ok()?.trim().parse().ok()?;
        let name = String::from_utf8_lossy(line.get(open + 1..close)?).into_owned();
        let rest = str::from_utf8(line.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|field| field.parse::<i64>().ok());
        Some(Self {
            pid,
            name,
            state: *fields.first()?.as_bytes().first()?,
            parent: number(1)? as i32,
            group: number(2)? as i32,
            session: number(3)? as i32,
            start: number(19)? as u64,
        })
    }

    /// Ended already, and only waiting for its parent to notice.
    pub(super) fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Every process that this one may see.
pub(super) fn all() -> Vec<Proc> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Proc::read)
        .collect()
}

/// Children of this process's first thread: what it spawned itself, and every orphan that the
/// kernel handed to us. `None` on kernels built without the file.
pub(super) fn children_of_main() -> Option<Vec<i32>> {
    let me = std::process::id();
    let path = format!("/proc/{me}/task/{me}/children");
    let mut buffer = [0_u8; CHILDREN_BYTES];
    let text = read_into(&path, &mut buffer)?;
    // A list that fills the buffer may be cut in the middle of a number.
    if text.len() == CHILDREN_BYTES {
        return None;
    }
    let text = str::from_utf8(text).ok()?;
    Some(text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// Whether a process has children, whichever of its threads started them. `None` on kernels built
/// without the file, and for a process that is gone.
pub(super) fn has_children(pid: i32) -> Option<bool> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let mut buffer = [0_u8; 16];
    for thread in threads.flatten() {
        let path = thread.path().join("children");
        if !read_into(path.to_str()?, &mut buffer)?.is_empty() {
            return Some(true);
        }
    }
    Some(false)
}

/// The value of one variable in the environment that a process was started with.
pub(super) fn environment_value(pid: i32, name: &str) -> Option<Vec<u8>> {
    let environment = environment(pid)?;
    environment
        .split(|&byte| byte == 0)
        .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .map(<[u8]>::to_vec)
}

/// In the middle of an exec the file is empty for a moment, so emptiness is looked at again.
fn environment(pid: i32) -> Option<Vec<u8>> {
    let read = || std::fs::read(format!("/proc/{pid}/environ")).ok();
    for _attempt in 0..5 {
        let environment = read()?;
        if !environment.is_empty() {
            return Some(environment);
        }
        std::thread::sleep(std::time::Duration::from_micros(500));
    }
    read()
}

/// Reads a small file of `/proc` in one go; these files have no length to ask for.
fn read_into<'a>(path: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut filled = 0;
    while filled < buffer.len() {
        match rustix::io::read(&file, &mut buffer[filled..]).ok()? {
            0 => break,
            count => filled += count,
        }
    }
    Some(&buffer[..filled])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line = b"42 (a) (b c) S 7 42 41 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 987654 1 1\n";
        let process = Proc::parse(line).expect("a well-formed line");
        assert_eq!(process.pid, 42);
        assert_eq!(process.name, "a) (b c");
        assert_eq!((process.state, process.parent), (b'S', 7));
        assert_eq!((process.group, process.session), (42, 41));
        assert_eq!(process.start, 987_654);
    }

    #[test]
    fn a_torn_line_is_no_process() {
        for line in [&b""[..], b"42", b"42 (a", b"42 (a) S 1 2", b"x (a) S 1 1 1"] {
            assert_eq!(Proc::parse(line), None, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn this_process_finds_itself_and_its_environment() {
        let me = std::process::id() as i32;
        let process = Proc::read(me).expect("we exist");
        assert!(!process.is_zombie());
        assert!(all().iter().any(|other| other.pid == me && other.start == process.start));
        assert!(environment_value(me, "PATH").is_some_and(|path| path.contains(&b'/')));
        assert_eq!(environment_value(me, "PAT"), None);
    }
}
