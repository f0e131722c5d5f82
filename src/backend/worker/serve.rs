//! Serving the judge, whatever kernels run on.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::RecvFlags;

use super::super::link::protocol::{self, Received, Reply, Request};

/// What a worker becomes by the judge's requests: a process in which kernels are loaded and launched.
pub(in crate::backend) trait Runner {
    /// Carries out a request, whose descriptors come with it; what it comes to either way.
    fn answer(
        &mut self,
        request: Request,
        fds: Vec<OwnedFd>,
        socket: &OwnedFd,
    ) -> Result<Reply, Reply>;

    /// Carries out orders on the control page until one says to go back to the socket. The error
    /// says that there is no socket any more.
    fn attend(&mut self, socket: &OwnedFd) -> io::Result<()>;
}

/// Answers requests until one says to leave or the judge is gone. The error says that the connection
/// was broken.
pub(in crate::backend) fn serve(socket: &OwnedFd, runner: &mut dyn Runner) -> io::Result<()> {
    loop {
        let received = protocol::receive::<Request>(socket, RecvFlags::empty())?;
        let (request, fds) = match received {
            Received::Message(Request::Exit, _) | Received::Closed => return Ok(()),
            Received::Message(request, fds) => (request, fds),
            Received::Garbage => return Err(io::ErrorKind::InvalidData.into()),
        };
        let reply = runner.answer(request, fds, socket).unwrap_or_else(|failed| failed);
        protocol::send(socket.as_fd(), &reply, &[])?;
        if matches!(reply, Reply::Ready { .. } | Reply::Loaded) {
            runner.attend(socket)?;
        }
    }
}
