//! What a cubin says of itself: an ELF file, in which nothing is trusted because it may come from
//! anywhere.

use object::LittleEndian;
use object::elf::FileHeader64;
use object::read::elf::FileHeader;

/// `EM_CUDA`.
const MACHINE: u16 = 190;

type Header = FileHeader64<LittleEndian>;

/// Why it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Other bytes.
    #[error("it is no 64-bit ELF file, which every cubin is")]
    NotElf,
    /// Code for something else.
    #[error("it is an ELF file for machine {0}, and cubins are for machine 190 (NVIDIA CUDA)")]
    OtherMachine(u16),
    /// Torn or made up.
    #[error("its section table does not lie within the file; the file may be cut off")]
    Torn,
}

/// The kernels in a cubin: the functions that it has code for, in the order of their sections.
///
/// # Errors
/// When it is no cubin.
pub fn functions(bytes: &[u8]) -> Result<Vec<String>, ElfError> {
    let header = header(bytes)?;
    let sections = header.sections(LittleEndian, bytes).map_err(|_| ElfError::Torn)?;
    let mut found = Vec::new();
    for section in sections.iter() {
        let name = sections.section_name(LittleEndian, section).map_err(|_| ElfError::Torn)?;
        if let Some(function) = name.strip_prefix(b".text.") {
            found.push(String::from_utf8_lossy(function).into_owned());
        }
    }
    Ok(found)
}

/// What it was built for, as far as its header says: `sm_90`, without the `a` or `f` of features
/// that only one architecture or family has. None where the version of the header is not known.
///
/// The number stands in `e_flags`: in its lowest byte up to version 7 of the binary interface, in
/// the second from version 8 on (seen in cubins by CUDA 12 and 13).
pub fn architecture(bytes: &[u8]) -> Option<String> {
    let header = header(bytes).ok()?;
    let flags = header.e_flags(LittleEndian).0;
    let number = match header.e_ident().abi_version {
        7 => flags & 0xff,
        8 => (flags >> 8) & 0xff,
        _ => return None,
    };
    (number > 0).then(|| format!("sm_{number}"))
}

fn header(bytes: &[u8]) -> Result<&Header, ElfError> {
    // Magic number, 64 bits, little endian.
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return Err(ElfError::NotElf);
    }
    let header = Header::parse(bytes).map_err(|_| ElfError::Torn)?;
    match header.e_machine(LittleEndian).0 {
        MACHINE => Ok(header),
        other => Err(ElfError::OtherMachine(other)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A cubin with nothing but the names of its sections.
    pub(in crate::backend::cuda) fn cubin(functions: &[&str]) -> Vec<u8> {
        let mut names = vec![0];
        let mut starts = vec![0_u32];
        for function in functions {
            starts.push(names.len() as u32);
            names.extend(format!(".text.{function}\0").bytes());
        }
        starts.push(names.len() as u32);
        names.extend(b".shstrtab\0");
        let mut bytes = b"\x7fELF\x02\x01\x01\x41\x08".to_vec();
        bytes.resize(64, 0);
        bytes[0x12..0x14].copy_from_slice(&MACHINE.to_le_bytes());
        bytes[0x28..0x30].copy_from_slice(&64_u64.to_le_bytes());
        bytes[0x30..0x34].copy_from_slice(&0x0600_5a04_u32.to_le_bytes());
        bytes[0x3a..0x3c].copy_from_slice(&64_u16.to_le_bytes());
        bytes[0x3c..0x3e].copy_from_slice(&(starts.len() as u16).to_le_bytes());
        bytes[0x3e..0x40].copy_from_slice(&(starts.len() as u16 - 1).to_le_bytes());
        let end = 64 + 64 * starts.len() as u64;
        for start in &starts {
            let mut header = [0; 64];
            header[..4].copy_from_slice(&start.to_le_bytes());
            header[0x18..0x20].copy_from_slice(&end.to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(names.len() as u64).to_le_bytes());
            bytes.extend(header);
        }
        bytes.extend(names);
        bytes
    }

    #[test]
    fn the_functions_of_a_cubin_are_the_sections_with_code() {
        let bytes = cubin(&["scale", "_Z5scalePf"]);
        assert_eq!(functions(&bytes).unwrap(), ["scale", "_Z5scalePf"]);
        assert_eq!(architecture(&bytes).as_deref(), Some("sm_90"));
        assert!(functions(&cubin(&[])).unwrap().is_empty());
    }

    #[test]
    fn other_files_are_told_what_they_are() {
        assert_eq!(functions(b".version 8.0\n"), Err(ElfError::NotElf));
        assert_eq!(functions(b""), Err(ElfError::NotElf));
        let mut host = cubin(&["f"]);
        host[0x12] = 62;
        assert_eq!(functions(&host), Err(ElfError::OtherMachine(62)));
        assert_eq!(architecture(&host), None);
    }

    #[test]
    fn a_file_that_is_cut_off_anywhere_is_refused() {
        let whole = cubin(&["scale"]);
        for length in 6..whole.len() {
            assert!(functions(&whole[..length]).is_err(), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_at_all_can_make_it_panic(at in 0_usize..256, value: u64) {
            let mut bytes = cubin(&["scale", "other"]);
            let at = at.min(bytes.len() - 8);
            bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
            let _either = (functions(&bytes), architecture(&bytes));
        }
    }
}
