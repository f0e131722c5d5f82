"""The CUDA driver through ctypes, for the acceptance script: a clock of its own to hold optloop's against.

Run as a process of its own, with a job as JSON on standard input and the answer as JSON on standard
output, so that no context stays on the device while optloop measures there. Python's standard library
alone is needed; where triton or CuPy can be imported they time the same launches once more.
"""

import array
import ctypes
import glob
import json
import os
import random
import sys

# Held against what optloop does, and therefore written apart from it.
PTX = b"""
.version 7.0
.target sm_75
.address_size 64
.visible .entry accept_delay(.param .u64 pns)
{
 .reg .u64 %ns, %from, %now;
 .reg .pred %p;
 ld.param.u64 %ns, [pns];
 mov.u64 %from, %globaltimer;
AGAIN:
 mov.u64 %now, %globaltimer;
 sub.u64 %now, %now, %from;
 setp.lt.u64 %p, %now, %ns;
 @%p bra AGAIN;
 ret;
}
.visible .entry accept_copy(.param .u64 pfrom, .param .u64 pto, .param .u64 pwords)
{
 .reg .u64 %from, %to, %words, %i, %step, %at, %source, %target;
 .reg .u32 %t, %b, %w, %g, %x<4>;
 .reg .pred %p;
 ld.param.u64 %from, [pfrom];
 ld.param.u64 %to, [pto];
 ld.param.u64 %words, [pwords];
 mov.u32 %t, %tid.x;
 mov.u32 %b, %ctaid.x;
 mov.u32 %w, %ntid.x;
 mov.u32 %g, %nctaid.x;
 cvt.u64.u32 %at, %t;
 mul.wide.u32 %i, %b, %w;
 add.u64 %i, %i, %at;
 mul.wide.u32 %step, %g, %w;
AGAIN:
 setp.ge.u64 %p, %i, %words;
 @%p bra DONE;
 shl.b64 %at, %i, 4;
 add.u64 %source, %from, %at;
 add.u64 %target, %to, %at;
 ld.global.v4.u32 {%x0, %x1, %x2, %x3}, [%source];
 st.global.v4.u32 [%target], {%x0, %x1, %x2, %x3};
 add.u64 %i, %i, %step;
 bra AGAIN;
DONE:
 ret;
}
.visible .entry accept_touch(.param .u64 pfrom, .param .u64 pwords, .param .u64 psink)
{
 .reg .u64 %from, %words, %sink, %i, %step, %at;
 .reg .u32 %t, %b, %w, %g, %x<4>, %sum;
 .reg .pred %p;
 ld.param.u64 %from, [pfrom];
 ld.param.u64 %words, [pwords];
 ld.param.u64 %sink, [psink];
 mov.u32 %sum, 0;
 mov.u32 %t, %tid.x;
 mov.u32 %b, %ctaid.x;
 mov.u32 %w, %ntid.x;
 mov.u32 %g, %nctaid.x;
 cvt.u64.u32 %at, %t;
 mul.wide.u32 %i, %b, %w;
 add.u64 %i, %i, %at;
 mul.wide.u32 %step, %g, %w;
AGAIN:
 setp.ge.u64 %p, %i, %words;
 @%p bra DONE;
 shl.b64 %at, %i, 4;
 add.u64 %at, %from, %at;
 ld.global.v4.u32 {%x0, %x1, %x2, %x3}, [%at];
 xor.b32 %sum, %sum, %x0;
 xor.b32 %sum, %sum, %x3;
 add.u64 %i, %i, %step;
 bra AGAIN;
DONE:
 setp.ne.u32 %p, %sum, 0x5bd1e995;
 @%p bra END;
 st.global.u32 [%sink], %sum;
END:
 ret;
}
"""

DELAY_NS = 30_000
SETS = 4

MAJOR, MINOR, L2, MULTIPROCESSORS = 75, 76, 38, 16
CLOCK_KHZ, MEMORY_KHZ, BUS_BITS = 13, 36, 37
MAX_DYNAMIC_SHARED = 8


class CudaError(Exception):
    """What the driver said, with its number."""

    def __init__(self, call, code, name=""):
        super().__init__(f"{call}: {name or 'error'} ({code})")
        self.code = code


class NoDriver(Exception):
    """There is no driver library."""


class Cuda:
    """The driver's calls that are needed, each checked."""

    def __init__(self):
        self.lib = None
        for name in ("libcuda.so.1", "libcuda.so"):
            try:
                self.lib = ctypes.CDLL(name)
                break
            except OSError:
                continue
        if self.lib is None:
            raise NoDriver("libcuda.so.1 was not found")
        self("cuInit", 0)

    def __call__(self, name, *args):
        code = getattr(self.lib, name)(*args)
        if code:
            text = ctypes.c_char_p()
            self.lib.cuGetErrorName(code, ctypes.byref(text))
            raise CudaError(name, code, (text.value or b"").decode())

    def number(self, name, *args, kind=ctypes.c_int):
        """What a call writes through its first argument."""
        value = kind()
        self(name, ctypes.byref(value), *args)
        return value.value

    def attribute(self, which, device):
        return self.number("cuDeviceGetAttribute", which, device)

    def device(self, ordinal=0):
        return self.number("cuDeviceGet", ordinal)

    def describe(self, ordinal=0):
        device = self.device(ordinal)
        name = ctypes.create_string_buffer(256)
        self("cuDeviceGetName", name, 256, device)
        uuid = ctypes.create_string_buffer(16)
        call = "cuDeviceGetUuid_v2" if hasattr(self.lib, "cuDeviceGetUuid_v2") else "cuDeviceGetUuid"
        self(call, uuid, device)
        driver = self.number("cuDriverGetVersion")
        return {
            "name": name.value.decode(),
            "uuid": "GPU-" + uuid.raw.hex(),
            "driver_cuda": f"{driver // 1000}.{driver % 1000 // 10}",
            "compute_capability": [self.attribute(MAJOR, device), self.attribute(MINOR, device)],
            "memory_bytes": self.number("cuDeviceTotalMem_v2", device, kind=ctypes.c_size_t),
            "l2_bytes": self.attribute(L2, device),
            "multiprocessors": self.attribute(MULTIPROCESSORS, device),
            "sm_mhz": self.attribute(CLOCK_KHZ, device) / 1000,
            "memory_mhz": self.attribute(MEMORY_KHZ, device) / 1000,
            "bus_bits": self.attribute(BUS_BITS, device),
        }

    def context(self, ordinal=0):
        """The device's own context, which torch and CuPy use too."""
        context = ctypes.c_void_p()
        self("cuDevicePrimaryCtxRetain", ctypes.byref(context), self.device(ordinal))
        self("cuCtxSetCurrent", context)
        return context

    def allocate(self, size):
        at = self.number("cuMemAlloc_v2", ctypes.c_size_t(max(size, 16)), kind=ctypes.c_uint64)
        return ctypes.c_uint64(at)

    def free_bytes(self):
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    def module(self, image):
        module = ctypes.c_void_p()
        self("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(image))
        return module

    def function(self, module, name):
        function = ctypes.c_void_p()
        self("cuModuleGetFunction", ctypes.byref(function), module, name.encode())
        return function

    def event(self):
        event = ctypes.c_void_p()
        self("cuEventCreate", ctypes.byref(event), 0)
        return event

    def launch(self, function, grid, block, shared, values, stream=None):
        pointers = (ctypes.c_void_p * len(values))(
            *[ctypes.cast(ctypes.byref(value), ctypes.c_void_p) for value in values]
        )
        self("cuLaunchKernel", function, *grid, *block, shared, stream, pointers, None)


class Bench:
    """Buffers, events, and helpers around launches of one function."""

    def __init__(self, cuda, device=0):
        self.cuda = cuda
        cuda.context(device)
        self.l2 = cuda.attribute(L2, cuda.device(device))
        helpers = cuda.module(PTX + b"\0")
        self.delay = cuda.function(helpers, "accept_delay")
        self.copy = cuda.function(helpers, "accept_copy")
        self.touch = cuda.function(helpers, "accept_touch")
        self.flush = cuda.allocate(2 * self.l2)
        self.sink = cuda.allocate(16)
        self.start, self.end = cuda.event(), cuda.event()

    def time_us(self, enqueue, before):
        """Microseconds between two events around what is enqueued, behind `before` and a delay."""
        cuda = self.cuda
        before()
        cuda.launch(self.delay, (1, 1, 1), (1, 1, 1), 0, [ctypes.c_uint64(DELAY_NS)])
        cuda("cuEventRecord", self.start, None)
        enqueue()
        cuda("cuEventRecord", self.end, None)
        cuda("cuEventSynchronize", self.end)
        return 1000.0 * self.cuda.number(
            "cuEventElapsedTime", self.start, self.end, kind=ctypes.c_float
        )

    def flush_l2(self):
        if hasattr(self.cuda.lib, "cuCtxResetPersistingL2Cache"):
            self.cuda("cuCtxResetPersistingL2Cache")
        size = ctypes.c_size_t(2 * self.l2)
        self.cuda("cuMemsetD8Async", self.flush, ctypes.c_ubyte(0x5A), size, None)

    def touch_all(self, buffers):
        for at, size in buffers:
            words = ctypes.c_uint64(size // 16)
            self.cuda.launch(self.touch, (1024, 1, 1), (256, 1, 1), 0, [at, words, self.sink])


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def noise(size):
    """Bytes of normal floats, a block over and over."""
    chance = random.Random(7)
    block = array.array("f", (chance.gauss(0.0, 1.0) for _ in range(1 << 16))).tobytes()
    return (block * (size // len(block) + 1))[:size]


def arguments(bench, job):
    """SETS sets of values for a launch, with the buffers of each."""
    cuda, sets = bench.cuda, []
    for _ in range(SETS):
        values, buffers = [], []
        for argument in job["args"]:
            if argument["kind"] == "scalar":
                values.append(ctypes.c_int32(argument["value"]))
                continue
            size = argument["bytes"]
            at = cuda.allocate(size)
            if argument["kind"] == "in":
                data = noise(size)
                cuda("cuMemcpyHtoD_v2", at, data, ctypes.c_size_t(size))
            values.append(at)
            buffers.append((at, size))
        sets.append((values, buffers))
    return sets


def time_kernel(job):
    """Medians of a cubin's launches, cold and hot."""
    bench = Bench(Cuda(), job.get("device", 0))
    cuda = bench.cuda
    with open(job["cubin"], "rb") as file:
        image = file.read()
    function = cuda.function(cuda.module(image), job["entry"])
    if job["shared"] > 48 * 1024:
        cuda("cuFuncSetAttribute", function, MAX_DYNAMIC_SHARED, job["shared"])
    sets = arguments(bench, job)
    answer = {"launches": job["launches"], "empty_us": empty(bench)}
    for mode in job["modes"]:
        times = []
        for number in range(job["launches"] + SETS):
            values, buffers = sets[number % SETS]
            cold = bench.flush_l2 if mode == "cold" else (lambda own=buffers: bench.touch_all(own))
            launch = lambda own=values: cuda.launch(
                function, job["grid"], job["block"], job["shared"], own
            )
            times.append(bench.time_us(launch, cold))
        answer[mode] = {"median_us": median(times[SETS:]), "min_us": min(times[SETS:])}
    others(cuda, function, job, sets, answer)
    return answer


def empty(bench):
    return median([bench.time_us(lambda: None, lambda: None) for _ in range(51)])


def others(cuda, function, job, sets, answer):
    """The same cold launches by triton's and CuPy's clocks, where they are installed."""
    turn = [0]

    def launch(stream):
        values, _ = sets[turn[0] % SETS]
        turn[0] += 1
        cuda.launch(function, job["grid"], job["block"], job["shared"], values, stream)

    try:
        import torch
        from triton.testing import do_bench

        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        told = do_bench(lambda: launch(stream), warmup=25, rep=200, return_mode="median")
        answer["triton_cold_us"] = 1000.0 * told
    except Exception as error:  # whatever an installation lacks
        answer["no_triton"] = f"{type(error).__name__}: {error}"[:200]
    try:
        import cupy

        flush = cupy.empty(2 * cuda.attribute(L2, cuda.device()), dtype=cupy.uint8)
        start, end, times = cupy.cuda.Event(), cupy.cuda.Event(), []
        for _ in range(job["launches"]):
            flush.fill(1)
            start.record()
            launch(ctypes.c_void_p(cupy.cuda.get_current_stream().ptr))
            end.record()
            end.synchronize()
            times.append(1000.0 * cupy.cuda.get_elapsed_time(start, end))
        answer["cupy_cold_us"] = median(times)
    except Exception as error:
        answer["no_cupy"] = f"{type(error).__name__}: {error}"[:200]


def bandwidth(job):
    """Bytes per second that a copy moves, both ways counted, by a kernel and by the driver."""
    bench = Bench(Cuda(), job.get("device", 0))
    cuda, size = bench.cuda, job["bytes"]
    source, target = cuda.allocate(size), cuda.allocate(size)
    cuda("cuMemsetD8_v2", source, ctypes.c_ubyte(7), ctypes.c_size_t(size))
    words = size // 16
    many = cuda.attribute(MULTIPROCESSORS, cuda.device(job.get("device", 0)))
    answer = {"bytes": 2 * size}
    ways = {
        "resident": ((8 * many, 1, 1), (256, 1, 1)),
        "full": ((16 * many, 1, 1), (1024, 1, 1)),
        "word_a_thread": ((-(-words // 256), 1, 1), (256, 1, 1)),
    }
    for name, (grid, block) in ways.items():
        values = [source, target, ctypes.c_uint64(words)]
        launch = lambda g=grid, b=block, v=values: cuda.launch(bench.copy, g, b, 0, v)
        times = [bench.time_us(launch, bench.flush_l2) for _ in range(55)][5:]
        answer[name] = 2 * size / median(times) * 1e6
    copy = lambda: cuda("cuMemcpyDtoDAsync_v2", target, source, ctypes.c_size_t(size), None)
    times = [bench.time_us(copy, bench.flush_l2) for _ in range(55)][5:]
    answer["driver"] = 2 * size / median(times) * 1e6
    answer["best"] = max(answer[name] for name in [*ways, "driver"])
    return answer


def hog(job):
    """Takes all memory but `keep` bytes, says so, and gives it back when standard input ends."""
    cuda = Cuda()
    cuda.context(job.get("device", 0))
    size = 1 << 30
    while size >= 1 << 20:
        if cuda.free_bytes() <= job["keep"] + size:
            size //= 2
            continue
        try:
            cuda.allocate(size)
        except CudaError:
            size //= 2
    print(json.dumps({"free_bytes": cuda.free_bytes()}), flush=True)
    sys.stdin.read()


def probe(_job):
    cuda = Cuda()
    return {"devices": [cuda.describe(n) for n in range(cuda.number("cuDeviceGetCount"))]}


def library_folders(root):
    """Where NVIDIA's libraries may lie: the variables, the toolkit, wheels of Python and in the tree."""
    folders = [f for f in os.environ.get("LD_LIBRARY_PATH", "").split(":") if f]
    for home in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"):
        if home:
            folders += [os.path.join(home, "lib64"), os.path.join(home, "lib")]
    for base in [root, *wheel_bases(root), *sys.path]:
        folders += sorted(glob.glob(os.path.join(base, "nvidia", "*", "lib")))
    return list(dict.fromkeys(f for f in folders if os.path.isdir(f)))


def wheel_bases(root):
    """Folders of the tree in which wheels may have been unpacked."""
    patterns = ("wheels", "site", "site-packages", "python", "*/lib/python3*/site-packages")
    return [found for p in patterns for found in glob.glob(os.path.join(root, p))]


def find_library(names, root):
    for name in names:
        for folder in library_folders(root):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                return path
    for name in names:
        try:
            ctypes.CDLL(name)
            return name
        except OSError:
            continue
    return None


NVRTC = ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so")


def nvrtc(job):
    """Compiles a source to a cubin, as optloop would."""
    path = find_library(NVRTC, job["root"])
    if path is None:
        return {"error": "NVRTC was not found"}
    lib = ctypes.CDLL(path)
    with open(job["source"], "rb") as file:
        text = file.read()
    program = ctypes.c_void_p()
    lib.nvrtcCreateProgram(ctypes.byref(program), text, b"kernel.cu", 0, None, None)
    options = [f"--gpu-architecture={job['arch']}".encode(), *[o.encode() for o in job["options"]]]
    code = lib.nvrtcCompileProgram(
        program, len(options), (ctypes.c_char_p * len(options))(*options)
    )
    size = ctypes.c_size_t()
    if code:
        lib.nvrtcGetProgramLogSize(program, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        lib.nvrtcGetProgramLog(program, log)
        return {"error": log.value.decode(errors="replace")}
    lib.nvrtcGetCUBINSize(program, ctypes.byref(size))
    image = ctypes.create_string_buffer(size.value)
    lib.nvrtcGetCUBIN(program, image)
    with open(job["cubin"], "wb") as file:
        file.write(image.raw)
    return {"library": path, "bytes": size.value}


JOBS = {"probe": probe, "time": time_kernel, "bandwidth": bandwidth, "hog": hog, "nvrtc": nvrtc}


def main():
    job = json.loads(sys.stdin.readline())
    try:
        answer = JOBS[job["job"]](job)
    except NoDriver as error:
        answer = {"error": str(error), "no_driver": True}
    except CudaError as error:
        answer = {"error": str(error), "code": error.code}
    if answer is not None:
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
