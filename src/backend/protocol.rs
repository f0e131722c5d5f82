//! What judge and worker say to each other: postcard messages over a sequenced-packet socket,
//! with memory passed as descriptors. Sizes are bounded on both sides; the judge believes nothing.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use crate::process::sandbox::{SandboxLevel, SandboxMode};

/// Both sides are one executable; this catches one that was replaced in between.
pub(crate) const VERSION: u32 = 4;

/// The longest message either side accepts.
pub(crate) const MAX_MESSAGE: usize = 64 * 1024;

/// Buffers start on a cache line, as far as their size lets them end at a guard page.
pub(crate) const ALIGNMENT: usize = 64;

/// Descriptors that one message carries at most: inputs and outputs.
pub(crate) const SEGMENTS: usize = 2;

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
        /// The first set's arguments.
        slots: Vec<Slot>,
        /// How many sets there are.
        sets: u32,
        /// From one set to the next, in inputs and in outputs.
        strides: (Stride, Stride),
    },
    /// Leave.
    Exit,
}

/// Where an argument comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Slot {
    /// A value of 1 to 16 bytes.
    Scalar(Vec<u8>),
    /// In the inputs segment, read-only.
    In(Extent),
    /// In the outputs segment.
    Out(Extent),
    /// Copied from the first (inputs) to the second (outputs) before each launch.
    Inout(Extent, Extent),
}

/// A stretch of a segment: what one set takes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Stride {
    /// Its length in the segment.
    pub(crate) bytes: u64,
    /// How many regions lie in it; where it is mapped, a guard page stands before each.
    pub(crate) regions: u64,
}

impl Stride {
    /// So many in a row.
    pub(crate) fn times(&self, count: u64) -> Option<Self> {
        let bytes = self.bytes.checked_mul(count)?;
        Some(Self { bytes, regions: self.regions.checked_mul(count)? })
    }

    /// How long it is where it is mapped, with the guard page behind it.
    pub(crate) fn mapped(&self, page: usize) -> Option<u64> {
        self.regions.checked_add(1)?.checked_mul(page as u64)?.checked_add(self.bytes)
    }
}

/// A buffer's place in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extent {
    /// What lies before its region.
    pub(crate) before: Stride,
    /// Length of the region, a multiple of the page size, never 0.
    pub(crate) region: u64,
    /// First byte of the buffer inside the region.
    pub(crate) start: u64,
    /// Length of the buffer.
    pub(crate) bytes: u64,
}

impl Extent {
    /// The place of `bytes` bytes in a region that follows on `before`: as close to the region's
    /// end, where the guard page is, as [`ALIGNMENT`] allows.
    pub(crate) fn place(before: Stride, bytes: usize, page: usize) -> Option<Self> {
        let region = bytes.max(1).checked_next_multiple_of(page)?;
        let start = (region - bytes) / ALIGNMENT * ALIGNMENT;
        Some(Self { before, region: region as u64, start: start as u64, bytes: bytes as u64 })
    }

    /// The same place so much further on.
    pub(crate) fn shifted(&self, by: Stride) -> Self {
        let (bytes, regions) = (self.before.bytes, self.before.regions);
        let before = Stride {
            bytes: bytes.saturating_add(by.bytes),
            regions: regions.saturating_add(by.regions),
        };
        Self { before, ..*self }
    }

    /// First byte of the buffer in the segment.
    pub(crate) fn position(&self) -> u64 {
        self.before.bytes.saturating_add(self.start)
    }

    /// First byte of the region where the segment is mapped.
    pub(crate) fn mapped(&self, page: usize) -> Option<u64> {
        self.before.mapped(page)
    }

    /// All up to the region's end.
    pub(crate) fn end(&self) -> Stride {
        Stride { bytes: self.before.bytes + self.region, regions: self.before.regions + 1 }
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
    /// The worker itself cannot go on.
    Failed(String),
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
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SEGMENTS))];
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
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SEGMENTS))];
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
    fn a_buffer_ends_at_its_guard_page_when_alignment_allows() {
        for (bytes, region, start) in [
            (0, 4096, 4096),
            (1, 4096, 4032),
            (64, 4096, 4032),
            (4096, 4096, 0),
            (4100, 8192, 4032),
            (8192, 8192, 0),
        ] {
            let extent = Extent::place(Stride { bytes: 4096, regions: 1 }, bytes, 4096).unwrap();
            assert_eq!((extent.region, extent.start), (region, start), "{bytes} bytes");
            assert!(extent.start + extent.bytes <= extent.region);
            assert_eq!(extent.start % 64, 0);
        }
        assert_eq!(Extent::place(Stride::default(), usize::MAX, 4096), None);
    }

    #[test]
    fn a_guard_page_stands_before_each_mapped_region_and_behind_the_last() {
        let page = 4096;
        let first = Extent::place(Stride::default(), 5000, page).unwrap();
        let second = Extent::place(first.end(), 1, page).unwrap();
        assert_eq!(first.mapped(page), Some(4096));
        assert_eq!(second.mapped(page), Some(4096 + 8192 + 4096));
        let stride = second.end();
        assert_eq!(stride, Stride { bytes: 12288, regions: 2 });
        assert_eq!(first.shifted(stride).mapped(page), Some(3 * 4096 + 12288));
        let all = stride.times(2).unwrap();
        assert_eq!(all.mapped(page), Some(2 * 12288 + 5 * 4096));
        assert_eq!(stride.times(u64::MAX), None);
    }

    #[test]
    fn a_message_arrives_with_its_descriptors() {
        let (a, b) = pair();
        let file = tempfile::tempfile().unwrap();
        let strides = (Stride::default(), Stride { bytes: 4096, regions: 1 });
        let request =
            Request::Load { slots: vec![Slot::Scalar(vec![1, 2, 3, 4])], sets: 1, strides };
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
