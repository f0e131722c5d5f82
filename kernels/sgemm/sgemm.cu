// c = a b, row-major: one thread an element of c.
extern "C" __global__ void sgemm(const float *a, const float *b, float *c, int m, int n, int k)
{
    int col = blockIdx.x * blockDim.x + threadIdx.x;
    int row = blockIdx.y * blockDim.y + threadIdx.y;
    if (row >= m || col >= n)
        return;
    float sum = 0.0f;
    for (int p = 0; p < k; p++)
        sum += a[(long long)row * k + p] * b[(long long)p * n + col];
    c[(long long)row * n + col] = sum;
}
