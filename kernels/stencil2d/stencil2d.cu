// 3 x 3 binomial blur: one thread a pixel, nine reads each.

static __device__ float pixel(const float *src, int h, int w, int y, int x)
{
    y = min(max(y, 0), h - 1);
    x = min(max(x, 0), w - 1);
    return src[(long long)y * w + x];
}

extern "C" __global__ void stencil2d(const float *src, float *dst, int h, int w)
{
    const float weight[3] = {0.25f, 0.5f, 0.25f};
    int x = blockIdx.x * blockDim.x + threadIdx.x;
    int y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= w || y >= h)
        return;
    float sum = 0.0f;
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++)
            sum += weight[dy + 1] * weight[dx + 1] * pixel(src, h, w, y + dy, x + dx);
    dst[(long long)y * w + x] = sum;
}
