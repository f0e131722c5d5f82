// Softmax of every row: one warp a row, maximum and sum in a single pass (the online form of
// Milakov and Gimelshein, 2018), combined by shuffles; nothing in shared memory.
//
// optloop: grid = ["ceil_div(rows, 4)"]
// optloop: block = [128]
// optloop: shared = "0"

static constexpr unsigned int ALL = 0xffffffffu;
static constexpr float LOWEST = -3.402823466e+38f;

// A maximum and the sum of e^(x - max) under it.
struct Partial {
    float max;
    float sum;
};

static __device__ Partial merge(Partial a, Partial b)
{
    float max = fmaxf(a.max, b.max);
    return {max, a.sum * __expf(a.max - max) + b.sum * __expf(b.max - max)};
}

static __device__ Partial with(Partial p, float4 v)
{
    float max = fmaxf(p.max, fmaxf(fmaxf(v.x, v.y), fmaxf(v.z, v.w)));
    float sum = (__expf(v.x - max) + __expf(v.y - max)) + (__expf(v.z - max) + __expf(v.w - max));
    return {max, p.sum * __expf(p.max - max) + sum};
}

static __device__ bool is_aligned16(const void *p)
{
    return (reinterpret_cast<unsigned long long>(p) & 15) == 0;
}

extern "C" __global__ void softmax(const float *__restrict__ x, float *__restrict__ y, int rows,
                                   int cols)
{
    int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
    int lane = threadIdx.x % 32;
    if (row >= rows)
        return;
    const float *in = x + (long long)row * cols;
    float *out = y + (long long)row * cols;
    int quads = is_aligned16(in) && is_aligned16(out) ? cols / 4 : 0;
    const float4 *in4 = reinterpret_cast<const float4 *>(in);
    float4 *out4 = reinterpret_cast<float4 *>(out);

    Partial p = {LOWEST, 0.0f};
    for (int q = lane; q < quads; q += 32)
        p = with(p, in4[q]);
    for (int c = 4 * quads + lane; c < cols; c += 32)
        p = merge(p, {in[c], 1.0f});
    for (int step = 16; step > 0; step /= 2)
        p = merge(p, {__shfl_xor_sync(ALL, p.max, step), __shfl_xor_sync(ALL, p.sum, step)});

    float factor = 1.0f / p.sum;
    for (int q = lane; q < quads; q += 32) {
        float4 v = in4[q];
        out4[q] = make_float4(__expf(v.x - p.max) * factor, __expf(v.y - p.max) * factor,
                              __expf(v.z - p.max) * factor, __expf(v.w - p.max) * factor);
    }
    for (int c = 4 * quads + lane; c < cols; c += 32)
        out[c] = __expf(in[c] - p.max) * factor;
}
