/* One launch of a kernel on buffers of its own: prepare() and launch(). It is the very object that
 * the harness loads, so that both time the same machine code at the same alignment.
 *
 * OBJECT is its path, SYMBOL what it exports, ARGUMENTS the list of buffer(FLOATS) and value(INT) in
 * the order of the signature, CORE where to stay. */
#ifndef LAUNCH_H
#define LAUNCH_H
#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096

static void (*entry)(void *const *);
static void *pointers[16];

/* Where a buffer lies decides as much as the code does: this one lies as in a worker, in whole pages
 * between two that nobody may touch, with its end at the second. */
static void *buffer(size_t floats)
{
    size_t bytes = floats * sizeof(float), region = (bytes + PAGE - 1) / PAGE * PAGE;
    char *all = (char *)mmap(NULL, region + 2 * PAGE, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(all + PAGE, region, PROT_READ | PROT_WRITE);
    float *start = (float *)(all + PAGE + (region - bytes) / 64 * 64);
    unsigned state = 1;
    for (size_t i = 0; i < floats; i++) {
        state = state * 1664525u + 1013904223u;
        start[i] = (float)(state >> 8) / (1 << 24) * 6.0f - 3.0f;
    }
    return start;
}

static void *value(int number)
{
    int *place = (int *)aligned_alloc(64, 64);
    *place = number;
    return place;
}

/* Stays on one core, loads the kernel and fills the buffers. */
static void prepare(void)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(CORE, &cores);
    sched_setaffinity(0, sizeof cores, &cores);
    void *object = dlopen(OBJECT, RTLD_NOW);
    void *symbol = object ? dlsym(object, SYMBOL) : NULL;
    if (!symbol) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    *(void **)&entry = symbol;
    void *all[] = {ARGUMENTS};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        pointers[i] = all[i];
}

static inline void launch(void)
{
    entry(pointers);
}
#endif
