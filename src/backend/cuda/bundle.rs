//! A built CUDA kernel as one file: the image that the driver loads, and what a launch of it needs.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What the image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageKind {
    /// Machine code of one architecture.
    Cubin,
    /// PTX text, which the driver compiles.
    Ptx,
    /// A shared object with host code: `extern "C" void launch(arguments…, cudaStream_t)`.
    Shared,
}

/// A kernel's own launch geometry, from its `// optloop:` lines: each replaces the problem's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchLines {
    /// Blocks, as expressions over sizes and `block.x`.
    pub grid: Option<Vec<String>>,
    /// Threads of a block, as expressions over sizes.
    pub block: Option<Vec<String>>,
    /// Bytes of dynamic shared memory, as an expression.
    pub shared: Option<String>,
}

/// A built kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// What the image is.
    pub kind: ImageKind,
    /// The kernel's name in the image.
    pub entry: String,
    /// What it was built for, such as `sm_90a`; empty where that is not known.
    pub arch: String,
    /// Its own geometry.
    pub launch: LaunchLines,
    /// The image.
    pub image: Vec<u8>,
}

/// The first bytes of a bundle.
const MAGIC: &[u8] = b"optloop cuda bundle 1\n";

impl Bundle {
    /// The file's bytes: the same for the same kernel.
    ///
    /// # Panics
    /// Never: plain data can be encoded.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let body = postcard::to_stdvec(self).expect("plain data can be encoded");
        bytes.extend(body);
        bytes
    }

    /// Reads one back.
    ///
    /// # Errors
    /// That these bytes are no bundle.
    pub fn from_bytes(bytes: &[u8]) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "no built CUDA kernel");
        let body = bytes.strip_prefix(MAGIC).ok_or_else(wrong)?;
        postcard::from_bytes(body).map_err(|_| wrong())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// That it cannot be read, or is no bundle.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::from_bytes(&std::fs::read(path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_reads_back_as_it_was_written_and_nothing_else_is_one() {
        let bundle = Bundle {
            kind: ImageKind::Cubin,
            entry: "softmax".into(),
            arch: "sm_90a".into(),
            launch: LaunchLines { block: Some(vec!["256".into()]), ..LaunchLines::default() },
            image: vec![0x7f, b'E', b'L', b'F'],
        };
        let bytes = bundle.to_bytes();
        assert_eq!(Bundle::from_bytes(&bytes).unwrap(), bundle);
        assert!(Bundle::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        assert!(Bundle::from_bytes(b"\x7fELF").is_err());
    }
}
