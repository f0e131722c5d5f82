/* What softmax must compute: y = exp(x - max) / sum(exp(x - max)) for every row, in double. */
#include <math.h>

void softmax(const float *x, float *y, int rows, int cols)
{
    for (int r = 0; r < rows; r++) {
        const float *in = x + (long)r * cols;
        float *out = y + (long)r * cols;

        double max = in[0];
        for (int c = 1; c < cols; c++)
            if (in[c] > max)
                max = in[c];

        double sum = 0.0;
        for (int c = 0; c < cols; c++)
            sum += exp(in[c] - max);

        for (int c = 0; c < cols; c++)
            out[c] = (float)(exp(in[c] - max) / sum);
    }
}
