/* What stencil2d must compute: the weighted mean of the 3 x 3 neighbours, in double. Outside the
 * image the nearest edge pixel counts. */
static int clamp(int i, int count)
{
    if (i < 0)
        return 0;
    return i < count ? i : count - 1;
}

void stencil2d(const float *src, float *dst, int h, int w)
{
    static const double weight[3] = {0.25, 0.5, 0.25};
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            double sum = 0.0;
            for (int dy = -1; dy <= 1; dy++)
                for (int dx = -1; dx <= 1; dx++)
                    sum += weight[dy + 1] * weight[dx + 1] *
                           (double)src[(long)clamp(y + dy, h) * w + clamp(x + dx, w)];
            dst[(long)y * w + x] = (float)sum;
        }
}
