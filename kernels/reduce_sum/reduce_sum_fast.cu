// out[0] = sum of x over many blocks in one launch: each block leaves its sum in `partials`, and
// the block that finishes last adds them up, always in the same order.
//
// optloop: grid = ["min(ceil_div(n, 4096), 1024)"]
// optloop: block = [256]
// optloop: shared = "0"

static constexpr int MAX_BLOCKS = 1024;

__device__ float partials[MAX_BLOCKS];
__device__ unsigned int finished = 0;

static __device__ float warp_sum(float value)
{
    for (int lane = 16; lane > 0; lane /= 2)
        value += __shfl_down_sync(0xffffffffu, value, lane);
    return value;
}

// The sum over the block, valid in thread 0. All threads must call it.
static __device__ float block_sum(float value)
{
    __shared__ float warps[32];
    int lane = threadIdx.x % 32;
    int warp = threadIdx.x / 32;
    value = warp_sum(value);
    __syncthreads();
    if (lane == 0)
        warps[warp] = value;
    __syncthreads();
    value = threadIdx.x < blockDim.x / 32 ? warps[lane] : 0.0f;
    return warp == 0 ? warp_sum(value) : 0.0f;
}

static __device__ float own_sum(const float *__restrict__ x, int n)
{
    int thread = blockIdx.x * blockDim.x + threadIdx.x;
    int threads = gridDim.x * blockDim.x;
    bool aligned = (reinterpret_cast<unsigned long long>(x) & 15) == 0;
    int quads = aligned ? n / 4 : 0;
    const float4 *four = reinterpret_cast<const float4 *>(x);

    float sum = 0.0f;
    for (int i = thread; i < quads; i += threads) {
        float4 v = four[i];
        sum += (v.x + v.y) + (v.z + v.w);
    }
    for (int i = 4 * quads + thread; i < n; i += threads)
        sum += x[i];
    return sum;
}

extern "C" __global__ void reduce_sum(const float *__restrict__ x, float *__restrict__ out, int n)
{
    __shared__ bool last;
    float sum = block_sum(own_sum(x, n));
    if (threadIdx.x == 0) {
        partials[blockIdx.x] = sum;
        __threadfence();
        last = atomicAdd(&finished, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (!last)
        return;

    __threadfence();
    float rest = 0.0f;
    for (int i = threadIdx.x; i < gridDim.x; i += blockDim.x)
        rest += *const_cast<volatile float *>(&partials[i]);
    rest = block_sum(rest);
    if (threadIdx.x == 0) {
        out[0] = rest;
        finished = 0; // ready for the next launch
    }
}
