/* Softmax of every row. Each exponential is computed once, by a polynomial that the compiler can
 * vectorise; the maximum and the sum go over LANES columns at a time, so that no step waits for
 * the one before it; the division becomes one multiplication. */
#include <math.h>
#include <string.h>

#define LANES 16

/* e^x for x <= 0, to about two units in the last place: x = k ln 2 + r with |r| <= ln 2 / 2,
 * e^r by the polynomial of the Cephes library, 2^k put into the exponent bits. */
static inline float exp_nonpositive(float x)
{
    x = x < -87.0f ? -87.0f : x;
    float k = rintf(x * 1.44269504f);
    int exponent = (int)k;
    float r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    int bits = (exponent + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

static float row_max(const float *restrict in, int cols)
{
    float lane[LANES];
    for (int l = 0; l < LANES; l++)
        lane[l] = in[0];
    int c = 0;
    for (; c + LANES <= cols; c += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] = in[c + l] > lane[l] ? in[c + l] : lane[l];
    float max = in[0];
    for (; c < cols; c++)
        max = in[c] > max ? in[c] : max;
    for (int l = 0; l < LANES; l++)
        max = lane[l] > max ? lane[l] : max;
    return max;
}

/* Writes e^(in - max). */
static void exp_row(const float *restrict in, float *restrict out, int cols, float max)
{
    for (int c = 0; c < cols; c++)
        out[c] = exp_nonpositive(in[c] - max);
}

static float row_sum(const float *restrict out, int cols)
{
    float lane[LANES] = {0.0f};
    int c = 0;
    for (; c + LANES <= cols; c += LANES)
        for (int l = 0; l < LANES; l++)
            lane[l] += out[c + l];
    float sum = 0.0f;
    for (; c < cols; c++)
        sum += out[c];
    for (int l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

void softmax(const float *restrict x, float *restrict y, int rows, int cols)
{
    for (int r = 0; r < rows; r++) {
        const float *in = x + (long)r * cols;
        float *out = y + (long)r * cols;
        exp_row(in, out, cols, row_max(in, cols));
        float factor = 1.0f / row_sum(out, cols);
        for (int c = 0; c < cols; c++)
            out[c] *= factor;
    }
}
