use super::*;
use crate::backend::cpu::{Param, ParamKind};
use crate::backend::cuda::compiler::elf::tests::cubin;
use crate::verify::Dtype;

fn signature() -> Signature {
    let param = Param { name: "x".into(), dtype: Dtype::F32, kind: ParamKind::Write };
    Signature { entry: "f".into(), params: vec![param] }
}

fn paths(names: &[&str]) -> Vec<PathBuf> {
    names.iter().map(PathBuf::from).collect()
}

fn nvrtc() -> Tool {
    let toolkit_dirs = paths(&["/cuda/include"]);
    Tool::Nvrtc {
        library: "/l/libnvrtc.so.13".into(),
        program: "/bin/optloop".into(),
        toolkit_dirs,
    }
}

/// What becomes of a plan, and of an image that its steps might have made.
fn with_plan<T>(
    sources: &[&str],
    tool: &Tool,
    then: impl FnOnce(&CudaRequest<'_>, CudaBuild) -> T,
) -> T {
    let request = CudaRequest {
        sources: &paths(sources),
        signature: &signature(),
        tool,
        flags: &["-lineinfo".into()],
        defines: &BTreeMap::from([("BLOCK".into(), "64".into())]),
        include_dirs: &paths(&["/inc"]),
        arch: "sm_90a",
        scratch: Path::new("/s"),
    };
    let build = plan(&request).unwrap();
    then(&request, build)
}

fn lines(sources: &[&str], tool: &Tool) -> String {
    with_plan(sources, tool, |_, build| {
        let line = |step: &Step| {
            let args: Vec<_> = step.args.iter().map(|a| a.to_string_lossy().into_owned()).collect();
            format!("{} {}", step.program.display(), args.join(" "))
        };
        build.steps.iter().map(line).collect::<Vec<_>>().join("\n")
    })
}

#[test]
fn each_tool_has_its_commands() {
    insta::assert_snapshot!(lines(&["/k/f.cu"], &nvrtc()), @"/bin/optloop __nvrtc --library /l/libnvrtc.so.13 --source /s/kernel.cu --kernel /k/f.cu --output /s/kernel.cubin --depfile /s/0.d --include /inc --toolkit /cuda/include -- -lineinfo --gpu-architecture=sm_90a --define-macro=BLOCK=64");
    insta::assert_snapshot!(lines(&["/k/f.cu"], &Tool::Nvcc("/bin/nvcc".into())), @"/bin/nvcc -lineinfo -arch=sm_90a -DBLOCK=64 -I /inc -MD -MF 0.d -cubin -o kernel.cubin kernel.cu");
    insta::assert_snapshot!(lines(&["/k/f.cu", "/k/g.cu"], &Tool::NvccHost("/bin/nvcc".into())), @r"
    /bin/nvcc -lineinfo -arch=sm_90a -DBLOCK=64 -I /inc -Xcompiler=-fPIC,-fvisibility=hidden,-frandom-seed=optloop -MD -MF 0.d -o 0.o -c kernel.cu
    /bin/nvcc -lineinfo -arch=sm_90a -DBLOCK=64 -I /inc -Xcompiler=-fPIC,-fvisibility=hidden,-frandom-seed=optloop -MD -MF 1.d -o 1.o -c /k/g.cu
    /bin/nvcc 0.o 1.o -arch=sm_90a -shared -lineinfo -Xlinker=-z,defs,--build-id=none,-s -o kernel.so
    ");
    assert_eq!(lines(&["/k/f.ptx"], &Tool::None), "");
}

#[test]
fn the_tool_follows_from_cc_host_and_language() {
    use Form::{Device, Host};
    let told = |cc, form, names: &[&str]| {
        let found = tool_kind(cc, form, &paths(names));
        found.map_or_else(|e| e.to_string(), |kind| format!("{kind:?}"))
    };
    for (cc, form, sources, expected) in [
        ("", Device, &["a.cu"][..], "Nvrtc"),
        ("nvrtc", Device, &["a.cu"], "Nvrtc"),
        ("nvcc", Device, &["a.cu"], "Nvcc(\"nvcc\")"),
        ("/opt/nvcc", Host, &["a.cu"], "Nvcc(\"/opt/nvcc\")"),
        ("", Host, &["a.cu", "b.cu"], "Nvcc(\"nvcc\")"),
        ("", Device, &["a.ptx"], "None"),
        ("nvcc", Device, &["a.cubin"], "None"),
        ("nvrtc", Host, &["a.cu"], "NVRTC compiles no host code"),
        ("", Host, &["a.ptx"], "`a.ptx` has no host code"),
        ("", Device, &["a.cu", "b.cu"], "built from one source, and there are 2"),
        ("", Device, &["a.c"], "`a.c` is no CUDA kernel"),
        ("", Device, &[], "no kernel source"),
    ] {
        let found = told(cc, form, sources);
        assert!(found.contains(expected), "{cc} {form:?} {sources:?}: {found}");
    }
}

#[test]
fn the_architecture_is_the_written_one_or_the_devices() {
    assert_eq!(architecture("sm_80", Some("sm_90")).as_deref(), Ok("sm_80"));
    assert_eq!(architecture("", Some("sm_90")).as_deref(), Ok("sm_90"));
    for device in [None, Some("")] {
        let told = architecture("", device).unwrap_err().to_string();
        assert!(told.contains("arch = \"sm_90a\""), "{told}");
    }
}

fn packed(sources: &[&str], tool: &Tool, image: &[u8]) -> Result<Bundle, String> {
    with_plan(sources, tool, |request, build| {
        let packed = pack(&build, request, image.to_vec(), LaunchLines::default());
        packed.map_err(|e| e.to_string())
    })
}

#[test]
fn an_image_is_packed_when_it_has_the_kernel() {
    let bundle = packed(&["/k/f.cu"], &nvrtc(), &cubin(&["f"])).unwrap();
    assert_eq!((bundle.kind, bundle.arch.as_str()), (ImageKind::Cubin, "sm_90a"));
    let bundle = packed(&["/k/f.cubin"], &Tool::None, &cubin(&["g", "f"])).unwrap();
    assert_eq!((bundle.arch.as_str(), bundle.entry.as_str()), ("sm_90", "f"));
    let text = b".version 8.0\n.target sm_80\n.visible .entry f(.param .u64 x) { ret; }\n";
    let bundle = packed(&["/k/f.ptx"], &Tool::None, text).unwrap();
    assert_eq!((bundle.kind, bundle.arch.as_str()), (ImageKind::Ptx, "sm_80"));
}

#[test]
fn an_image_without_the_kernel_is_told() {
    let cpp = packed(&["/k/f.cu"], &nvrtc(), &cubin(&["_Z1fPf"])).unwrap_err();
    assert!(cpp.contains("write extern \"C\" before __global__"), "{cpp}");
    let none = packed(&["/k/f.cu"], &nvrtc(), &cubin(&[])).unwrap_err();
    assert!(none.contains("is it a __global__ function?"), "{none}");
    let other = packed(&["/k/f.cubin"], &Tool::None, &cubin(&["g", "h"])).unwrap_err();
    assert!(other.contains("/k/f.cubin has no kernel called `f`; it has g, h"), "{other}");
    let torn = packed(&["/k/f.cubin"], &Tool::None, b"MZ").unwrap_err();
    assert!(torn.contains("/k/f.cubin: it is no 64-bit ELF file"), "{torn}");
}
