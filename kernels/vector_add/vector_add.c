/* out = a + b, a first version brought over from GPU code: LANES workers that each take every
 * LANES-th element, run one after the other. Neighbours on a GPU, far apart in a CPU's cache. */
#define LANES 256

void vector_add(const float *a, const float *b, float *out, int n)
{
    for (int lane = 0; lane < LANES; lane++)
        for (int i = lane; i < n; i += LANES)
            out[i] = a[i] + b[i];
}
