/* The sum of x by LANES partial sums that do not wait for each other. They are floats, and to
 * stay exact enough they are emptied into a double after every BLOCK numbers. */
#define LANES 64
#define BLOCK 4096

static double block_sum(const float *restrict x)
{
    float lane[LANES] = {0.0f};
    for (int i = 0; i < BLOCK; i += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += x[i + l];
    double sum = 0.0;
    for (int l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

void reduce_sum(const float *restrict x, float *restrict out, int n)
{
    double sum = 0.0;
    int done = 0;
    for (; done + BLOCK <= n; done += BLOCK)
        sum += block_sum(x + done);

    double tail[8] = {0.0};
    int whole = done + (n - done) / 8 * 8;
    for (; done < whole; done += 8)
        for (int l = 0; l < 8; l++)
            tail[l] += x[done + l];
    for (; done < n; done++)
        sum += x[done];
    for (int l = 0; l < 8; l++)
        sum += tail[l];
    out[0] = (float)sum;
}
