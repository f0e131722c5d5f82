// Softmax of every row: one block a row, trees in shared memory for the maximum and the sum.

static __device__ float block_max(float *shared, float value)
{
    shared[threadIdx.x] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            shared[threadIdx.x] = fmaxf(shared[threadIdx.x], shared[threadIdx.x + half]);
        __syncthreads();
    }
    float result = shared[0];
    __syncthreads();
    return result;
}

static __device__ float block_sum(float *shared, float value)
{
    shared[threadIdx.x] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            shared[threadIdx.x] += shared[threadIdx.x + half];
        __syncthreads();
    }
    float result = shared[0];
    __syncthreads();
    return result;
}

extern "C" __global__ void softmax(const float *x, float *y, int rows, int cols)
{
    extern __shared__ float shared[];
    if (blockIdx.x >= rows)
        return;
    const float *in = x + (long long)blockIdx.x * cols;
    float *out = y + (long long)blockIdx.x * cols;

    float max = in[0];
    for (int c = threadIdx.x; c < cols; c += blockDim.x)
        max = fmaxf(max, in[c]);
    max = block_max(shared, max);

    float sum = 0.0f;
    for (int c = threadIdx.x; c < cols; c += blockDim.x)
        sum += expf(in[c] - max);
    sum = block_sum(shared, sum);

    for (int c = threadIdx.x; c < cols; c += blockDim.x)
        out[c] = expf(in[c] - max) / sum;
}
