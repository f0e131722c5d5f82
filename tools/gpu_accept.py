"""Proves optloop on a machine with a CUDA device: tools/gpu-accept says how it is called.

Needs optloop's binary, a C compiler for the references, and Python's standard library. Every step is
timed, passes, fails or is skipped, and says its numbers. Nothing here is taken on optloop's word
alone: times are held against a clock of gpu_driver.py, and what must be refused is tried.
"""

import argparse
import glob
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import gpu_driver

TOOLS = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(TOOLS)

PASS, FAIL, SKIP = "pass", "fail", "skipped"
NO_DEVICE = 4

# Beside a shipped small case, one that runs for over 20 us, with room in the tolerance for its sums.
KERNELS = {
    "reduce_sum": {"cases": ["n=4096", "n=16777216"], "atol": "0.25"},
    "sgemm": {"cases": ["m=97 n=131 k=65", "m=512 n=512 k=512"], "atol": "5e-4"},
    "softmax": {"cases": ["rows=16 cols=128", "rows=4096 cols=3072"], "atol": "1e-6"},
    "stencil2d": {"cases": ["h=64 w=64", "h=4096 w=4096"], "atol": "1e-6"},
    "vector_add": {"cases": ["n=4096", "n=16777216"], "atol": "1e-7"},
}
# What an A/A decision is made on: short to draw, long enough to be timed.
STUDIED = {
    "vector_add": ["n=1048576"],
    "stencil2d": ["h=1024 w=1024"],
    "reduce_sum": ["n=1048576"],
}

LONG_US = 20.0
TOLERANCE = 0.02
COPY_SHARE = 0.90
NULL_RATIO = 1.2
DECISIONS = 200
FALSE_KEEPS = 0.01
HONEST_SHARE = 0.95
SAME_CUBIN = "the same cubin"
DECIDED = {0: "KEEP", 3: "REVERT", 5: "UNDECIDED"}


# ---- statistics -------------------------------------------------------------------------------


def median(values):
    return gpu_driver.median(values)


def binomial_at_most(count, trials, chance):
    """The probability of at most `count` in `trials`."""
    if chance <= 0.0:
        return 1.0
    if chance >= 1.0:
        return 1.0 if count >= trials else 0.0
    total = 0.0
    for k in range(count + 1):
        log = math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        total += math.exp(log + k * math.log(chance) + (trials - k) * math.log1p(-chance))
    return min(total, 1.0)


def upper_bound(count, trials, level=0.95):
    """Clopper and Pearson's one-sided upper bound of a share ("The use of confidence or fiducial
    limits illustrated in the case of the binomial", Biometrika 26, 1934)."""
    if trials == 0 or count >= trials:
        return 1.0
    low, high = count / trials, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if binomial_at_most(count, trials, middle) > 1.0 - level:
            low = middle
        else:
            high = middle
    return high


# ---- the report -------------------------------------------------------------------------------


class Step:
    """What came of one thing that was tried."""

    def __init__(self, name):
        self.name, self.status, self.seconds = name, PASS, 0.0
        self.words, self.numbers = [], {}

    def check(self, holds, words):
        """Notes what was seen; a failure unless it holds."""
        if not holds:
            self.status = FAIL
        self.words.append(words if holds else f"FAILED: {words}")
        return holds

    def note(self, words):
        self.words.append(words)

    def skip(self, why):
        if self.status == PASS:
            self.status = SKIP
        self.words.append(why)

    def as_json(self):
        return {
            "step": self.name,
            "status": self.status,
            "seconds": round(self.seconds, 2),
            "words": self.words,
            "numbers": self.numbers,
        }


def passed(steps):
    """Nothing failed, and something was tried."""
    ran = [step for step in steps if step.status != SKIP]
    return bool(ran) and all(step.status != FAIL for step in ran)


def cell(text):
    """As one cell of a Markdown table holds it."""
    return re.sub(r"\s+", " ", str(text)).replace("|", "\\|").strip()


def markdown(title, steps):
    lines = [f"# {title}", "", "| step | result | time | what was seen |", "|---|---|---:|---|"]
    for step in steps:
        seen = "<br>".join(cell(words) for words in step.words)
        lines.append(f"| {step.name} | {step.status} | {step.seconds:.1f} s | {seen} |")
    return "\n".join(lines) + "\n"


def write_report(out, device, steps, environment):
    os.makedirs(out, exist_ok=True)
    report = {
        "version": 1,
        "passed": passed(steps),
        "device": device,
        "environment": environment,
        "steps": [step.as_json() for step in steps],
    }
    with open(os.path.join(out, "gpu-accept.json"), "w", encoding="utf-8") as file:
        json.dump(report, file, indent=1)
        file.write("\n")
    name = device["name"] if device else "no device"
    with open(os.path.join(out, "gpu-accept.md"), "w", encoding="utf-8") as file:
        file.write(markdown(f"optloop on {name}", steps))
    return report


# ---- problems and pipelines -------------------------------------------------------------------


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def cases_toml(cases):
    tables = ["{ " + ", ".join(size.replace("=", " = ") for size in case.split()) + " }" for case in cases]
    return "cases = [" + ", ".join(tables) + "]"


def resized(text, cases, atol):
    """A problem with other cases, and no hold-out beyond the shipped one."""
    text, found = re.subn(r"^cases = .*$", cases_toml(cases), text, flags=re.M)
    if found != 1:
        raise ValueError("a problem without one line of cases")
    if atol is not None:
        text, found = re.subn(r"^atol = .*$", f"atol = {atol}", text, flags=re.M)
        if found != 1:
            raise ValueError("a problem without one absolute tolerance")
    return text


def values_of(text, only=None):
    """`key = value` lines whose values are JSON too; those of `[only]`, or all by section."""
    sections = [("", {})]
    for line in text.splitlines():
        if line.startswith("["):
            sections.append((line.strip("[] "), {}))
        elif "=" in line and not line.lstrip().startswith("#"):
            key, value = line.split("=", 1)
            try:
                sections[-1][1][key.strip()] = json.loads(value)
            except ValueError:
                continue
    if only is None:
        return sections
    return next((values for name, values in sections if name == only), {})


def directives(text, word):
    """What `// WORD: key = value` lines say."""
    lines = re.findall(rf"^//\s*{word}:\s*(\w+)\s*=\s*(.+?)\s*$", text, flags=re.M)
    return dict(lines)


def evaluate(expression, names):
    """An expression of a problem over its sizes, at this level a Python one."""
    text = str(expression).replace("block.", "block_").replace("grid.", "grid_").replace("/", "//")
    known = {
        "min": min,
        "max": max,
        "ceil_div": lambda a, b: -(-a // b),
        "__builtins__": {},
    }
    return int(eval(text, known, dict(names)))  # of files of this repository alone


def geometry(problem, source, case):
    """Grid, block and dynamic shared bytes, as the launch gets them."""
    own = {key: json.loads(value) for key, value in directives(source, "optloop").items()}
    launch = {"shared": "0", **values_of(problem, "launch.cuda"), **own}
    names = dict((size.split("=")[0], int(size.split("=")[1])) for size in case.split())
    shape = {}
    for what in ("block", "grid"):
        axes = [evaluate(e, names) for e in launch[what]] + [1, 1]
        shape[what] = axes[:3]
        names.update({f"{what}_{axis}": axes[n] for n, axis in enumerate("xyz")})
    return shape["grid"], shape["block"], evaluate(launch["shared"], names)


def arguments(problem, case):
    """What gpu_driver.py has to allocate for a launch."""
    names = dict((size.split("=")[0], int(size.split("=")[1])) for size in case.split())
    found = []
    for section, values in values_of(problem):
        if section != "args":
            continue
        if "value" in values:
            found.append({"kind": "scalar", "value": evaluate(values["value"], names)})
            continue
        count = math.prod(evaluate(extent, names) for extent in values["shape"])
        kind = "in" if values.get("role", "in") == "in" else "out"
        found.append({"kind": kind, "bytes": 4 * count})
    return found


def pipeline_toml(name, kernel, compile_lines="", looks="[16, 32]", device="cuda:0"):
    """Check, cold and hot measurement, comparison; stages are chosen by the command line."""
    sections = [
        f'name = "accept-{name}"\nkernel = "{kernel}"\nproblem = "problem.toml"\ndevice = "{device}"\n'
    ]
    if compile_lines:
        sections.append(f"[compile]\n{compile_lines}\n")
    sections.append('[stages.smoke]\ntimeout = "120s"\n')
    for mode in ("cold", "hot"):
        sections.append(
            f'[stages.{mode}]\nuse = "candidate"\nneeds = ["smoke"]\nincumbent = "none"\n'
            f'repeats = {looks}\nmode = "{mode}"\ntimeout = "180s"\n'
        )
    sections.append('[stages.candidate]\nneeds = ["smoke"]\ntimeout = "180s"\n')
    sections.append('[stages.profile]\nneeds = ["smoke"]\nrepeats = [8]\ntimeout = "180s"\n')
    return "\n".join(sections)


DOUBLED = """// Every sum twice: half as fast as the plain one.
extern "C" __global__ void sgemm(const float *a, const float *b, float *c, int m, int n, int k)
{
    int col = blockIdx.x * blockDim.x + threadIdx.x;
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= m || col >= n)
        return;
    for (int again = 0; again < 2; again++) {
        float sum = 0.0f;
        for (int p = 0; p < k; p++)
            sum += a[(long long)row * k + p] * b[(long long)p * n + col];
        asm volatile("" : : "f"(sum) : "memory");
        c[(long long)row * n + col] = sum;
    }
}
"""


def adding(body, signature="const float *a, const float *b, float *out, int n"):
    return (
        f'extern "C" __global__ void vector_add({signature})\n{{\n'
        f"    int i = blockIdx.x * blockDim.x + threadIdx.x;\n    if (i < n) {{\n        {body}\n    }}\n}}\n"
    )


# name: source, class, exit code, words of the message (any of them)
FAULTS = {
    "wrong_output": (adding("out[i] = a[i] - b[i];"), "wrong", 3, []),
    "write_beside": (
        adding("out[i] = a[i] + b[i]; if (i == 0) out[n + 200] = 1.0f;"),
        "wrong",
        3,
        ["behind", "beside", "past", "must not"],
    ),
    "illegal_address": (adding("*(float *)64 = out[i] = a[i] + b[i];"), "crashed", 3, []),
    "infinite_loop": (
        adding("while (*(const volatile float *)a == a[0]) out[i] = a[i] + b[i];"),
        "timed_out",
        3,
        [],
    ),
    "wrong_signature": (
        adding("out[i] = (float)(a[i] + b[i]);", "const double *a, const float *b, float *out, int n"),
        "failed",
        3,
        ["argument 1", "const float"],
    ),
    "too_many_threads": (
        "// optloop: block = [1024]\n"
        + adding("out[i] = a[i] + b[i];").replace("void", "void __launch_bounds__(128)"),
        "failed",
        3,
        ["thread"],
    ),
    "out_of_memory": (adding("out[i] = a[i] + b[i];"), "infrastructure", 75, ["memory"]),
}


# ---- running optloop ---------------------------------------------------------------------------


class Run:
    """One call of optloop, with its events."""

    def __init__(self, code, stdout, stderr, seconds):
        self.code, self.stderr, self.seconds = code, stderr, seconds
        self.events = []
        for line in stdout.splitlines():
            try:
                self.events.append(json.loads(line))
            except ValueError:
                continue

    def stage(self, name):
        """How a stage ended; None when it did not."""
        ends = [e for e in self.events if e.get("event") == "stage_finished" and e["stage"] == name]
        return ends[-1] if ends else None

    def stages(self):
        return [e for e in self.events if e.get("event") == "stage_finished"]

    def looks(self, name):
        return [e["look"] for e in self.events if e.get("event") == "look" and e["stage"] == name]

    def failure(self):
        """Stage, class and message of the first failure."""
        for end in self.stages():
            failure = end["outcome"].get("failure")
            if failure:
                return end["stage"], failure["class"], failure["message"]
        return None

    def medians(self, stage):
        """Median of each case in microseconds, where the stage passed."""
        end = self.stage(stage)
        cases = ((end or {}).get("detail") or {}).get("cases") or []
        return {case["label"]: case["median_us"] for case in cases if case.get("median_us")}

    def told(self):
        failure = self.failure()
        if failure:
            return f"{failure[0]}: {failure[1]}: {failure[2]}"
        last = [line for line in self.stderr.splitlines() if line.strip()][-3:]
        return f"exit {self.code}" + (": " + " ".join(last) if last else "")


class World:
    """The machine, the binary, a folder to work in, and what earlier steps found."""

    def __init__(self, options):
        self.options = options
        self.optloop = os.path.abspath(options.optloop)
        self.begun = time.monotonic()
        self.work = tempfile.mkdtemp(prefix="optloop-accept-")
        self.env = dict(os.environ)
        self.compile = ""
        self.host_compiler = None
        self.device, self.environment = None, {}
        self.looks = "[8]" if options.quick else "[16, 32]"
        self.medians = {}
        self.folders = {}
        self.copy_bytes_per_s = None

    def left(self):
        return self.options.budget - (time.monotonic() - self.begun)

    def close(self):
        if not self.options.keep:
            shutil.rmtree(self.work, ignore_errors=True)

    def run(self, args, cwd, timeout=300):
        """Runs optloop; all that it started is ended at the limit."""
        started = time.monotonic()
        process = subprocess.Popen(
            [self.optloop, *args],
            cwd=cwd,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                stdout, stderr = process.communicate(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                stdout, stderr = process.communicate()
            stderr += f"\nnot back after {timeout} s"
        return Run(process.returncode, stdout, stderr, time.monotonic() - started)

    def pipeline(self, folder, *more, timeout=300):
        return self.run(["pipeline", "accept.toml", *more, "--format", "json"], folder, timeout)

    def driver(self, job, timeout=180):
        """A job of gpu_driver.py in a process of its own."""
        command = [sys.executable, "-B", os.path.join(TOOLS, "gpu_driver.py")]
        try:
            done = subprocess.run(
                command,
                input=json.dumps(job) + "\n",
                capture_output=True,
                text=True,
                env=self.env,
                timeout=timeout,
                check=False,
            )
            lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
            return json.loads(lines[-1]) if lines else {"error": done.stderr.strip()[-400:]}
        except subprocess.TimeoutExpired:
            return {"error": f"not back after {timeout} s"}

    def project(self, name, problem, source, **more):
        """A folder with a problem, its reference, a kernel and a pipeline."""
        folder = os.path.join(self.work, name)
        write_project(folder, problem, source, compile_lines=self.compile, looks=self.looks, **more)
        return folder


def shipped(*path):
    return os.path.join(ROOT, "kernels", *path)


def write_project(folder, problem, source, cases=None, atol=None, compile_lines="", looks="[16, 32]"):
    """`source` is a path or a text."""
    text = read(shipped(problem, "problem.toml"))
    if cases:
        text = resized(text, cases, atol)
    write(os.path.join(folder, "problem.toml"), text)
    reference = os.path.join(folder, "reference.c")
    shutil.copyfile(shipped(problem, "reference.c"), reference)
    kernel = "kernel.cu" if "\n" in source else os.path.basename(source)
    code = source if "\n" in source else read(source)
    write(os.path.join(folder, kernel), code)
    toml = pipeline_toml(os.path.basename(folder), kernel, compile_lines, looks)
    write(os.path.join(folder, "accept.toml"), toml)


def write_all(folder):
    """Every kind of project that the steps use, to be looked at without a device."""
    for problem, plan in KERNELS.items():
        for variant in (problem, f"{problem}_fast"):
            source = shipped(problem, f"{variant}.cu")
            write_project(os.path.join(folder, variant), problem, source, plan["cases"], plan["atol"])
    for problem, cases in STUDIED.items():
        source = same(read(shipped(problem, f"{problem}.cu")))
        atol = KERNELS[problem]["atol"]
        write_project(os.path.join(folder, f"aa-{problem}"), problem, source, cases, atol)
    write_project(os.path.join(folder, "doubled"), "sgemm", DOUBLED, ["m=512 n=512 k=512"], "5e-4")
    for name, (source, *_) in FAULTS.items():
        write_project(os.path.join(folder, f"fault-{name}"), "vector_add", source)
    for path in exploits():
        facts = facts_of(path)
        target = os.path.join(folder, f"exploit-{facts['name']}")
        write_project(target, facts["problem"], path, facts["cases"], compile_lines=facts["compile"])


def same(text):
    """The same kernel in a binary that differs: with another kernel beside it that nobody launches."""
    return text + (
        '\nextern "C" __global__ void accept_unused(float *where)\n{\n'
        "    where[threadIdx.x] = 2.5f * threadIdx.x;\n}\n"
    )


def exploits():
    return sorted(glob.glob(os.path.join(TOOLS, "exploits", "*.cu")))


def facts_of(path):
    """What an exploit says of itself."""
    told = directives(read(path), "accept")
    host = told.get("host") == "true"
    return {
        "name": os.path.splitext(os.path.basename(path))[0],
        "problem": told["problem"],
        "cases": [told["cases"]] if "cases" in told else None,
        "host": host,
        "stages": told.get("stages", "smoke").split(),
        "ends": told["ends"].split(),
        "compile": 'cc = "nvcc"\nhost = true' if host else "",
    }


# ---- the steps ---------------------------------------------------------------------------------


def find_tool(world, name):
    return shutil.which(name, path=world.env.get("PATH"))


def version_of(path, *args):
    try:
        done = subprocess.run([path, *args], capture_output=True, text=True, timeout=30, check=False)
        return (done.stdout or done.stderr).strip().splitlines()[-1] if done.stdout or done.stderr else ""
    except (OSError, subprocess.TimeoutExpired, IndexError):
        return ""


def prepare_environment(world):
    """Makes toolkits that lie in the tree known to optloop, through the variables that it reads."""
    env = world.env
    # optloop counts devices by the bus; the driver would by their speed.
    env.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    libraries = gpu_driver.library_folders(ROOT)
    have = [f for f in env.get("LD_LIBRARY_PATH", "").split(":") if f]
    wheels = [f for f in libraries if os.sep + "nvidia" + os.sep in f and f not in have]
    if wheels:
        env["LD_LIBRARY_PATH"] = ":".join(have + wheels)
    tools = [os.path.join(os.path.dirname(f), "bin") for f in libraries]
    tools += ["/usr/local/cuda/bin"]
    env["PATH"] = ":".join([env.get("PATH", ""), *[t for t in tools if os.path.isdir(t)]])


def step_environment(world, step):
    probe = world.driver({"job": "probe"})
    device = probe["devices"][0]
    tools = {
        name: find_tool(world, name)
        for name in ("nvcc", "ncu", "compute-sanitizer", "cuobjdump", "nvdisasm", "nvidia-smi")
    }
    nvrtc = gpu_driver.find_library(gpu_driver.NVRTC, ROOT)
    world.environment.update({"tools": tools, "nvrtc": nvrtc, "python": sys.version.split()[0]})
    if tools["nvidia-smi"]:
        query = "--query-gpu=driver_version,clocks.max.sm,power.limit,ecc.mode.current,mig.mode.current"
        told = version_of(tools["nvidia-smi"], query, "--format=csv,noheader")
        world.environment["nvidia_smi"] = told
        step.note(f"nvidia-smi: {told}")
    if tools["nvcc"]:
        world.environment["nvcc"] = version_of(tools["nvcc"], "--version")
    world.host_compiler = tools["nvcc"]
    if not nvrtc:
        world.compile = 'cc = "nvcc"'
    memory = device["memory_bytes"] / 2**30
    step.note(f"{device['name']}, {memory:.0f} GiB, driver for CUDA {device['driver_cuda']}")
    step.check(bool(nvrtc or tools["nvcc"]), f"NVRTC {nvrtc or 'missing'}, nvcc {tools['nvcc'] or 'missing'}")
    missing = [name for name, path in tools.items() if not path]
    if missing:
        step.note(f"not here: {', '.join(missing)}")
    ran = world.run(["devices", "--format", "json"], world.work)
    lines = [e for e in ran.events if str(e.get("device", "")).startswith("cuda:")]
    step.check(bool(lines), f"optloop devices lists {len(lines)} CUDA devices")
    if lines:
        uuid = str(lines[0].get("uuid", "")).replace("-", "").lower()
        step.check(uuid == device["uuid"].replace("-", "").lower(), "its first is the driver's first")
    step.numbers = device


def step_kernels(world, step):
    for problem, plan in KERNELS.items():
        for variant in (problem, f"{problem}_fast"):
            source = shipped(problem, f"{variant}.cu")
            folder = world.project(variant, problem, source, cases=plan["cases"], atol=plan["atol"])
            run = world.pipeline(folder, "smoke", "cold", "hot", timeout=400)
            world.folders[variant] = folder
            large = plan["cases"][-1]
            found = {mode: run.medians(mode) for mode in ("cold", "hot")}
            world.medians[variant] = found
            step.numbers[variant] = {
                **found,
                "seconds": round(run.seconds, 1),
                "timer": ((run.stage("cold") or {}).get("detail") or {}).get("timer"),
                "unstable": ((run.stage("cold") or {}).get("detail") or {}).get("unstable"),
            }
            holds = run.code == 0 and all(large in medians for medians in found.values())
            if holds:
                cold, hot = found["cold"][large], found["hot"][large]
                step.check(True, f"{variant} {large}: cold {cold:.2f} us, hot {hot:.2f} us")
            else:
                step.check(False, f"{variant}: {run.told()}")


def need_kernels(world, step):
    """The figures of the step before, taken now where that step was left out."""
    if not world.medians:
        step_kernels(world, step)


def step_bandwidth(world, step):
    need_kernels(world, step)
    large = KERNELS["vector_add"]["cases"][-1]
    count = int(large.split("=")[1])
    copied = world.driver({"job": "bandwidth", "bytes": 6 * count})
    if not step.check("error" not in copied, copied.get("error", "a copy was timed")):
        return
    world.copy_bytes_per_s = copied["best"]
    step.numbers["copy_bytes_per_s"] = copied
    ways = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in copied.items() if name not in ("bytes", "best"))
    step.note(f"copy, GB/s: {ways}")
    for variant in ("vector_add", "vector_add_fast"):
        took = world.medians.get(variant, {}).get("cold", {}).get(large)
        if took is None:
            step.check(False, f"{variant} has no cold median")
            continue
        rate = 12 * count / took * 1e6
        share = rate / copied["best"]
        step.numbers[variant] = {"bytes_per_s": rate, "share": share}
        words = f"{variant}: {rate / 1e9:.0f} GB/s, {100 * share:.1f} % of the copy"
        if variant == "vector_add_fast":
            step.check(share >= COPY_SHARE, f"{words} (at least {100 * COPY_SHARE:.0f} %)")
        else:
            step.note(words)


def cubin_of(world, folder, source, entry):
    """The very machine code that optloop launched: the end of its bundle; else the same source
    compiled again. With a word on which of the two it is."""
    for bundle in sorted(glob.glob(os.path.join(folder, ".optloop", "build", "*", "compile*.cuda"))):
        with open(bundle, "rb") as file:
            data = file.read()
        at = data.find(b"\x7fELF")
        if data.startswith(b"optloop cuda bundle 1\n") and at > 0:
            path = os.path.join(folder, f"{entry}.cubin")
            with open(path, "wb") as file:
                file.write(data[at:])
            return path, SAME_CUBIN
    major, minor = world.device["compute_capability"]
    arch = f"sm_{major}{minor}" + ("a" if major >= 9 else "")
    path = os.path.join(folder, f"{entry}.cubin")
    job = {"job": "nvrtc", "source": source, "arch": arch, "options": [], "cubin": path, "root": ROOT}
    told = world.driver(job)
    if "error" not in told:
        return path, f"compiled again by NVRTC for {arch}"
    nvcc = world.host_compiler
    if nvcc and subprocess.run([nvcc, f"-arch={arch}", "-cubin", "-o", path, source], check=False).returncode == 0:
        return path, f"compiled again by nvcc for {arch}"
    return None, told["error"]


def step_cross(world, step):
    need_kernels(world, step)
    compared = 0
    for problem, plan in KERNELS.items():
        for variant in (problem, f"{problem}_fast"):
            source = shipped(problem, f"{variant}.cu")
            folder = world.folders.get(variant)
            if not folder:
                continue
            cubin, which = cubin_of(world, folder, source, problem)
            if not cubin:
                step.check(False, f"{variant}: {which}")
                continue
            compared += cross(world, step, (variant, problem, plan["cases"][-1]), cubin)
            step.numbers[variant]["code"] = which
            if which != SAME_CUBIN:
                step.note(f"{variant}: {which}")
    step.check(compared > 0, f"{compared} medians of over {LONG_US:.0f} us were held against another clock")


def cross(world, step, subject, cubin):
    """One kernel beside the other clock; how many medians were long enough to count."""
    variant, problem, case = subject
    text = read(shipped(problem, "problem.toml"))
    grid, block, shared = geometry(text, read(shipped(problem, f"{variant}.cu")), case)
    job = {
        "job": "time",
        "cubin": cubin,
        "entry": problem,
        "args": arguments(text, case),
        "grid": grid,
        "block": block,
        "shared": shared,
        "modes": ["cold", "hot"],
        "launches": 60,
    }
    told = world.driver(job)
    step.numbers[variant] = told
    if "error" in told:
        step.check(False, f"{variant}: {told['error']}")
        return 0
    counted = 0
    for mode in ("cold", "hot"):
        ours = world.medians[variant][mode].get(case)
        theirs = told[mode]["median_us"]
        if not ours:
            continue
        off = ours / theirs - 1.0
        words = f"{variant} {mode}: {ours:.2f} us, by events {theirs:.2f} us, {100 * off:+.2f} %"
        if theirs > LONG_US:
            counted += 1
            step.check(abs(off) <= TOLERANCE, words)
        else:
            step.note(f"{words} (short: not held to {100 * TOLERANCE:.0f} %)")
    for name in ("triton", "cupy"):
        theirs = told.get(f"{name}_cold_us")
        ours = world.medians[variant]["cold"].get(case)
        if theirs and ours:
            off = ours / theirs - 1.0
            words = f"{variant} cold: {ours:.2f} us, by {name} {theirs:.2f} us, {100 * off:+.2f} %"
            if theirs > LONG_US:
                step.check(abs(off) <= TOLERANCE, words)
            else:
                step.note(words)
    return counted


def compare(world, folder, a, b, *more, timeout=240):
    args = ["compare", a, b, "--pipeline", "accept.toml", "--format", "json", *more]
    return world.run(args, folder, timeout)


def verdict(run):
    """What a comparison found: decision, gain, pairs, reason."""
    end = run.stage("candidate") or {}
    told = ((end.get("detail") or {}).get("comparison")) or {}
    return DECIDED.get(run.code) if told else None, told


def step_compare(world, step):
    need_kernels(world, step)
    for problem, plan in KERNELS.items():
        source = shipped(problem, f"{problem}.cu")
        folder = world.project(f"compare-{problem}", problem, source, cases=plan["cases"][-1:], atol=plan["atol"])
        shutil.copy(shipped(problem, f"{problem}_fast.cu"), folder)
        run = compare(world, folder, f"{problem}.cu", f"{problem}_fast.cu")
        decision, told = verdict(run)
        step.numbers[problem] = {k: told.get(k) for k in ("reason", "gain", "gain_lower", "gain_upper", "pairs", "confirm_pairs", "seconds", "pair_sd")}
        if decision is None:
            step.check(False, f"{problem}: {run.told()}")
            continue
        large = plan["cases"][-1]
        slow = world.medians.get(problem, {}).get("hot", {}).get(large)
        fast = world.medians.get(f"{problem}_fast", {}).get("hot", {}).get(large)
        ratio = slow / fast if slow and fast else None
        words = f"{problem}: {decision}, {told.get('reason')}, gain {100 * (told.get('gain') or 0):.2f} %, {told.get('pairs')} + {told.get('confirm_pairs')} pairs"
        # Decided as the medians of the measurements say, where those are clear.
        holds = not ratio or 0.98 <= ratio <= 1.03 or (decision == "KEEP") == (ratio > 1.0)
        step.check(holds, f"{words}; alone {ratio:.2f}x" if ratio else words)


def step_slow(world, step):
    folder = world.project("doubled", "sgemm", DOUBLED, cases=["m=512 n=512 k=512"], atol="5e-4")
    shutil.copy(shipped("sgemm", "sgemm.cu"), folder)
    run = compare(world, folder, "sgemm.cu", "kernel.cu")
    decision, told = verdict(run)
    looks = run.looks("candidate")
    step.numbers = {"decision": decision, "looks": looks, "pairs": told.get("pairs"), "reason": told.get("reason")}
    step.check(decision == "REVERT", f"{decision or run.told()}: {told.get('reason')}")
    step.check(len(looks) == 1, f"{len(looks)} looks, {told.get('pairs')} pairs, {run.seconds:.1f} s")


def step_faults(world, step):
    for name, (source, expected, code, words) in FAULTS.items():
        folder = world.project(f"fault-{name}", "vector_add", source)
        hog = start_hog(world) if name == "out_of_memory" else None
        run = world.pipeline(folder, "smoke", "--set", "stages.smoke.timeout=20s", timeout=120)
        if hog:
            hog.stdin.close()
            hog.wait(timeout=30)
        failure = run.failure()
        found = failure[1] if failure else None
        step.numbers[name] = {"class": found, "exit": run.code, "seconds": round(run.seconds, 1)}
        said = (failure[2] if failure else run.stderr).lower()
        holds = found == expected and run.code == code and (not words or any(w in said for w in words))
        step.check(holds, f"{name}: {run.told()} (exit {run.code}, {run.seconds:.1f} s)")
    folder = world.project("fault-after", "vector_add", shipped("vector_add", "vector_add.cu"))
    run = world.pipeline(folder, "smoke")
    step.check(run.code == 0, f"and an honest kernel after them: exit {run.code}")


def start_hog(world):
    """Holds all but little of the device's memory until its input ends."""
    command = [sys.executable, "-B", os.path.join(TOOLS, "gpu_driver.py")]
    process = subprocess.Popen(command, env=world.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(json.dumps({"job": "hog", "keep": 64 << 20}) + "\n")
    process.stdin.flush()
    process.stdout.readline()
    return process


def step_exploits(world, step):
    honest = None
    for path in exploits():
        facts = facts_of(path)
        if facts["host"] and not world.host_compiler:
            step.note(f"{facts['name']}: skipped, there is no nvcc for its host code")
            continue
        folder = os.path.join(world.work, f"exploit-{facts['name']}")
        lines = facts["compile"] or world.compile
        write_project(folder, facts["problem"], path, facts["cases"], None, lines, world.looks)
        run = world.pipeline(folder, *facts["stages"], timeout=240)
        failure = run.failure()
        found = failure[1] if failure else "passed"
        step.numbers[facts["name"]] = {"ends": found, "expected": facts["ends"], "exit": run.code}
        if facts["ends"] != ["honest"]:
            step.check(found in facts["ends"], f"{facts['name']}: {run.told()}")
            continue
        honest = honest or honest_median(world, facts)
        took = run.medians("cold").get(facts["cases"][0])
        holds = found == "passed" and took and honest and took >= HONEST_SHARE * honest
        step.numbers[facts["name"]].update({"cold_us": took, "honest_us": honest})
        step.check(holds, f"{facts['name']}: {found}, cold {took} us, honestly {honest} us")


def honest_median(world, facts):
    """The shipped kernel's cold median at an exploit's case."""
    source = shipped(facts["problem"], f"{facts['problem']}.cu")
    folder = world.project("honest", facts["problem"], source, cases=facts["cases"])
    return world.pipeline(folder, "smoke", "cold").medians("cold").get(facts["cases"][0])


def step_profile(world, step):
    source = shipped("sgemm", "sgemm.cu")
    folder = world.project("profile", "sgemm", source, cases=["m=512 n=512 k=512"], atol="5e-4")
    run = world.pipeline(folder, "smoke", "profile", timeout=400)
    end = run.stage("profile") or {}
    detail = end.get("detail") or {}
    step.numbers = {"exit": run.code, "profile": detail.get("profile"), "ncu": find_tool(world, "ncu")}
    step.check(run.code == 0 and bool(end), f"profile of sgemm: {run.told()}")
    lines = (detail.get("profile") or {}).get("lines") or []
    for line in lines[:4]:
        step.note(line)
    if not find_tool(world, "ncu"):
        step.note("there is no ncu here: occupancy and bound alone")


def step_sanitizer(world, step):
    tool = find_tool(world, "compute-sanitizer")
    if not tool:
        step.skip("there is no compute-sanitizer here")
        return
    # Reads one element beyond its inputs: no output tells.
    body = "out[i] = a[i] + b[i] + 0.0f * (i == n - 1 ? ((const volatile float *)a)[n] : 0.0f);"
    racing = (
        'extern "C" __global__ void vector_add(const float *a, const float *b, float *out, int n)\n{\n'
        "    __shared__ float there[256];\n    int i = blockIdx.x * blockDim.x + threadIdx.x;\n"
        "    there[threadIdx.x] = i < n ? a[i] : 0.0f;\n"
        "    volatile float other = there[(threadIdx.x + 32) % 256];\n"
        "    if (i < n)\n        out[i] = a[i] + b[i] + 0.0f * (other == other ? 1.0f : 0.0f);\n}\n"
    )
    for name, source in (("out_of_bounds_read", adding(body)), ("shared_memory_race", racing)):
        folder = world.project(f"sanitizer-{name}", "vector_add", source)
        run = world.pipeline(folder, "smoke", timeout=240)
        failure = run.failure()
        step.numbers[name] = {"class": failure[1] if failure else None, "exit": run.code}
        step.check(bool(failure) and failure[1] in ("crashed", "wrong"), f"{name}: {run.told()}")
    folder = world.project("sanitizer-honest", "vector_add", shipped("vector_add", "vector_add.cu"))
    run = world.pipeline(folder, "smoke", timeout=240)
    told = ((run.stage("smoke") or {}).get("detail") or {}).get("sanitizers")
    step.numbers["honest"] = told
    step.check(run.code == 0, f"an honest kernel passes: {told}")


def step_null_run(world, step):
    cpu = os.path.join(world.work, "null-cpu")
    write_project(cpu, "vector_add", shipped("vector_add", "vector_add.c"))
    toml = read(os.path.join(cpu, "accept.toml")).replace('"cuda:0"', '"cpu"')
    write(os.path.join(cpu, "accept.toml"), toml)
    cuda = world.project("null-cuda", "vector_add", shipped("vector_add", "vector_add.cu"))
    for folder in (cpu, cuda):
        run = world.pipeline(folder, "smoke")
        if not step.check(run.code == 0, f"{os.path.basename(folder)} first: exit {run.code}, {run.seconds:.2f} s"):
            return
    times = {cpu: [], cuda: []}
    for _ in range(41):
        for folder, taken in times.items():
            taken.append(world.pipeline(folder, "smoke").seconds)
    cpu_ms, cuda_ms = (1000 * median(times[folder][1:]) for folder in (cpu, cuda))
    step.numbers = {"cpu_ms": cpu_ms, "cuda_ms": cuda_ms, "ratio": cuda_ms / cpu_ms}
    ratio = cuda_ms / cpu_ms
    step.check(ratio <= NULL_RATIO, f"null run: CPU {cpu_ms:.2f} ms, CUDA {cuda_ms:.2f} ms, {ratio:.2f}x")
    world.env["LD_DEBUG"] = "files"
    run = world.pipeline(cuda, "smoke")
    del world.env["LD_DEBUG"]
    step.check("libcuda" not in run.stderr, "the driver's library is not opened on a null run")


def step_aa(world, step):
    wanted = 20 if world.options.quick else world.options.decisions
    folders = []
    for problem, cases in STUDIED.items():
        source = shipped(problem, f"{problem}.cu")
        folder = world.project(f"aa-{problem}", problem, source, cases=cases, atol=KERNELS[problem]["atol"])
        write(os.path.join(folder, "same.cu"), same(read(source)))
        folders.append((problem, folder, f"{problem}.cu"))
    counts = {word: 0 for word in DECIDED.values()}
    odd, gains, pairs, begun = [], [], 0, time.monotonic()
    while sum(counts.values()) < wanted and world.left() > 20 and len(odd) < 10:
        problem, folder, kernel = folders[sum(counts.values()) % len(folders)]
        # Each takes the other's place in turn.
        sides = (kernel, "same.cu") if sum(counts.values()) % 2 == 0 else ("same.cu", kernel)
        run = compare(world, folder, *sides, timeout=120)
        decision, told = verdict(run)
        if decision is None:
            odd.append(f"{problem}: {run.told()}")
            continue
        counts[decision] += 1
        pairs += (told.get("pairs") or 0) + (told.get("confirm_pairs") or 0)
        gains.append(told.get("gain"))
    decisions = sum(counts.values())
    seconds = time.monotonic() - begun
    share = counts["KEEP"] / decisions if decisions else 1.0
    bound = upper_bound(counts["KEEP"], decisions)
    step.numbers = {**counts, "decisions": decisions, "upper_bound": bound, "pairs": pairs, "gains": gains, "seconds": seconds}
    for words in odd:
        step.check(False, words)
    each = seconds / max(decisions, 1)
    step.check(share <= FALSE_KEEPS, f"{counts['KEEP']} of {decisions} decisions about identical code are KEEP (at most {100 * bound:.1f} % with 95 % confidence), {counts['REVERT']} REVERT, {counts['UNDECIDED']} UNDECIDED, {each:.1f} s each")
    words = f"{decisions} decisions, {wanted} are asked for"
    if world.options.quick:
        step.note(f"{words} (quick: proves little)")
    else:
        step.check(decisions >= wanted, words)


STEPS = {
    "environment": step_environment,
    "kernels": step_kernels,
    "bandwidth": step_bandwidth,
    "cross": step_cross,
    "compare": step_compare,
    "slow": step_slow,
    "faults": step_faults,
    "exploits": step_exploits,
    "profile": step_profile,
    "sanitizer": step_sanitizer,
    "null_run": step_null_run,
    # Last: it takes what time is left.
    "aa": step_aa,
}


def take(world, name, steps):
    """One step, whatever happens in it."""
    step = Step(name)
    steps.append(step)
    begun = time.monotonic()
    if world.left() < 0 and name != "environment":
        if world.options.quick:
            step.skip("there was no time left for it")
        else:
            step.check(False, "there was no time left for it")
    else:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            STEPS[name](world, step)
        except Exception as error:  # a step that breaks is a failure, and the others go on
            step.check(False, f"{type(error).__name__}: {error}")
    step.seconds = time.monotonic() - begun
    print(f"{name}: {step.status}, {step.seconds:.1f} s", file=sys.stderr, flush=True)
    for words in step.words:
        print(f"  {words}", file=sys.stderr, flush=True)


def accept(options):
    out = options.out or os.environ.get("OUT") or "out"
    world = World(options)
    try:
        if not os.access(world.optloop, os.X_OK):
            print(f"gpu-accept: there is no optloop at {world.optloop}; build it, or name it by OPTLOOP=PATH", file=sys.stderr)
            return 1
        prepare_environment(world)
        probe = world.driver({"job": "probe"})
        if not probe.get("devices"):
            why = probe.get("error", "the driver lists none")
            step = Step("environment")
            step.skip(f"there is no CUDA device here: {why}")
            write_report(out, None, [step], {})
            print(f"gpu-accept: there is no CUDA device here ({why}): nothing was tried", file=sys.stderr)
            return NO_DEVICE
        world.device = probe["devices"][0]
        chosen = [name for name in STEPS if not options.only or name in options.only or name == "environment"]
        steps = []
        for name in chosen:
            take(world, name, steps)
            # After each, so that a machine that is taken away leaves what was found.
            report = write_report(out, world.device, steps, world.environment)
        print(f"{'passed' if report['passed'] else 'FAILED'}: {out}/gpu-accept.md", file=sys.stderr)
        return 0 if report["passed"] else 1
    finally:
        world.close()


# ---- checks of this script itself --------------------------------------------------------------


def self_test():
    assert median([3, 1, 2]) == 2 and median([4, 1, 2, 3]) == 2.5
    assert abs(binomial_at_most(1, 3, 0.5) - 0.5) < 1e-12
    assert binomial_at_most(3, 3, 0.9) > 1 - 1e-12 and binomial_at_most(0, 3, 1.0) == 0.0
    # 0 of 200: 1 - 0.05 ** (1 / 200). 2 of 200 from tables.
    assert abs(upper_bound(0, 200) - (1 - 0.05 ** (1 / 200))) < 1e-9
    assert abs(upper_bound(2, 200) - 0.0311) < 2e-4 and upper_bound(5, 5) == 1.0 == upper_bound(0, 0)
    self_test_report()
    self_test_problems()
    self_test_runs()
    for path in exploits():
        facts = facts_of(path)
        assert facts["problem"] in KERNELS and facts["ends"], path
        assert set(facts["ends"]) <= {"wrong", "crashed", "cheating", "honest", "timed_out", "failed"}, path
        assert set(facts["stages"]) <= {"smoke", "cold", "hot"}, path
        assert facts["cases"] or facts["ends"] != ["honest"], path
        assert ("<<<" in read(path)) == facts["host"], path
    assert len(exploits()) >= 10
    print("the script's own checks hold")


def self_test_report():
    good, bad, none = Step("good"), Step("bad"), Step("none")
    good.check(True, "a | b\nc")
    bad.check(False, "x")
    bad.skip("y")
    none.skip("nothing here")
    assert [s.status for s in (good, bad, none)] == [PASS, FAIL, SKIP]
    assert passed([good, none]) and not passed([good, bad]) and not passed([none]) and not passed([])
    table = markdown("t", [good, bad, none])
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 5 and all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows), table
    assert "a \\| b c" in table and "FAILED: x<br>y" in table
    with tempfile.TemporaryDirectory() as out:
        report = write_report(os.path.join(out, "new"), None, [none], {})
        assert json.loads(read(os.path.join(out, "new", "gpu-accept.json"))) == report
        assert not report["passed"] and "no device" in read(os.path.join(out, "new", "gpu-accept.md"))


def self_test_problems():
    text = read(shipped("reduce_sum", "problem.toml"))
    other = resized(text, ["n=7", "n=8"], "0.5")
    assert "cases = [{ n = 7 }, { n = 8 }]\n" in other and "\natol = 0.5\n" in other
    case = "n=16777216"
    assert geometry(text, read(shipped("reduce_sum", "reduce_sum.cu")), case) == ([1, 1, 1], [256, 1, 1], 1024)
    fast = geometry(text, read(shipped("reduce_sum", "reduce_sum_fast.cu")), case)
    assert fast == ([1024, 1, 1], [256, 1, 1], 0), fast
    text = read(shipped("sgemm", "problem.toml"))
    case = "m=97 n=131 k=65"
    assert geometry(text, read(shipped("sgemm", "sgemm.cu")), case) == ([9, 7, 1], [16, 16, 1], 0)
    assert arguments(text, case) == [
        {"kind": "in", "bytes": 4 * 97 * 65},
        {"kind": "in", "bytes": 4 * 65 * 131},
        {"kind": "out", "bytes": 4 * 97 * 131},
        {"kind": "scalar", "value": 97},
        {"kind": "scalar", "value": 131},
        {"kind": "scalar", "value": 65},
    ]
    with tempfile.TemporaryDirectory() as folder:
        write_all(folder)
        assert len(glob.glob(os.path.join(folder, "*", "accept.toml"))) > 30


def self_test_runs():
    failed = {
        "event": "stage_finished",
        "stage": "smoke",
        "outcome": {"how": "failed", "failure": {"class": "wrong", "message": "m"}},
        "detail": None,
    }
    run = Run(3, "no json\n" + json.dumps(failed) + "\n", "", 1.0)
    assert run.failure() == ("smoke", "wrong", "m") and run.medians("smoke") == {}
    assert run.stage("other") is None and verdict(run) == (None, {})
    detail = {"cases": [{"label": "n=1", "median_us": 2.0}], "comparison": {"pairs": 8}}
    ended = {"event": "stage_finished", "stage": "candidate", "outcome": {"how": "ran"}, "detail": detail}
    run = Run(0, json.dumps(ended), "", 1.0)
    assert run.medians("candidate") == {"n=1": 2.0} and verdict(run) == ("KEEP", {"pairs": 8})


def options_of(arguments_given):
    parser = argparse.ArgumentParser(prog="gpu-accept", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="some five minutes: fewer decisions")
    parser.add_argument("--only", action="append", choices=list(STEPS), metavar="STEP", help=", ".join(STEPS))
    parser.add_argument("--out", help="where the report goes: $OUT, else ./out")
    parser.add_argument("--budget", type=float, help="seconds for everything")
    parser.add_argument("--decisions", type=int, default=DECISIONS, help="of the A/A study")
    parser.add_argument("--keep", action="store_true", help="leave the working folder where it is")
    parser.add_argument("--write", metavar="FOLDER", help="only write the projects that would be run")
    parser.add_argument("--self-test", action="store_true", help="check this script itself")
    default = os.path.join(ROOT, "target", "release", "optloop")
    parser.add_argument("--optloop", default=os.environ.get("OPTLOOP", default), help="the binary")
    options = parser.parse_args(arguments_given)
    options.budget = options.budget or (300.0 if options.quick else 1440.0)
    return options


def main():
    options = options_of(sys.argv[1:])
    if options.self_test:
        self_test()
        return 0
    if options.write:
        write_all(options.write)
        return 0
    return accept(options)


if __name__ == "__main__":
    sys.exit(main())
