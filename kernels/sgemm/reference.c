/* What sgemm must compute: c = a b, row-major, every sum in double. */
void sgemm(const float *a, const float *b, float *c, int m, int n, int k)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0.0;
            for (int p = 0; p < k; p++)
                sum += (double)a[(long)i * k + p] * (double)b[(long)p * n + j];
            c[(long)i * n + j] = (float)sum;
        }
}
