/* One launch of the kernel under comparison on buffers of its own: prepare() and launch(). */
#ifndef LAUNCH_H
#define LAUNCH_H
#include <sched.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif
#if defined(KERNEL_softmax)
void softmax(const float *, float *, int, int);
#define LAUNCH softmax(in, out, A, B)
#define IN ((size_t)A * B)
#define OUT ((size_t)A * B)
#elif defined(KERNEL_sgemm)
void sgemm(const float *, const float *, float *, int, int, int);
#define LAUNCH sgemm(in, in + (size_t)A * C, out, A, B, C)
#define IN ((size_t)A * C + (size_t)C * B)
#define OUT ((size_t)A * B)
#elif defined(KERNEL_stencil2d)
void stencil2d(const float *, float *, int, int);
#define LAUNCH stencil2d(in, out, A, B)
#define IN ((size_t)A * B)
#define OUT ((size_t)A * B)
#elif defined(KERNEL_chain)
void chain(float *, int);
#define LAUNCH chain(out, A)
#define IN 1
#define OUT 1
#elif defined(KERNEL_spin)
void spin(float *, int);
#define LAUNCH spin(out, A)
#define IN 1
#define OUT 1
#elif defined(KERNEL_empty)
void empty(float *, int);
#define LAUNCH empty(out, A)
#define IN 1
#define OUT 1
#endif
#ifdef __cplusplus
}
#endif

static float *in, *out;

static float *pages(size_t floats)
{
    size_t bytes = (floats * sizeof(float) + 4095) / 4096 * 4096;
    return (float *)aligned_alloc(4096, bytes);
}

/* Stays on one core and fills the buffers. */
static void prepare(void)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(CORE, &cores);
    sched_setaffinity(0, sizeof cores, &cores);
    in = pages(IN);
    out = pages(OUT);
    unsigned state = 1;
    for (size_t i = 0; i < IN; i++) {
        state = state * 1664525u + 1013904223u;
        in[i] = (float)(state >> 8) / (1 << 24) * 6.0f - 3.0f;
    }
    for (size_t i = 0; i < OUT; i++)
        out[i] = 0.0f;
}

static void launch(void)
{
    LAUNCH;
}
#endif
