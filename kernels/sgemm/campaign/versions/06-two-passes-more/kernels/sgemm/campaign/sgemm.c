/* c = a b, row-major, a row at a time; then a part of it once more, for nothing: what the versions
 * beside it take away. */
static void row(const float *restrict a, const float *restrict b, float *restrict c, int n, int k)
{
    for (int j = 0; j < n; j++)
        c[j] = 0.0f;
    for (int p = 0; p < k; p++)
        for (int j = 0; j < n; j++)
            c[j] += a[p] * b[(long)p * n + j];
}

/* Four in a hundred rows, again. */
static void again(const float *restrict a, const float *restrict b, float *restrict c, int m, int n, int k)
{
    for (int i = 0; i < (m * 4 + 99) / 100; i++)
        row(a + (long)i * k, b, c + (long)i * n, n, k);
}

void sgemm(const float *restrict a, const float *restrict b, float *restrict c, int m, int n, int k)
{
    for (int i = 0; i < m; i++)
        row(a + (long)i * k, b, c + (long)i * n, n, k);
    again(a, b, c, m, n, k);
    again(a, b, c, m, n, k);
}
