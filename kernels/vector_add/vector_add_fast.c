/* out = a + b in memory order. `restrict` lets the compiler use whole vectors without first
 * asking whether the arrays overlap. */
void vector_add(const float *restrict a, const float *restrict b, float *restrict out, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = a[i] + b[i];
}
