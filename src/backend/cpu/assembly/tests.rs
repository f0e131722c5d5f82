//! Excerpts of what GCC 12 and clang 14 wrote for the shipped kernels with `-O2
//! -march=x86-64-v3`; places of sources are shortened.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::source::{Param, ParamKind, Signature};
use super::*;
use crate::verify::Dtype;

const GCC: &str = r#"
	.file	"vector_add.c"
# GNU C17 (Debian 12.2.0-14+deb12u1) version 12.2.0 (x86_64-linux-gnu)
	.text
.Ltext0:
	.file 0 "/k" "/k/vector_add.c"
	.p2align 4
	.globl	vector_add
	.hidden	vector_add
	.type	vector_add, @function
vector_add:
.LFB0:
	.file 1 "/k/vector_add.c"
	.loc 1 6 1
	.cfi_startproc
# /k/vector_add.c:6: {
	.loc 1 6 1
	movq	%rdi, %r8	# tmp95, a
	movq	%rsi, %rdi	# tmp96, b
	movq	%rdx, %rsi	# tmp97, out
	movl	%ecx, %edx	# tmp98, n
.LBB2:
.LBB3:
# /k/vector_add.c:8:         for (int i = lane; i < n; i += LANES)
	.loc 1 8 30
	xorl	%ecx, %ecx	# ivtmp.19
	.p2align 4,,10
	.p2align 3
.L2:
	movq	%rcx, %rax	# ivtmp.19, ivtmp.9
	cmpl	%ecx, %edx	# ivtmp.19, n
	jle	.L5	#,
	.p2align 4,,10
	.p2align 3
.L3:
# /k/vector_add.c:9:             out[i] = a[i] + b[i];
	.loc 1 9 27 discriminator 3
	vmovss	(%r8,%rax,4), %xmm0	# MEM[(const float *)a_16(D) + ivtmp.9_24 * 4]
	vaddss	(%rdi,%rax,4), %xmm0, %xmm0	# MEM[(const float *)b_17(D)], tmp93
# /k/vector_add.c:9:             out[i] = a[i] + b[i];
	.loc 1 9 20 discriminator 3
	vmovss	%xmm0, (%rsi,%rax,4)	# tmp93, MEM[(float *)out_18(D) + ivtmp.9_24 * 4]
# /k/vector_add.c:8:         for (int i = lane; i < n; i += LANES)
	.loc 1 8 30 discriminator 3
	addq	$256, %rax	#, ivtmp.9
	cmpl	%eax, %edx	# ivtmp.9, n
	jg	.L3	#,
.L5:
.LBE3:
# /k/vector_add.c:7:     for (int lane = 0; lane < LANES; lane++)
	.loc 1 7 29
	addq	$1, %rcx	#, ivtmp.19
	cmpq	$256, %rcx	#, ivtmp.19
	jne	.L2	#,
.LBE2:
# /k/vector_add.c:10: }
	.loc 1 10 1
	ret	
	.cfi_endproc
.LFE0:
	.size	vector_add, .-vector_add
.Letext0:
	.section	.debug_info,"",@progbits
.Ldebug_info0:
	.long	0x45
	.string	"call it # what you like"
"#;

const CLANG: &str = r#"
	.text
	.file	"sgemm.c"
	.hidden	sgemm                           # -- Begin function sgemm
	.type	sgemm,@function
sgemm:                                  # @sgemm
.Lfunc_begin0:
	.file	0 "/build" "/k/sgemm.c" md5 0x58f2d2ac00ec6258b68f475448ebe036
	.file	1 "/k" "inner.h"
	.loc	0 3 0                           # /k/sgemm.c:3:0
	.cfi_startproc
# %bb.0:
	pushq	%rbp
	movl	%r9d, -60(%rsp)                 # 4-byte Spill
.Ltmp0:
	.loc	0 4 23 prologue_end             # /k/sgemm.c:4:23
	testl	%ecx, %ecx
	.loc	0 4 5 is_stmt 0                 # /k/sgemm.c:4:5
	jle	.LBB0_13
# %bb.1:
	.loc	0 0 5                           # /k/sgemm.c:0:5
	movslq	-60(%rsp), %rsi                 # 4-byte Folded Reload
	jmp	.LBB0_2
	.p2align	4, 0x90
.LBB0_12:                               #   in Loop: Header=BB0_2 Depth=1
	.loc	0 4 29                          # /k/sgemm.c:4:29
	incq	%rdi
	.loc	0 4 23                          # /k/sgemm.c:4:23
	cmpq	%rsi, %rdi
	.loc	0 4 5                           # /k/sgemm.c:4:5
	je	.LBB0_13
.LBB0_2:                                # =>This Loop Header: Depth=1
	.loc	0 5 9 is_stmt 1                 # /k/sgemm.c:5:9
	jle	.LBB0_12
.LBB0_15:                               #   Parent Loop BB0_2 Depth=1
                                        # =>  This Inner Loop Header: Depth=2
	.loc	1 8 21                          # /k/inner.h:8:21
	vmovss	(%rdx,%r14), %xmm1              # xmm1 = mem[0],zero,zero,zero
	vfmadd231ss	(%rdi), %xmm1, %xmm0    # xmm0 = (xmm1 * mem) + xmm0
	.loc	0 7 13                          # /k/sgemm.c:7:13
	decq	%r14
	jne	.LBB0_15
	jmp	.LBB0_12
.LBB0_13:
	.loc	0 11 1                          # /k/sgemm.c:11:1
	vmovaps	.LCPI0_0(%rip), %ymm0
	popq	%rbp
	retq
.Lfunc_end0:
	.size	sgemm, .Lfunc_end0-sgemm
	.section	.rodata.cst32,"aM",@progbits,32
.LCPI0_0:
	.long	0x3f800000
	.long	0x40000000
"#;

fn only(text: &str) -> (Assembly, Function) {
    let assembly = parse(text);
    assert_eq!(assembly.functions.len(), 1);
    let function = assembly.functions[0].clone();
    (assembly, function)
}

fn loops(function: &Function) -> Vec<(&str, usize, bool, u32)> {
    let of = |l: &Loop| l.place.map_or(0, |p| p.line);
    function.loops.iter().map(|l| (l.label.as_str(), l.depth, l.innermost, of(l))).collect()
}

#[test]
fn gcc_text_becomes_instructions_with_their_source_lines() {
    let (assembly, function) = only(GCC);
    assert_eq!((function.name.as_str(), function.place.map(|p| p.line)), ("vector_add", Some(6)));
    let shown: Vec<String> = function
        .lines
        .iter()
        .map(|line| match line {
            Line::Label(name) => format!("{name}:"),
            Line::Instruction(i) => {
                let line = i.place.map_or(0, |p| p.line);
                format!("{line} {} {}", i.mnemonic, i.operands)
            }
        })
        .collect();
    insta::assert_snapshot!(shown[4..].join("\n"), @r"
    8 xorl %ecx, %ecx
    .L1:
    8 movq %rcx, %rax
    8 cmpl %ecx, %edx
    8 jle .L3
    .L2:
    9 vmovss (%r8,%rax,4), %xmm0
    9 vaddss (%rdi,%rax,4), %xmm0, %xmm0
    9 vmovss %xmm0, (%rsi,%rax,4)
    8 addq $256, %rax
    8 cmpl %eax, %edx
    8 jg .L2
    .L3:
    7 addq $1, %rcx
    7 cmpq $256, %rcx
    7 jne .L1
    10 ret 
    ");
    let place = function.place.expect("it has a line");
    assert_eq!(assembly.file(place), Path::new("/k/vector_add.c"));
}

#[test]
fn loops_are_nested_as_in_the_source() {
    let (_, function) = only(GCC);
    assert_eq!(loops(&function), [(".L1", 1, false, 7), (".L2", 2, true, 8)]);
    let inner = function.counts_in(&function.loops[1]);
    assert_eq!((inner.instructions, inner.scalar_fp, inner.fma), (6, 1, 0));
    assert_eq!(function.counts_in(&function.loops[0]).instructions, 12);
    assert_eq!(function.counts().instructions, 18);
}

#[test]
fn a_block_before_its_loop_is_counted_in_it_and_a_way_back_alone_is_no_loop() {
    let (_, function) = only(CLANG);
    // `.LBB0_12` closes the outer loop from above its header.
    assert_eq!(loops(&function), [(".L2", 1, false, 4), (".L3", 2, true, 7)]);
    let (outer, inner) = (&function.loops[0], &function.loops[1]);
    assert_eq!((function.counts_in(outer).instructions, outer.lines.len()), (9, 12));
    assert_eq!(function.counts_in(inner).fma, 1);
    // A cold block that jumps back to what lies before it.
    let back =
        "\t.type\tf, @function\nf:\n\tjne\t.L9\n.L2:\n\tincl\t%eax\n\tret\n.L9:\n\tjmp\t.L2\n";
    assert_eq!(only(back).1.loops, []);
}

#[test]
fn clang_text_has_spills_and_places_in_headers() {
    let (assembly, function) = only(CLANG);
    let counts = function.counts();
    assert_eq!((counts.spill_stores, counts.spill_loads), (1, 1));
    let fma = function.lines.iter().filter_map(Line::instruction);
    let fma = fma.clone().find(|i| i.mnemonic.starts_with("vfmadd")).expect("it is there");
    let place = fma.place.expect("it has a line");
    assert_eq!((assembly.file(place), place.line), (Path::new("/k/inner.h"), 8));
    // What belongs to line 0 belongs to none.
    let reload = function.lines.iter().filter_map(Line::instruction).find(|i| i.spill.loads);
    assert_eq!(reload.and_then(|i| i.place), None);
}

/// What clang 14 wrote for 64-bit ARM, shortened.
const ARM: &str = r#"
	.text
	.file	"vector_add.c"
	.hidden	vector_add                      // -- Begin function vector_add
	.type	vector_add,@function
vector_add:                             // @vector_add
	.file	1 "/k" "vector_add.c"
	.loc	1 8 0                           // /k/vector_add.c:8:0
	cbz	w3, .LBB0_3
	str	x19, [sp, #8]                   // 8-byte Folded Spill
.LBB0_2:                                // =>This Inner Loop Header: Depth=1
	.loc	1 9 27                          // /k/vector_add.c:9:27
	ldr	q0, [x0], #16
	fmla	v0.4s, v1.4s, v2.4s
	subs	x3, x3, #4
	b.ne	.LBB0_2
.LBB0_3:
	ret
.Lfunc_end0:
	.size	vector_add, .Lfunc_end0-vector_add
"#;

#[test]
fn arm_text_is_known_by_its_comments() {
    let (assembly, function) = only(ARM);
    assert_eq!(assembly.architecture, Architecture::Arm);
    assert_eq!(loops(&function), [(".L1", 1, true, 9)]);
    let counts = function.counts();
    assert_eq!((counts.instructions, counts.vector_128, counts.fma), (7, 1, 1));
    assert_eq!((counts.spill_stores, counts.spill_loads), (1, 0));
}

#[test]
fn keys_forget_labels_and_know_constants() {
    let key = |text: &str, start: &str| {
        let (_, function) = only(text);
        let mut all = function.lines.iter().filter_map(Line::instruction);
        all.find(|i| i.mnemonic == start).map(|i| i.key.clone()).expect("it is there")
    };
    assert_eq!(key(GCC, "jg"), "jg .L");
    assert_eq!(key(&GCC.replace(".L3", ".L77"), "jg"), "jg .L");
    let one = key(CLANG, "vmovaps");
    assert_eq!(one, key(&CLANG.replace("CPI0_0", "CPI4_2"), "vmovaps"));
    assert_ne!(one, key(&CLANG.replace("0x40000000", "0x40400000"), "vmovaps"));
}

#[test]
fn nothing_comes_of_nothing() {
    assert_eq!(parse("").functions, []);
    assert_eq!(parse("\t.type\tf, @function\nf:\n").functions[0].loops, []);
}

fn planned(flags: &[&str], around: Around) -> Compilation {
    let param = Param { name: "x".into(), dtype: Dtype::F32, kind: ParamKind::Write };
    let flags: Vec<String> = flags.iter().map(|f| (*f).to_owned()).collect();
    plan(
        &CompileRequest {
            sources: &["/k/f.c".into(), "/k/g.c".into()],
            text: "",
            signature: &Signature { entry: "f".into(), params: vec![param] },
            compiler: Path::new("/bin/cc"),
            flags: &flags,
            defines: &BTreeMap::new(),
            include_dirs: &[],
            scratch: Path::new("/s"),
            output: Path::new("/s/k.so"),
        },
        around,
    )
    .expect("it is C")
}

#[test]
fn the_steps_are_those_of_a_build_but_for_assembly() {
    let plan = planned(&["-O2"], Around::Trampoline);
    let lines: Vec<String> = plan
        .steps
        .iter()
        .map(|s| s.args.iter().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" "))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    -falign-functions=64 -falign-loops=64 -O2 -fPIC -fvisibility=hidden -frandom-seed=optloop -MD -MF /s/0.d -x c -S /s/kernel.c -g1 -fno-asynchronous-unwind-tables -fno-lto -fverbose-asm -o /s/0.s
    -falign-functions=64 -falign-loops=64 -O2 -fPIC -fvisibility=hidden -frandom-seed=optloop -MD -MF /s/1.d -x c -S /k/g.c -g1 -fno-asynchronous-unwind-tables -fno-lto -fverbose-asm -o /s/1.s
    ");
    assert_eq!(listing(&plan.steps[1]), Path::new("/s/1.s"));
    assert!(plan.trampoline.1.contains("optloop_launch"));
}

#[test]
fn a_kernel_of_unknown_signature_stands_alone() {
    let plan = planned(&["-masm=intel"], Around::Nothing);
    assert_eq!(plan.trampoline.1, "#include \"/k/f.c\"\n");
    assert!(plan.steps[0].args.iter().any(|a| a == "-masm=att"), "{:?}", plan.steps[0]);
}
