//! What the driver's codes mean.

use crate::backend::Trouble;

/// What a code means (CUDA driver API, `CUresult`).
pub(in crate::backend::cuda) fn trouble(code: u32) -> Trouble {
    match code {
        2 => Trouble::OutOfMemory,
        214 => Trouble::Memory,
        46 | 205 | 709 | 720 | 999 => Trouble::Lost,
        9 | 701 => Trouble::Refused,
        700 | 702 | 710 | 714..=719 => Trouble::Crashed,
        _ => Trouble::Other,
    }
}

/// The driver's name for a code, as its header has it.
pub(in crate::backend::cuda) fn name(code: u32) -> &'static str {
    match code {
        1 => "CUDA_ERROR_INVALID_VALUE",
        2 => "CUDA_ERROR_OUT_OF_MEMORY",
        3 => "CUDA_ERROR_NOT_INITIALIZED",
        9 => "CUDA_ERROR_INVALID_CONFIGURATION",
        46 => "CUDA_ERROR_DEVICE_UNAVAILABLE",
        100 => "CUDA_ERROR_NO_DEVICE",
        101 => "CUDA_ERROR_INVALID_DEVICE",
        200 => "CUDA_ERROR_INVALID_IMAGE",
        201 => "CUDA_ERROR_INVALID_CONTEXT",
        209 => "CUDA_ERROR_NO_BINARY_FOR_GPU",
        214 => "CUDA_ERROR_ECC_UNCORRECTABLE",
        218 => "CUDA_ERROR_INVALID_PTX",
        222 => "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
        500 => "CUDA_ERROR_NOT_FOUND",
        700 => "CUDA_ERROR_ILLEGAL_ADDRESS",
        701 => "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
        702 => "CUDA_ERROR_LAUNCH_TIMEOUT",
        709 => "CUDA_ERROR_CONTEXT_IS_DESTROYED",
        710 => "CUDA_ERROR_ASSERT",
        714 => "CUDA_ERROR_HARDWARE_STACK_ERROR",
        715 => "CUDA_ERROR_ILLEGAL_INSTRUCTION",
        716 => "CUDA_ERROR_MISALIGNED_ADDRESS",
        717 => "CUDA_ERROR_INVALID_ADDRESS_SPACE",
        718 => "CUDA_ERROR_INVALID_PC",
        719 => "CUDA_ERROR_LAUNCH_FAILED",
        803 => "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        999 => "CUDA_ERROR_UNKNOWN",
        _ => "an error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_trouble_and_their_name() {
        for (code, expected, word) in [
            (2, Trouble::OutOfMemory, "OUT_OF_MEMORY"),
            (214, Trouble::Memory, "ECC"),
            (700, Trouble::Crashed, "ILLEGAL_ADDRESS"),
            (719, Trouble::Crashed, "LAUNCH_FAILED"),
            (701, Trouble::Refused, "OUT_OF_RESOURCES"),
            (46, Trouble::Lost, "UNAVAILABLE"),
            (999, Trouble::Lost, "UNKNOWN"),
            (12345, Trouble::Other, "an error"),
        ] {
            assert_eq!(trouble(code), expected, "{code}");
            assert!(name(code).contains(word), "{code}");
        }
    }
}
