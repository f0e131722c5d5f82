//! A part of two buffers that are compared.

/// The same elements of the candidate's output and of the reference's, as bytes of equal length.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The candidate's.
    pub got: &'a [u8],
    /// The reference's.
    pub want: &'a [u8],
    /// The position of the first of them in the whole buffer, in elements.
    pub start: u64,
}
