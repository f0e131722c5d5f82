/* The sum of x, in double because one float would lose the small terms. Every addition waits for
 * the one before it. */
void reduce_sum(const float *x, float *out, int n)
{
    double sum = 0.0;
    for (int i = 0; i < n; i++)
        sum += x[i];
    out[0] = (float)sum;
}
