/* A counter that the harness does not read: the processor's, where it has one of constant rate. */
#ifndef TICKS_H
#define TICKS_H

#if defined(__x86_64__)
static inline unsigned long long ticks_now(void)
{
    unsigned low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
    return (unsigned long long)high << 32 | low;
}
#else
#include <time.h>
static inline unsigned long long ticks_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}
#endif

#endif
