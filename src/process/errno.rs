//! Which of the system's refusals go away by themselves.

use std::io::{Error, ErrorKind};

use rustix::io::Errno;

/// True for what the next try meets as well: a file that is not there, a permission, a text that is
/// too long. False for what may pass: a full disk, memory, a busy file, anything unknown.
pub fn lasts(error: &Error) -> bool {
    let kind = matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::AlreadyExists
            | ErrorKind::InvalidInput
            | ErrorKind::InvalidFilename
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::DirectoryNotEmpty
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::ArgumentListTooLong
            | ErrorKind::FileTooLarge
            | ErrorKind::TooManyLinks
            | ErrorKind::CrossesDevices
            | ErrorKind::Unsupported
    );
    // What has no kind that can be named.
    let named = [Errno::NOEXEC, Errno::LOOP, Errno::LIBBAD, Errno::NXIO];
    kind || Errno::from_io_error(error).is_some_and(|errno| named.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_lasts_or_may_pass() {
        for errno in [
            Errno::TOOBIG,
            Errno::ACCESS,
            Errno::PERM,
            Errno::NOEXEC,
            Errno::NOENT,
            Errno::NOTDIR,
            Errno::ISDIR,
            Errno::LOOP,
            Errno::ROFS,
            Errno::NAMETOOLONG,
        ] {
            assert!(lasts(&errno.into()), "{errno}");
        }
        for errno in [
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::NOMEM,
            Errno::AGAIN,
            Errno::MFILE,
            Errno::NFILE,
            Errno::TXTBSY,
            Errno::IO,
            Errno::INTR,
        ] {
            assert!(!lasts(&errno.into()), "{errno}");
        }
    }
}
