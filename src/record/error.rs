//! What can be wrong with what is on disk about runs and decisions.

use std::io;
use std::path::PathBuf;

use super::ledger::{Place, What};

/// Why something of a run or of a decision could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The system does not give a file's content.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system does not take what is to be written: the disk is full, say.
    #[error("cannot write {}: {source}", path.display())]
    Unwritable {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system does not remove a file or folder.
    #[error("cannot remove {}: {source}", path.display())]
    NotRemoved {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system does not say where a path leads to.
    #[error("cannot find {}: {source}", path.display())]
    NotFound {
        /// Which path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A value that has no JSON.
    #[error("cannot encode: {0}")]
    Unencodable(#[source] serde_json::Error),
    /// A line before the last one is no JSON: only the last may be torn by a kill.
    #[error("line {line} of {} is damaged ({source}); mend or remove that line", path.display())]
    DamagedLine {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A whole line that is not what the file holds.
    #[error("line {line} of {} is not {kind}: {source}", path.display())]
    WrongLine {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What it should be, with its article.
        kind: &'static str,
        /// Why it is not.
        source: LineError,
    },
    /// A line that is to be appended and may not stand there.
    #[error("this is no line for {}: {source}", path.display())]
    Unsuitable {
        /// Which file.
        path: PathBuf,
        /// Why it may not.
        source: LineError,
    },
    /// A file that should be an artifact.
    #[error("{} is not an artifact: {source}", path.display())]
    NoArtifact {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A file whose JSON is not what it should hold.
    #[error("{} cannot be understood: {source}; put it back from a copy", path.display())]
    Garbled {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A file that a later optloop wrote.
    #[error("{} has version {version}, and this optloop reads {known}", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u64,
        /// The newest one that is understood.
        known: u32,
    },
    /// A kept file does not hold what it held.
    #[error("{} is damaged: put it back from a copy", .0.display())]
    Damaged(PathBuf),
    /// A kept file is gone.
    #[error("{} is missing: put it back from a copy", .0.display())]
    Missing(PathBuf),
    /// The folder of a kept kernel does not say what it is.
    #[error("{} has no about.json: put it back from a copy", .0.display())]
    NoAbout(PathBuf),
    /// `current` or `baseline` names a folder that is not about its kernel.
    #[error(
        "{} names {}, which is about another kernel: put both back from a copy",
        name.display(),
        folder.display()
    )]
    OtherKernel {
        /// The file `current` or `baseline`.
        name: PathBuf,
        /// The folder that it names.
        folder: PathBuf,
    },
    /// The kernel that an earlier line made the incumbent is not kept any more.
    #[error("the kernel of line {line} is not kept in {}", folder.display())]
    NotKept {
        /// The line's number.
        line: u64,
        /// Where it was kept.
        folder: PathBuf,
    },
    /// There is no incumbent that could be put back, or that a keep is better than.
    #[error(
        "there is no incumbent of {} on this device yet: the first comparing run makes one",
        .0.words()
    )]
    NoIncumbent(Box<Place>),
    /// A file changed while it was copied.
    #[error("{} is changing: try again", .0.display())]
    Changing(PathBuf),
    /// Another transition has begun.
    #[error("a {} begun at {at} has not ended yet", event.word())]
    Unfinished {
        /// What it is.
        event: What,
        /// When it began, RFC 3339.
        at: String,
    },
    /// A line of the ledger that does not come with such a change.
    #[error("a {} does not change the incumbent so", .0.word())]
    NoSuchChange(What),
    /// A transition that writes over the user's files only goes forward.
    #[error("a {} that has begun can only be ended", .0.word())]
    Begun(What),
    /// A transition that is over cannot be taken back.
    #[error("the ledger knows of this {} already", .0.word())]
    Recorded(What),
    /// A transition has begun and could not be ended.
    #[error("{source}; this {} has begun, and the next optloop run here ends it", event.word())]
    CutOff {
        /// What it is.
        event: What,
        /// What went wrong.
        source: Box<Self>,
    },
}

impl RecordError {
    /// Whether only a person can mend it: what lies on disk is damaged, of a later version or gone,
    /// or what was asked for does not fit it. Otherwise the system refused: the same may work once
    /// the disk has space, or a permission is given.
    pub fn is_for_people(&self) -> bool {
        match self {
            Self::Unreadable { .. }
            | Self::Unwritable { .. }
            | Self::NotRemoved { .. }
            | Self::NotFound { .. }
            | Self::Unencodable(_) => false,
            Self::CutOff { source, .. } => source.is_for_people(),
            _ => true,
        }
    }
}

/// Why a line may not stand where it does.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// A later optloop wrote it.
    #[error("it has version {version}, and this optloop reads {known}")]
    Newer {
        /// Its version.
        version: u64,
        /// The newest one that is understood.
        known: u32,
    },
    /// It has other fields.
    #[error("{0}")]
    Form(#[source] serde_json::Error),
    /// The numbers of lines are consecutive.
    #[error(
        "it has number {number} where {expected} belongs: lines are missing or doubled; put the \
         whole file back from a copy"
    )]
    Number {
        /// Its number.
        number: u64,
        /// The one that follows the line before.
        expected: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_not_for_people_to_mend_and_a_damaged_line_is() {
        let full = || RecordError::Unwritable {
            path: "ledger.jsonl".into(),
            source: io::Error::from(io::ErrorKind::StorageFull),
        };
        let torn = || RecordError::Damaged("kernel.so".into());
        let cut = |source| RecordError::CutOff { event: What::Keep, source: Box::new(source) };
        assert!(!full().is_for_people() && !cut(full()).is_for_people());
        assert!(torn().is_for_people() && cut(torn()).is_for_people());
        let text = cut(torn()).to_string();
        assert!(text.starts_with("kernel.so is damaged") && text.contains("this keep"), "{text}");
    }
}
