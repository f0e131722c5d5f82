/* Ticks per microsecond of the processor's own counter, against the monotonic clock. */
#include <stdio.h>
#include <time.h>
#include "ticks.h"

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

/* The counter at a moment of the clock: the one of several tries that was least disturbed. */
static double at(unsigned long long *counter)
{
    double best = 1e300, when = 0;
    for (int i = 0; i < 1000; i++) {
        double before = now_us();
        unsigned long long ticks = ticks_now();
        double after = now_us();
        if (after - before < best) {
            best = after - before;
            when = (before + after) / 2;
            *counter = ticks;
        }
    }
    return when;
}

int main(void)
{
    unsigned long long first, last;
    double start = at(&first);
    while (now_us() - start < 500e3)
        ;
    double end = at(&last);
    printf("%.6f\n", (double)(last - first) / (end - start));
    return 0;
}
