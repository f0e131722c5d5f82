//! What judge and worker say to each other: postcard messages over a sequenced-packet socket,
//! with memory passed as descriptors. Sizes are bounded on both sides; the judge believes nothing.

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use super::super::contract::Grid;
use super::placement::{Slot, Stride};
use crate::process::sandbox::{SandboxLevel, SandboxMode};

/// Both sides are one executable; this catches one that was replaced in between.
pub(crate) const VERSION: u32 = 5;

/// The longest message either side accepts.
pub(crate) const MAX_MESSAGE: usize = 64 * 1024;

/// Descriptors that come with [`Request::Load`]: inputs and outputs.
pub(crate) const SEGMENTS: usize = 2;

/// Descriptors that one message carries at most: for a device, answers too.
const MOST_SEGMENTS: usize = 3;

/// Exit code of a worker that a sandbox ended for a system call, whose number is in the control
/// page.
pub(crate) const EXIT_TRAPPED: u8 = 96;

/// Exit code of a worker that was not started by a judge, or cannot serve one.
pub(crate) const EXIT_ALONE: u8 = 97;

/// Exit code of a worker whose connection was broken from inside.
pub(crate) const EXIT_CUT_OFF: u8 = 98;

/// Judge to worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Request {
    /// The first message; the control page comes with it. Measure the clock, then attend to the
    /// page until told to leave it.
    Hello {
        /// [`VERSION`] of the judge.
        version: u32,
        /// The core to stay on.
        cpu: Option<u32>,
        /// How much address space there may be from now on.
        memory_bytes: Option<u64>,
    },
    /// Give up what no kernel needs, and load one.
    Open {
        /// The shared object: an absolute path.
        library: Vec<u8>,
        /// How far to be confined.
        sandbox: SandboxMode,
        /// The one folder to write to, an absolute path.
        private: Vec<u8>,
    },
    /// Map the segments that come with this message, in place of what was mapped before; then
    /// attend to the control page until told to leave it.
    Load {
        /// The arguments.
        slots: Vec<Slot>,
        /// How many sets there are.
        sets: u32,
        /// What all sets take of inputs and outputs.
        sizes: (Stride, Stride),
    },
    /// To a CUDA worker, in place of [`Request::Hello`]: start the driver on a device.
    Device {
        /// [`VERSION`] of the judge.
        version: u32,
        /// The core to stay on.
        cpu: Option<u32>,
        /// Its number, or `GPU-` and its UUID.
        device: String,
    },
    /// To a CUDA worker, in place of [`Request::Open`]: load the kernels, one a seat.
    Seats {
        /// The bundles: absolute paths.
        bundles: Vec<Vec<u8>>,
        /// How far to be confined where one has host code.
        sandbox: SandboxMode,
        /// The one folder to write to, an absolute path.
        private: Vec<u8>,
    },
    /// To a CUDA worker, in place of [`Request::Load`].
    LoadSeat {
        /// Which kernel, counted from 0.
        seat: u32,
        /// How it is launched.
        grid: Grid,
        /// The arguments.
        slots: Vec<Slot>,
        /// How many sets there are.
        sets: u32,
        /// What all sets take of inputs and outputs.
        sizes: (Stride, Stride),
    },
    /// Leave.
    Exit,
}

impl Request {
    /// How many bytes the worker maps or copies to carry it out.
    pub(crate) fn staged_bytes(&self) -> u64 {
        match self {
            Self::Load { sizes, .. } | Self::LoadSeat { sizes, .. } => {
                sizes.0.bytes.saturating_add(sizes.1.bytes)
            }
            _ => 0,
        }
    }
}

/// Worker to judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The control page is attended to.
    Ready {
        /// The smallest step that the clock showed.
        step_ns: u64,
        /// What a launch of nothing is reported as, in the middle.
        overhead_ns: u64,
    },
    /// The kernel is loaded.
    Opened {
        /// How far it is confined.
        level: SandboxLevel,
    },
    /// The segments are mapped and the control page is attended to.
    Loaded,
    /// The kernel's shared object cannot be loaded.
    Unloadable(String),
    /// The driver did not carry out a call.
    Trouble {
        /// Its code.
        code: u32,
        /// What was called.
        call: String,
    },
    /// The device does not take such launches, in words.
    Refused(String),
    /// The worker itself cannot go on.
    Failed(String),
}

impl Reply {
    /// The words for a step that the system refused.
    pub(crate) fn failed<E: fmt::Display>(what: &str) -> impl Fn(E) -> Self {
        move |error| Self::Failed(format!("{what}: {error}"))
    }
}

/// Sends a message with descriptors.
pub(crate) fn send<T: Serialize>(
    socket: BorrowedFd<'_>,
    message: &T,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
    if bytes.len() > MAX_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "message too long"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SEGMENTS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many descriptors"));
    }
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// What [`receive`] found.
pub(crate) enum Received<T> {
    /// A message with the descriptors that came with it.
    Message(T, Vec<OwnedFd>),
    /// The other side is gone.
    Closed,
    /// Bytes that are no message.
    Garbage,
}

/// Receives one message. Without `WAIT`, the socket must be readable.
pub(crate) fn receive<T: for<'de> Deserialize<'de>>(
    socket: impl AsFd,
    flags: RecvFlags,
) -> io::Result<Received<T>> {
    let mut bytes = vec![0u8; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SEGMENTS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        match recvmsg(&socket, &mut slices, &mut control, flags | RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => received,
            Err(rustix::io::Errno::CONNRESET) => return Ok(Received::Closed),
            Err(e) => return Err(e.into()),
        }
    };
    let fds = control
        .drain()
        .flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect::<Vec<_>>(),
            _ => Vec::new(),
        })
        .collect();
    if received.bytes == 0 {
        return Ok(Received::Closed);
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Ok(Received::Garbage);
    }
    Ok(match postcard::from_bytes(&bytes[..received.bytes]) {
        Ok(message) => Received::Message(message, fds),
        Err(_) => Received::Garbage,
    })
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn a_message_arrives_with_its_descriptors() {
        let (a, b) = pair();
        let file = tempfile::tempfile().unwrap();
        let sizes = (Stride::default(), Stride { bytes: 4096, regions: 1 });
        let request = Request::Load { slots: vec![Slot::Scalar(vec![1, 2, 3, 4])], sets: 1, sizes };
        send(a.as_fd(), &request, &[file.as_fd()]).unwrap();
        match receive::<Request>(&b, RecvFlags::empty()).unwrap() {
            Received::Message(message, fds) => {
                assert_eq!(message, request);
                assert_eq!(fds.len(), 1);
            }
            _ => panic!("no message"),
        }
    }

    #[test]
    fn a_closed_side_and_garbage_are_told_apart() {
        let (a, b) = pair();
        rustix::net::send(&a, &[0xff; 7], SendFlags::NOSIGNAL).unwrap();
        assert!(matches!(receive::<Reply>(&b, RecvFlags::empty()).unwrap(), Received::Garbage));
        drop(a);
        assert!(matches!(receive::<Reply>(&b, RecvFlags::empty()).unwrap(), Received::Closed));
    }

    #[test]
    fn a_message_too_long_is_not_sent() {
        let (a, _b) = pair();
        let (sandbox, private) = (SandboxMode::Off, Vec::new());
        let request = Request::Open { library: vec![b'x'; MAX_MESSAGE], sandbox, private };
        assert_eq!(send(a.as_fd(), &request, &[]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
