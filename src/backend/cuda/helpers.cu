/* Kernels of the judge's own, which a CUDA worker runs beside the candidate: they draw what a slot
 * needs, and find what was written where nothing may be written. `helpers.ptx` is made from this
 * file and is what the program carries; a test compiles it again and compares.
 *
 * The file is also C: the stand-in driver of the tests builds it for the CPU, where `__global__` is
 * nothing and each thread is a call. So: no templates, no barriers, no shared memory. */

typedef unsigned long long u64;
typedef unsigned int u32;

#ifdef __CUDACC_RTC__
#define OPTLOOP_CUDA 1
#endif
#ifdef __CUDACC__
#define OPTLOOP_CUDA 1
#endif

#ifdef OPTLOOP_CUDA
#define KERNEL extern "C" __global__ void
static __device__ u64 optloop_clock(void)
{
    u64 now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    return now;
}
static __device__ void optloop_add(u64 *to, u64 value) { atomicAdd(to, value); }
static __device__ void optloop_least(u64 *to, u64 value) { atomicMin(to, value); }
#define DEVICE static __device__
#define FIRST ((u64)blockIdx.x * blockDim.x + threadIdx.x)
#define STEP ((u64)gridDim.x * blockDim.x)
/* Rounded after each operation, as on the host: a fused one would judge differently at the edge. */
#define TIMES(a, b) __dmul_rn(a, b)
#define PLUS(a, b) __dadd_rn(a, b)
#else
#define KERNEL void
#define DEVICE static
#define FIRST optloop_first_thread()
#define STEP optloop_thread_count()
#define TIMES(a, b) ((a) * (b))
#define PLUS(a, b) ((a) + (b))
#endif

/* splitmix64's finaliser (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
 * 2014): each bit of the input moves about half of the bits of the output. */
DEVICE u64 optloop_mix(u64 x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

/* Keeps the stream busy for `ns`, so that what is enqueued behind it is all there when it begins. */
KERNEL optloop_delay(u64 ns)
{
    u64 start = optloop_clock();
    while (optloop_clock() - start < ns) {
    }
}

/* The device-wide clock, ns. */
KERNEL optloop_stamp(u64 *out) { *out = optloop_clock(); }

/* Reads everything, so that it lies in the caches as far as it fits. */
KERNEL optloop_touch(const u32 *words, u64 count, u32 *sink)
{
    u32 sum = 0;
    for (u64 i = FIRST; i < count; i += STEP)
        sum += words[i];
    if (sum == 0x9e3779b9u && count == 0)
        *sink = sum;
}

/* Adds a keyed sum over `count` words to `*out`: a changed or moved word changes it, and who does
 * not know `key` cannot make up for that. */
KERNEL optloop_hash(const u64 *words, u64 count, u64 key, u64 *out)
{
    u64 sum = 0;
    for (u64 i = FIRST; i < count; i += STEP)
        sum += optloop_mix(optloop_mix(words[i] ^ key) + i);
    optloop_add(out, sum);
}

/* Fills `count` red zones of `words` words, which start `offsets` bytes from `arena`. */
KERNEL optloop_zones_fill(char *arena, const u64 *offsets, u64 count, u64 words, u64 key)
{
    for (u64 i = FIRST; i < count * words; i += STEP) {
        u64 *zone = (u64 *)(arena + offsets[i / words]);
        zone[i % words] = optloop_mix(key + i);
    }
}

/* Counts the words of red zones that are not as they were filled: how many to `found[0]`, the
 * first's number (over all zones) to `found[1]`, which starts as all ones. */
KERNEL optloop_zones_check(const char *arena, const u64 *offsets, u64 count, u64 words, u64 key,
                           u64 *found)
{
    for (u64 i = FIRST; i < count * words; i += STEP) {
        const u64 *zone = (const u64 *)(arena + offsets[i / words]);
        if (zone[i % words] != optloop_mix(key + i)) {
            optloop_add(&found[0], 1);
            optloop_least(&found[1], i);
        }
    }
}

DEVICE double optloop_from_half(u32 bits)
{
    double sign = bits & 0x8000u ? -1.0 : 1.0;
    int exponent = (int)(bits >> 10 & 31u);
    double fraction = (double)(bits & 1023u);
    double power = 1.0;
    int i;
    if (exponent == 31) {
        double zero = 0.0;
        return fraction > 0.0 ? zero / zero : sign / zero;
    }
    for (i = exponent == 0 ? 1 : exponent; i > 25; i--)
        power *= 2.0;
    for (i = exponent == 0 ? 1 : exponent; i < 25; i++)
        power *= 0.5;
    return sign * power * (exponent == 0 ? fraction : fraction + 1024.0);
}

DEVICE double optloop_from_bits(u32 bits)
{
    union {
        u32 bits;
        float value;
    } both;
    both.bits = bits;
    return (double)both.value;
}

/* Element types as the judge numbers them: f64, f32, f16, bf16, i64, i32, i16, i8, u8 (and bool). */
DEVICE double optloop_real(const void *from, u64 i, u32 dtype)
{
    switch (dtype) {
    case 0:
        return ((const double *)from)[i];
    case 1:
        return (double)((const float *)from)[i];
    case 2:
        return optloop_from_half(((const unsigned short *)from)[i]);
    default:
        return optloop_from_bits((u32)((const unsigned short *)from)[i] << 16);
    }
}

DEVICE long long optloop_integer(const void *from, u64 i, u32 dtype)
{
    switch (dtype) {
    case 4:
        return ((const long long *)from)[i];
    case 5:
        return ((const int *)from)[i];
    case 6:
        return ((const short *)from)[i];
    case 7:
        return ((const signed char *)from)[i];
    default:
        return ((const unsigned char *)from)[i];
    }
}

/* Counts the elements that do not agree, by the host's very rule: |got - want| <= atol + rtol |want|
 * in double precision, for integers cut to a whole number; what is not finite agrees only with itself;
 * NaN with nothing. How many to `found[0]`, the first's index to `found[1]`, which starts as all ones. */
KERNEL optloop_compare(const void *got, const void *want, u64 count, u32 dtype, double rtol,
                       double atol, u64 *found)
{
    for (u64 i = FIRST; i < count; i += STEP) {
        int agrees;
        if (dtype < 4) {
            double left = optloop_real(got, i, dtype), right = optloop_real(want, i, dtype);
            double difference = PLUS(left, -right);
            double size = right;
            if (difference < 0.0)
                difference = -difference;
            if (size < 0.0)
                size = -size;
            agrees = left == right || (difference - difference == 0.0 &&
                                       difference <= PLUS(atol, TIMES(rtol, size)));
        } else {
            long long left = optloop_integer(got, i, dtype);
            long long right = optloop_integer(want, i, dtype);
            u64 difference = left > right ? (u64)left - (u64)right : (u64)right - (u64)left;
            double size = (double)right, allowed;
            u64 most = 0;
            if (size < 0.0)
                size = -size;
            allowed = PLUS(atol, TIMES(rtol, size));
            if (allowed >= 18446744073709551616.0)
                most = ~(u64)0;
            else if (allowed > 0.0)
                most = (u64)allowed;
            agrees = difference <= most;
        }
        if (!agrees) {
            optloop_add(&found[0], 1);
            optloop_least(&found[1], i);
        }
    }
}

/* For the device's peaks: moves `count` words of 16 bytes. */
#ifdef OPTLOOP_CUDA
typedef ulonglong2 optloop_word;
#else
typedef struct {
    u64 low, high;
} optloop_word;
#endif

KERNEL optloop_copy(const optloop_word *from, optloop_word *to, int count)
{
    for (u64 i = FIRST; i < (u64)count; i += STEP)
        to[i] = from[i];
}

/* For the device's peaks: eight independent chains of `rounds` fused multiply-adds a thread. */
KERNEL optloop_fma(const float *start, float *out, int rounds)
{
    float x = start[0], y = start[1];
    float a = x, b = x + 1, c = x + 2, d = x + 3, e = x + 4, f = x + 5, g = x + 6, h = x + 7;
    int i;
    for (i = 0; i < rounds; i++) {
        a = a * x + y;
        b = b * x + y;
        c = c * x + y;
        d = d * x + y;
        e = e * x + y;
        f = f * x + y;
        g = g * x + y;
        h = h * x + y;
    }
    out[FIRST] = a + b + c + d + e + f + g + h;
}
