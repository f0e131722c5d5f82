//! Probing libraries of a few lines.

use super::*;
use crate::backend::cuda::stub_tests as stub;
use crate::host::MemoryHost;

/// Every call, each of which fails; what `own` defines is left to it.
fn driver(own: &str) -> String {
    let mut code = String::from(own);
    for call in CALLS.iter().filter(|call| !own.contains(&format!(" {call}("))) {
        code += &format!("\nint {call}(void) {{ return 1; }}");
    }
    code
}

fn probe_of(code: &str) -> CudaProbe {
    let dir = tempfile::tempdir().expect("tempdir");
    stub::library(&dir.path().join("lib"), code);
    let places = Places::under(dir.path(), &MemoryHost::with_vars([("LD_LIBRARY_PATH", "/lib")]));
    probe(&places)
}

const NEW: &str = "int cuDriverGetVersion(int *v) { *v = 12080; return 0; }
int cuGetErrorName(int c, const char **t) { *t = \"CUDA_ERROR_OF_A_TEST\"; return 0; }
";

#[test]
fn a_uuid_reads_as_the_driver_tools_print_it() {
    let bytes: [u8; 16] = std::array::from_fn(|i| i as u8 * 17);
    assert_eq!(uuid_text(&bytes), "GPU-00112233-4455-6677-8899-aabbccddeeff");
}

#[test]
fn no_driver_is_an_answer_with_what_to_do() {
    let dir = tempfile::tempdir().expect("tempdir");
    let answer = probe(&Places::under(dir.path(), &MemoryHost::default()));
    assert!(
        matches!(&answer, CudaProbe::NoDriver { tried, .. } if !tried.is_empty()),
        "{answer:?}"
    );
    assert!(answer.to_string().contains("libcuda.so.1 was not found"), "{answer}");
    assert!(answer.hint().is_some());
}

#[test]
fn a_driver_that_lacks_calls_is_too_old_and_is_never_started() {
    let started = "int cuInit(unsigned f) { __builtin_trap(); }";
    let answer = probe_of(&format!("{NEW}{started}"));
    let CudaProbe::TooOld { version: 12_080, needed: NEEDED, missing } = &answer else {
        panic!("{answer:?}");
    };
    let has = ["cuInit", "cuDriverGetVersion", "cuGetErrorName"];
    assert_eq!(missing.len(), CALLS.len() - has.len());
    assert!(missing.contains(&"cuGraphAddKernelNode_v2".to_owned()));
    assert!(answer.to_string().contains("it lacks cuDeviceGetCount and"), "{answer}");
}

#[test]
fn a_driver_of_an_older_cuda_is_too_old_even_with_every_call() {
    let answer = probe_of(&driver("int cuDriverGetVersion(int *v) { *v = 11080; return 0; }"));
    let words = "the CUDA driver here is of 11.8, and 12.8 is needed";
    assert_eq!(answer.to_string(), words);
    assert!(answer.hint().expect("a way out").contains("525"));
    let silent = probe_of(&driver(""));
    assert!(silent.to_string().contains("does not tell its version"), "{silent}");
}

#[test]
fn a_driver_that_does_not_start_says_why_and_each_reason_has_its_own_way_out() {
    for (wanted, words) in [
        (803, "restart the machine"),
        (100, "CUDA_VISIBLE_DEVICES"),
        (800, "/dev/nvidia"),
        (802, "fabricmanager"),
        (34, "stubs"),
        (777, "nvidia-smi"),
    ] {
        let init = format!("int cuInit(unsigned f) {{ return {wanted}; }}");
        let answer = probe_of(&driver(&format!("{NEW}{init}")));
        let CudaProbe::Unusable { code, why } = &answer else { panic!("{answer:?}") };
        assert_eq!(*code, wanted);
        assert!(why.contains(&format!("CUDA_ERROR_OF_A_TEST, {wanted}")), "{why}");
        assert!(answer.hint().expect("a way out").contains(words), "{wanted}");
    }
}

#[test]
fn devices_are_listed_by_their_place_with_all_that_the_driver_tells() {
    let own = "#include <string.h>
int cuInit(unsigned f) { return 0; }
int cuDeviceGetCount(int *n) { *n = 2; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDeviceGetName(char *t, int n, int d) { strcpy(t, d ? \"Example B\" : \"Example A\"); return 0; }
int cuDeviceGetUuid_v2(char *u, int d) { memset(u, 0xa0 + d, 16); return 0; }
int cuDeviceTotalMem_v2(unsigned long *b, int d) { *b = 80ul << 30; return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 33 ? 0x3b - d : a * 1000; return 0; }
";
    let answer = probe_of(&driver(&format!("{NEW}{own}")));
    let CudaProbe::Devices(devices) = &answer else { panic!("{answer:?}") };
    let places: Vec<_> = devices.iter().map(|d| (d.name.as_str(), d.bus.as_str())).collect();
    // 50 is the domain, 34 the device on the bus, by the numbers of CUdevice_attribute.
    let (near, far) = ("c350:3a:84d0.0", "c350:3b:84d0.0");
    assert_eq!(places, [("Example B", near), ("Example A", far)]);
    let one = &devices[0];
    assert_eq!((one.memory_bytes, one.l2_bytes, one.bus_bits), (80 << 30, 38_000, 37_000));
    assert_eq!((one.sm_mhz, one.memory_mhz, one.driver_version), (13, 36, 12_080));
    assert_eq!((one.shared_bytes, one.shared_optin_bytes), (8000, 97_000));
    assert_eq!((one.major, one.minor, one.multiprocessors), (75_000, 76_000, 16_000));
    assert!(one.uuid.starts_with("GPU-a1a1a1a1-"), "{one:?}");
    assert!(answer.to_string().contains("2 CUDA devices, the first Example B"), "{answer}");
    assert_eq!(answer.hint(), None);
}
