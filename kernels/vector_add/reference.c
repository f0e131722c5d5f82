/* What vector_add must compute: each sum in double, rounded once. */
void vector_add(const float *a, const float *b, float *out, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = (float)((double)a[i] + (double)b[i]);
}
