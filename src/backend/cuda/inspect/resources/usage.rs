//! What each kernel of a file uses: the words of `ptxas -v` and `cuobjdump -res-usage`.

use serde::Serialize;

/// What one kernel uses. Fields are `None` where the tool does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Usage {
    /// As the linker knows it.
    pub symbol: String,
    /// Registers of a thread.
    pub registers: u32,
    /// The stack of a thread.
    pub stack_bytes: Option<u32>,
    /// Static shared memory of a block.
    pub shared_bytes: Option<u32>,
    /// Registers stored to memory because there are too few, also in functions that are called.
    pub spill_store_bytes: Option<u32>,
    /// The same loaded back.
    pub spill_load_bytes: Option<u32>,
    /// Local memory of a thread.
    pub local_bytes: Option<u32>,
    /// Constant memory, with the arguments.
    pub constant_bytes: Option<u32>,
    /// Barriers of a block.
    pub barriers: Option<u32>,
}

impl Usage {
    fn of(symbol: &str) -> Self {
        Self { symbol: symbol.to_owned(), ..Self::default() }
    }

    /// Takes from another tool's account what this one's does not say.
    pub fn fill(&mut self, other: &Self) {
        self.stack_bytes = self.stack_bytes.or(other.stack_bytes);
        self.shared_bytes = self.shared_bytes.or(other.shared_bytes);
        self.spill_store_bytes = self.spill_store_bytes.or(other.spill_store_bytes);
        self.spill_load_bytes = self.spill_load_bytes.or(other.spill_load_bytes);
        self.local_bytes = self.local_bytes.or(other.local_bytes);
        self.constant_bytes = self.constant_bytes.or(other.constant_bytes);
        self.barriers = self.barriers.or(other.barriers);
    }
}

/// Reads `ptxas -v`; lines of other things are passed over.
pub fn parse_ptxas(text: &str) -> Vec<Usage> {
    let mut all: Vec<Usage> = Vec::new();
    // Whose properties come next: those of functions that it calls stand below a kernel's own.
    let mut of = "";
    for line in text.lines() {
        // What goes on with a line begins with a point when NVRTC hands it on.
        let said = line.strip_prefix("ptxas").map(|l| l.trim_start_matches(" info"));
        let said = said.map(|l| l.trim_start_matches([' ', ':', '.']));
        let said = said.unwrap_or(line.trim());
        if let Some(rest) = said.strip_prefix("Compiling entry function '") {
            all.push(Usage::of(rest.split('\'').next().unwrap_or_default()));
        } else if let Some(name) = said.strip_prefix("Function properties for ") {
            of = name.trim();
        } else if let Some(usage) = all.last_mut() {
            if said.contains("bytes stack frame") {
                properties(said, of, usage);
            } else if said.starts_with("Used ") {
                used(said, usage);
            }
        }
    }
    all
}

/// `1328 bytes stack frame, 16 bytes spill stores, 16 bytes spill loads`.
fn properties(said: &str, of: &str, usage: &mut Usage) {
    for (number, what) in numbers(said) {
        match what {
            "bytes stack frame" if of == usage.symbol => usage.stack_bytes = Some(number),
            "bytes spill stores" => *usage.spill_store_bytes.get_or_insert(0) += number,
            "bytes spill loads" => *usage.spill_load_bytes.get_or_insert(0) += number,
            _ => {}
        }
    }
}

/// `Used 24 registers, used 1 barriers, 128 bytes smem, 372 bytes cmem[0]`.
fn used(said: &str, usage: &mut Usage) {
    // What is not used is not named.
    usage.shared_bytes = Some(0);
    for (number, what) in numbers(said) {
        match what {
            "registers" => usage.registers = number,
            "barriers" => usage.barriers = Some(number),
            "bytes smem" => usage.shared_bytes = Some(number),
            "bytes lmem" => usage.local_bytes = Some(number),
            _ if what.starts_with("bytes cmem[") => {
                *usage.constant_bytes.get_or_insert(0) += number;
            }
            _ => {}
        }
    }
}

/// Each number of a list with the words behind it. Shared memory may be a sum, `16+0 bytes smem`.
fn numbers(said: &str) -> impl Iterator<Item = (u32, &str)> {
    said.split(',').filter_map(|part| {
        let part = part.trim().trim_start_matches("Used ").trim_start_matches("used ");
        let (number, what) = part.split_once(' ')?;
        let sum: Option<u32> = number.split('+').map(|n| n.parse::<u32>().ok()).sum();
        Some((sum?, what))
    })
}

/// Reads `cuobjdump -res-usage`, which knows neither spills nor barriers.
pub fn parse_res_usage(text: &str) -> Vec<Usage> {
    let mut all: Vec<Usage> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("Function ") {
            all.push(Usage::of(name.trim_end_matches(':')));
        } else if let (Some(usage), true) = (all.last_mut(), line.starts_with("REG:")) {
            for (what, number) in line.split_whitespace().filter_map(|part| part.split_once(':')) {
                let Ok(number) = number.parse() else { continue };
                match what {
                    "REG" => usage.registers = number,
                    "STACK" => usage.stack_bytes = Some(number),
                    "SHARED" => usage.shared_bytes = Some(number),
                    "LOCAL" => usage.local_bytes = Some(number),
                    _ if what.starts_with("CONSTANT[") => {
                        *usage.constant_bytes.get_or_insert(0) += number;
                    }
                    _ => {}
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ptxas 13.5 on a file with a kernel that calls a function, and one from a template.
    const PTXAS: &str = "\
ptxas info    : 0 bytes gmem, 64 bytes cmem[3]
ptxas info    : Compiling entry function '_Z3tplIdEvPT_' for 'sm_80'
ptxas info    : Function properties for _Z3tplIdEvPT_
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 8 registers, used 0 barriers, 360 bytes cmem[0]
ptxas info    : Compile time = 0.644 ms
ptxas info    : Compiling entry function 'spill' for 'sm_80'
ptxas info    : Function properties for spill
    1328 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 24 registers, used 1 barriers, 1328 bytes cumulative stack size, 128 bytes \
smem, 372 bytes cmem[0]
ptxas info    : Compile time = 22.025 ms
ptxas info    : Function properties for _Z5heavyILi64EEfPfi
    0 bytes stack frame, 1392 bytes spill stores, 1424 bytes spill loads
";

    /// cuobjdump 13.5 on the same.
    const CUOBJDUMP: &str = "
Resource usage:
 Common:
  GLOBAL:0 CONSTANT[3]:64
 Function _Z3tplIdEvPT_:
  REG:8 STACK:0 SHARED:0 LOCAL:0 CONSTANT[0]:360 TEXTURE:0 SURFACE:0 SAMPLER:0
 Function spill:
  REG:24 STACK:1328 SHARED:128 LOCAL:0 CONSTANT[0]:372 TEXTURE:0 SURFACE:0 SAMPLER:0
";

    #[test]
    fn spills_of_called_functions_are_the_kernels() {
        let all = parse_ptxas(PTXAS);
        let expected = Usage {
            symbol: "spill".into(),
            registers: 24,
            stack_bytes: Some(1328),
            shared_bytes: Some(128),
            spill_store_bytes: Some(1392),
            spill_load_bytes: Some(1424),
            local_bytes: None,
            constant_bytes: Some(372),
            barriers: Some(1),
        };
        assert_eq!(all[1], expected);
        assert_eq!((all.len(), all[0].symbol.as_str()), (2, "_Z3tplIdEvPT_"));
        assert_eq!((all[0].shared_bytes, all[0].spill_store_bytes), (Some(0), Some(0)));
        let by_nvrtc = PTXAS.replace("\n    ", "\nptxas         .     ");
        assert_eq!(parse_ptxas(&by_nvrtc), all);
    }

    #[test]
    fn both_tools_agree_on_what_both_know() {
        for (a, b) in parse_ptxas(PTXAS).iter().zip(parse_res_usage(CUOBJDUMP)) {
            let mut both = a.clone();
            both.fill(&b);
            assert_eq!(both.local_bytes, Some(0));
            both.local_bytes = None;
            assert_eq!(both, *a);
            let mut other = b.clone();
            other.fill(a);
            other.local_bytes = None;
            assert_eq!(other, *a);
        }
        assert_eq!(parse_res_usage(CUOBJDUMP).len(), 2);
    }

    #[test]
    fn words_of_older_tools_are_understood() {
        let all = parse_ptxas(
            "ptxas info    : Compiling entry function 'k' for 'sm_70'\n\
             ptxas info    : Function properties for k\n\
             \x20   8 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n\
             ptxas info    : Used 10 registers, 16+0 bytes smem, 368 bytes cmem[0], 8 bytes cmem[2]\n",
        );
        let k = &all[0];
        assert_eq!((k.registers, k.shared_bytes, k.constant_bytes), (10, Some(16), Some(376)));
        assert_eq!((k.stack_bytes, k.barriers), (Some(8), None));
    }

    #[test]
    fn texts_of_other_things_hold_nothing() {
        for text in ["", "nvcc fatal   : Unsupported gpu architecture 'sm_999'", "Used 3 things,,"]
        {
            assert_eq!(parse_ptxas(text), [], "{text}");
            assert_eq!(parse_res_usage(text), [], "{text}");
        }
    }
}
