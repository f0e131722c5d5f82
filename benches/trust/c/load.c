/* Keeps a core busy: load CORE */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <signal.h>

int main(int argc, char **argv)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(argc > 1 ? atoi(argv[1]) : 0, &cores);
    sched_setaffinity(0, sizeof cores, &cores);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (volatile unsigned long n = 0;; n++)
        ;
}
