// out = a + b: one thread four neighbours, moved with one 16-byte load each.
//
// optloop: grid = ["ceil_div(n, 1024)"]
// optloop: block = [256]

static __device__ bool is_aligned16(const void *p)
{
    return (reinterpret_cast<unsigned long long>(p) & 15) == 0;
}

extern "C" __global__ void vector_add(const float *__restrict__ a, const float *__restrict__ b,
                                      float *__restrict__ out, int n)
{
    int first = 4 * (blockIdx.x * blockDim.x + threadIdx.x);
    if (first + 4 <= n && is_aligned16(a) && is_aligned16(b) && is_aligned16(out)) {
        float4 x = *reinterpret_cast<const float4 *>(a + first);
        float4 y = *reinterpret_cast<const float4 *>(b + first);
        *reinterpret_cast<float4 *>(out + first) =
            make_float4(x.x + y.x, x.y + y.y, x.z + y.z, x.w + y.w);
    } else {
        for (int i = first; i < min(first + 4, n); i++)
            out[i] = a[i] + b[i];
    }
}
