//! A walk over named fields, which feeds a digest and its readable record together.

use crate::cache::Kind;
use crate::digest::Digest;

/// A walk under way: hasher and record are fed together.
#[derive(Clone, Default)]
pub struct Walk {
    hasher: blake3::Hasher,
    fields: Vec<(String, String)>,
}

impl Walk {
    /// Adds an entry that is read.
    pub fn entry(&mut self, kind: Kind, name: &str, digest: &Digest) {
        let value = if digest.is_none() { "absent".to_owned() } else { digest.hex() };
        self.field(&format!("{}:{name}", kind.word()), &value);
    }

    /// Adds a field: tag, both lengths, both texts.
    pub fn field(&mut self, name: &str, value: &str) {
        self.hasher.update(b"F");
        self.hasher.update(&(name.len() as u64).to_le_bytes());
        self.hasher.update(name.as_bytes());
        self.hasher.update(&(value.len() as u64).to_le_bytes());
        self.hasher.update(value.as_bytes());
        self.fields.push((name.to_owned(), value.to_owned()));
    }

    /// The key so far.
    pub fn digest(&self) -> Digest {
        Digest(*self.hasher.finalize().as_bytes())
    }

    /// The key and its record.
    pub fn finish(self) -> (Digest, Vec<(String, String)>) {
        (self.digest(), self.fields)
    }
}
