/* What this machine can do at most: multiply-adds and copied bytes per second.
 *
 *     peaks CORE[,CORE...] NAME=BYTES...
 *
 * One thread is pinned to each core and all of them work at the same time. One line of JSON per
 * figure: the peaks of f32 and f64, then the copy bandwidth of each NAME, measured with BYTES per
 * thread, half of it read and half of it written. Bytes are counted as STREAM counts them (McCalpin
 * 1995): those read plus those written, without the lines that a cache fetches before it writes
 * them. Each figure is the best that any variant reached, for noise only ever slows one down.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

enum { MAX_THREADS = 1024, SLICE_BYTES = 32 << 20 };
enum { ROUNDS = 8, FLOP_ROUNDS = 4, SLICE_ROUNDS = 8 };
/* A run shorter than this would be mostly the start of it. */
static const double MIN_SECONDS = 2e-3;
/* How long a figure is tried for that no second run confirms. */
static const double MAX_SECONDS = 1.0;

/* What one thread copies. Memory is copied a slice after the other, each run another one: a run
 * that is short has a chance to be over before anything else gets the core. */
struct arena {
    char *from, *to;
    size_t bytes; /* of a slice */
    int slices, next;
};
typedef void work(struct arena *, long passes);
struct variant {
    work *run;
    const char *name;
    double per_pass; /* operations of one pass; 0 for copies */
};

/* Read through here, so that the compiler knows neither the numbers nor that nobody reads the
 * results. */
static volatile double factor = 0.5, summand = 0.25, start_value = 1.0, sink;

#define EACH12(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define EACH24(X)                                                                                  \
    EACH12(X) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23)
#define DECLARE(I) vector a##I = one + (scalar)I;
#define STEP(I) a##I = a##I * b + c;
#define ADD(I) one += a##I;
/* Independent chains, as many as hide the latency of one multiply-add on two to four units. */
#define MULTIPLY_ADD(NAME, TYPE, WIDTH, EACH)                                                      \
    static void NAME(struct arena *unused, long passes) {                                          \
        typedef TYPE scalar;                                                                       \
        typedef TYPE vector __attribute__((vector_size(WIDTH)));                                   \
        vector zero = {0}, one = zero + (scalar)start_value;                                       \
        vector b = zero + (scalar)factor, c = zero + (scalar)summand;                              \
        (void)unused;                                                                              \
        EACH(DECLARE)                                                                              \
        for (long pass = 0; pass < passes; pass++) {                                               \
            EACH(STEP)                                                                             \
        }                                                                                          \
        EACH(ADD)                                                                                  \
        sink = one[0] + one[WIDTH / sizeof(scalar) - 1];                                           \
    }
MULTIPLY_ADD(f32_16x12, float, 16, EACH12)
MULTIPLY_ADD(f32_32x12, float, 32, EACH12)
MULTIPLY_ADD(f32_64x12, float, 64, EACH12)
MULTIPLY_ADD(f32_16x24, float, 16, EACH24)
MULTIPLY_ADD(f32_32x24, float, 32, EACH24)
MULTIPLY_ADD(f32_64x24, float, 64, EACH24)
MULTIPLY_ADD(f64_16x12, double, 16, EACH12)
MULTIPLY_ADD(f64_32x12, double, 32, EACH12)
MULTIPLY_ADD(f64_64x12, double, 64, EACH12)
MULTIPLY_ADD(f64_16x24, double, 16, EACH24)
MULTIPLY_ADD(f64_32x24, double, 32, EACH24)
MULTIPLY_ADD(f64_64x24, double, 64, EACH24)

#define FLOPS(NAME, TYPE, WIDTH, CHAINS) {NAME, #NAME, 2.0 * CHAINS * WIDTH / sizeof(TYPE)}
static const struct variant F32[] = {
    FLOPS(f32_16x12, float, 16, 12), FLOPS(f32_32x12, float, 32, 12),
    FLOPS(f32_64x12, float, 64, 12), FLOPS(f32_16x24, float, 16, 24),
    FLOPS(f32_32x24, float, 32, 24), FLOPS(f32_64x24, float, 64, 24),
    {NULL, NULL, 0},
};
static const struct variant F64[] = {
    FLOPS(f64_16x12, double, 16, 12), FLOPS(f64_32x12, double, 32, 12),
    FLOPS(f64_64x12, double, 64, 12), FLOPS(f64_16x24, double, 16, 24),
    FLOPS(f64_32x24, double, 32, 24), FLOPS(f64_64x24, double, 64, 24),
    {NULL, NULL, 0},
};

/* Nothing moves past here, and no loop around it is taken for a memcpy. */
#define FENCE __asm__ volatile("" ::: "memory")

/* Four vectors at a time; sizes are multiples of 256 bytes. */
#define COPY(NAME, WIDTH)                                                                          \
    static void NAME(struct arena *arena, long passes) {                                           \
        typedef float vector __attribute__((vector_size(WIDTH)));                                  \
        for (long pass = 0; pass < passes; pass++) {                                               \
            const vector *from = (const vector *)arena->from;                                      \
            vector *to = (vector *)arena->to;                                                      \
            const size_t count = arena->bytes / WIDTH;                                             \
            for (size_t i = 0; i < count; i += 4) {                                                \
                vector a = from[i], b = from[i + 1], c = from[i + 2], d = from[i + 3];             \
                to[i] = a, to[i + 1] = b, to[i + 2] = c, to[i + 3] = d;                            \
                FENCE;                                                                             \
            }                                                                                      \
        }                                                                                          \
    }
COPY(copy_16, 16)
COPY(copy_32, 32)
COPY(copy_64, 64)

static void copy_memcpy(struct arena *arena, long passes) {
    for (long pass = 0; pass < passes; pass++) {
        memcpy(arena->to, arena->from, arena->bytes);
        FENCE;
    }
}

#if defined(__SSE__)
/* Stores that do not fetch the line first. */
#if defined(__AVX512F__)
enum { STREAMED = 16 };
#define STREAM(TO, FROM) _mm512_stream_ps(TO, _mm512_load_ps(FROM))
#elif defined(__AVX__)
enum { STREAMED = 8 };
#define STREAM(TO, FROM) _mm256_stream_ps(TO, _mm256_load_ps(FROM))
#else
enum { STREAMED = 4 };
#define STREAM(TO, FROM) _mm_stream_ps(TO, _mm_load_ps(FROM))
#endif
static void copy_stream(struct arena *arena, long passes) {
    for (long pass = 0; pass < passes; pass++) {
        const float *from = (const float *)arena->from;
        float *to = (float *)arena->to;
        for (size_t i = 0; i < arena->bytes / sizeof(float); i += 64) {
            for (size_t k = i; k < i + 64; k += STREAMED) STREAM(to + k, from + k);
        }
        _mm_sfence();
    }
}
#endif

static const struct variant COPIES[] = {
    {copy_16, "copy_16", 0},
    {copy_32, "copy_32", 0},
    {copy_64, "copy_64", 0},
    {copy_memcpy, "memcpy", 0},
#if defined(__SSE__)
    {copy_stream, "stream", 0},
#endif
    {NULL, NULL, 0},
};

static struct {
    pthread_barrier_t gate;
    int threads;
    int cores[MAX_THREADS];
    struct arena arenas[MAX_THREADS];
    double begin[MAX_THREADS], end[MAX_THREADS];
    work *run; /* NULL: time to go */
    long passes;
} team;

static void fail(const char *what) {
    perror(what);
    exit(3);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void pin(int core) {
    size_t size = CPU_ALLOC_SIZE(core + 1);
    cpu_set_t *set = CPU_ALLOC(core + 1);
    if (!set) fail("making a set of cores");
    CPU_ZERO_S(size, set);
    CPU_SET_S(core, size, set);
    if (sched_setaffinity(0, size, set)) fail("pinning a thread to its core");
    CPU_FREE(set);
}

/* The part of one thread; true when there was something to do. */
static int take_part(int me) {
    pthread_barrier_wait(&team.gate);
    if (!team.run) return 0;
    struct arena *all = &team.arenas[me], slice = *all;
    slice.from += (size_t)all->next * all->bytes;
    slice.to += (size_t)all->next * all->bytes;
    if (all->slices) all->next = (all->next + 1) % all->slices;
    team.begin[me] = now();
    team.run(&slice, team.passes);
    team.end[me] = now();
    pthread_barrier_wait(&team.gate);
    return 1;
}

static void *member(void *index) {
    int me = (int)(intptr_t)index;
    pin(team.cores[me]);
    while (take_part(me)) {
    }
    return NULL;
}

/* Seconds from the first start to the last end. */
static double together(work *run, long passes) {
    team.run = run;
    team.passes = passes;
    if (!take_part(0)) return 0;
    double begin = team.begin[0], end = team.end[0];
    for (int i = 1; i < team.threads; i++) {
        if (team.begin[i] < begin) begin = team.begin[i];
        if (team.end[i] > end) end = team.end[i];
    }
    return end - begin;
}

/* As many passes as one run needs to be long enough. */
static long passes_for(work *run) {
    long passes = 1;
    for (;;) {
        double seconds = together(run, passes);
        if (seconds >= MIN_SECONDS) return passes;
        double more = seconds > 0 ? 1.2 * MIN_SECONDS / seconds : 100;
        passes = more > 100 ? passes * 100 : (long)((double)passes * more) + 1;
    }
}

/* The best rates so far, the very best first. */
struct top {
    double rates[3];
    const char *by;
};

static void enter(struct top *top, double rate, const char *by) {
    if (rate > top->rates[0]) top->by = by;
    for (int i = 0; i < 3; i++) {
        double old = top->rates[i];
        if (rate > old) top->rates[i] = rate, rate = old;
    }
}

/* A peak that was reached once may be missed by far on a busy machine; three times, hardly. */
static int confirmed(const struct top *top) { return top->rates[2] >= 0.97 * top->rates[0]; }

/* Variants take turns, so that a disturbance meets all of them. */
static void best(const char *name, const struct variant *variants, double per_pass, int rounds) {
    enum { MOST = 16 };
    long passes[MOST];
    struct top top = {{0}, ""};
    /* A second pass over a slice would find it in a cache. */
    int sliced = team.arenas[0].slices > 1;
    for (int v = 0; variants[v].run; v++) passes[v] = sliced ? 1 : passes_for(variants[v].run);
    double start = now();
    for (int round = 0; round < rounds || !confirmed(&top); round++) {
        if (round >= rounds && now() - start > MAX_SECONDS) break;
        for (int v = 0; variants[v].run; v++) {
            double each = variants[v].per_pass > 0 ? variants[v].per_pass : per_pass;
            double work_done = each * (double)passes[v] * team.threads;
            enter(&top, work_done / together(variants[v].run, passes[v]), variants[v].name);
        }
    }
    printf("{\"name\":\"%s\",\"per_s\":%.6e,\"by\":\"%s\"}\n", name, top.rates[0], top.by);
}

/* Each thread writes its own memory first, so that it lies near the core. */
static void touch(struct arena *arena, long passes) {
    (void)passes;
    memset(arena->from, 1, arena->bytes);
    memset(arena->to, 2, arena->bytes);
}

static void copies(const char *name, size_t bytes) {
    /* Targets begin half a page off their sources: a load that matches an earlier store in the low
     * 12 bits of its address would wait for it. */
    const size_t page = 4096, huge = (size_t)2 << 20;
    int slices = bytes < SLICE_BYTES ? 1 : (int)(bytes / SLICE_BYTES);
    size_t each = bytes / 2 / (size_t)slices / 256 * 256, half = each * (size_t)slices;
    size_t target = (half + page - 1) / page * page + page / 2;
    size_t whole = (target + half + huge - 1) / huge * huge;
    for (int i = 0; i < team.threads; i++) {
        char *at = aligned_alloc(huge, whole);
        if (!at) fail("asking for memory");
#ifdef MADV_HUGEPAGE
        (void)madvise(at, whole, MADV_HUGEPAGE);
#endif
        team.arenas[i] = (struct arena){at, at + target, each, slices, 0};
    }
    for (int i = 0; i < slices; i++) together(touch, 1);
    best(name, COPIES, 2.0 * (double)each, slices > 1 ? SLICE_ROUNDS * slices : ROUNDS);
    for (int i = 0; i < team.threads; i++) free(team.arenas[i].from);
}

static void read_cores(char *list) {
    for (char *word = strtok(list, ","); word; word = strtok(NULL, ",")) {
        if (team.threads == MAX_THREADS) break;
        team.cores[team.threads++] = atoi(word);
    }
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: peaks CORE[,CORE...] NAME=BYTES...\n");
        return 2;
    }
    read_cores(argv[1]);
    pin(team.cores[0]);
    if (pthread_barrier_init(&team.gate, NULL, (unsigned)team.threads)) fail("making a barrier");
    for (int i = 1; i < team.threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, member, (void *)(intptr_t)i)) fail("starting a thread");
    }
    best("f32", F32, 0, FLOP_ROUNDS);
    best("f64", F64, 0, FLOP_ROUNDS);
    for (int i = 2; i < argc; i++) {
        char *bytes = strchr(argv[i], '=');
        if (!bytes) continue;
        *bytes++ = 0;
        copies(argv[i], strtoull(bytes, NULL, 10));
    }
    together(NULL, 0);
    return 0;
}
