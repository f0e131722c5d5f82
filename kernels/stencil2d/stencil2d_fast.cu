// 3 x 3 binomial blur as two blurs of three: a block brings WIDTH x HEIGHT pixels and their rim
// into shared memory once, blurs them across there, and then down.
//
// optloop: grid = ["ceil_div(w, 32)", "ceil_div(h, 32)"]
// optloop: block = [32, 8]
// optloop: shared = "0"

static constexpr int WIDTH = 32;
static constexpr int HEIGHT = 32;

extern "C" __global__ void stencil2d(const float *__restrict__ src, float *__restrict__ dst, int h,
                                     int w)
{
    __shared__ float tile[HEIGHT + 2][WIDTH + 2];
    __shared__ float across[HEIGHT + 2][WIDTH];
    int x0 = blockIdx.x * WIDTH;
    int y0 = blockIdx.y * HEIGHT;
    int thread = threadIdx.y * blockDim.x + threadIdx.x;
    int threads = blockDim.x * blockDim.y;

    for (int t = thread; t < (HEIGHT + 2) * (WIDTH + 2); t += threads) {
        int y = min(max(y0 + t / (WIDTH + 2) - 1, 0), h - 1);
        int x = min(max(x0 + t % (WIDTH + 2) - 1, 0), w - 1);
        tile[t / (WIDTH + 2)][t % (WIDTH + 2)] = src[(long long)y * w + x];
    }
    __syncthreads();

    for (int t = thread; t < (HEIGHT + 2) * WIDTH; t += threads) {
        const float *at = &tile[t / WIDTH][t % WIDTH];
        across[t / WIDTH][t % WIDTH] = 0.25f * (at[0] + at[2]) + 0.5f * at[1];
    }
    __syncthreads();

    int x = x0 + threadIdx.x;
    for (int row = threadIdx.y; row < HEIGHT; row += blockDim.y) {
        int y = y0 + row;
        if (x < w && y < h)
            dst[(long long)y * w + x] =
                0.25f * (across[row][threadIdx.x] + across[row + 2][threadIdx.x]) +
                0.5f * across[row + 1][threadIdx.x];
    }
}
