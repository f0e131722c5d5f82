/* What people write by hand: warm up, then time launches in a tight loop.
 *
 * loop BATCHES BATCH_US SINGLES: prints `batch NS` per batch (the mean of as many launches as fill
 * BATCH_US) and `single NS` for launches with a clock reading on either side. */
#define _GNU_SOURCE
#include "launch.h"
#include <stdio.h>
#include <time.h>

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static double batch(long count)
{
    double start = now_ns();
    for (long i = 0; i < count; i++)
        launch();
    return (now_ns() - start) / count;
}

int main(int argc, char **argv)
{
    int batches = argc > 1 ? atoi(argv[1]) : 9;
    double batch_ns = 1e3 * (argc > 2 ? atof(argv[2]) : 10000);
    int singles = argc > 3 ? atoi(argv[3]) : 32;
    prepare();
    /* Twice as many launches until they fill a batch: the warm-up, and how many are needed. */
    long count = 1;
    while (batch(count) * count < batch_ns)
        count *= 2;
    for (int i = 0; i < batches; i++)
        printf("batch %.3f\n", batch(count));
    for (int i = 0; i < singles; i++)
        printf("single %.3f\n", batch(1));
    return 0;
}
