/* Takes `ns` nanoseconds, by the processor's counter. TICKS_PER_US comes from ticks.c. */
#include "ticks.h"

void spin(float *y, int ns)
{
    unsigned long long start = ticks_now();
    unsigned long long ticks = (unsigned long long)(ns / 1e3 * TICKS_PER_US);
    while (ticks_now() - start < ticks)
        ;
    y[0] = 1.0f;
}
