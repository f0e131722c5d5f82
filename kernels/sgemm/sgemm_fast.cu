// c = a b, row-major: a block computes a TILE x TILE square of c from slices of a and b in shared
// memory; a thread computes EACH x EACH elements of it from registers.
//
// optloop: grid = ["ceil_div(n, 64)", "ceil_div(m, 64)"]
// optloop: block = [16, 16]
// optloop: shared = "0"

static constexpr int TILE = 64;
static constexpr int DEPTH = 16;
static constexpr int SIDE = 16; // threads along each side of the block
static constexpr int EACH = TILE / SIDE;
static constexpr int THREADS = SIDE * SIDE;

extern "C" __global__ void __launch_bounds__(THREADS)
    sgemm(const float *__restrict__ a, const float *__restrict__ b, float *__restrict__ c, int m,
          int n, int k)
{
    // a is kept transposed, so that both are read along rows; the padding spreads its columns
    // over the memory banks.
    __shared__ float a_slice[DEPTH][TILE + 4];
    __shared__ float b_slice[DEPTH][TILE];
    int row0 = blockIdx.y * TILE;
    int col0 = blockIdx.x * TILE;
    int thread = threadIdx.y * SIDE + threadIdx.x;
    float sum[EACH][EACH] = {};

    for (int p0 = 0; p0 < k; p0 += DEPTH) {
        for (int t = thread; t < TILE * DEPTH; t += THREADS) {
            int row = row0 + t / DEPTH;
            int p = p0 + t % DEPTH;
            a_slice[t % DEPTH][t / DEPTH] = row < m && p < k ? a[(long long)row * k + p] : 0.0f;
        }
        for (int t = thread; t < TILE * DEPTH; t += THREADS) {
            int p = p0 + t / TILE;
            int col = col0 + t % TILE;
            b_slice[t / TILE][t % TILE] = p < k && col < n ? b[(long long)p * n + col] : 0.0f;
        }
        __syncthreads();

#pragma unroll
        for (int p = 0; p < DEPTH; p++) {
            float left[EACH];
            float right[EACH];
#pragma unroll
            for (int i = 0; i < EACH; i++) {
                left[i] = a_slice[p][threadIdx.y + i * SIDE];
                right[i] = b_slice[p][threadIdx.x + i * SIDE];
            }
#pragma unroll
            for (int i = 0; i < EACH; i++)
#pragma unroll
                for (int j = 0; j < EACH; j++)
                    sum[i][j] += left[i] * right[j];
        }
        __syncthreads();
    }

#pragma unroll
    for (int i = 0; i < EACH; i++)
#pragma unroll
        for (int j = 0; j < EACH; j++) {
            int row = row0 + threadIdx.y + i * SIDE;
            int col = col0 + threadIdx.x + j * SIDE;
            if (row < m && col < n)
                c[(long long)row * n + col] = sum[i][j];
        }
}
