/* 3 x 3 binomial blur, pixel by pixel: each of the nine neighbours is looked up with its
 * coordinates held inside the image. */
static float pixel(const float *src, int h, int w, int y, int x)
{
    y = y < 0 ? 0 : y >= h ? h - 1 : y;
    x = x < 0 ? 0 : x >= w ? w - 1 : x;
    return src[(long)y * w + x];
}

void stencil2d(const float *src, float *dst, int h, int w)
{
    static const float weight[3] = {0.25f, 0.5f, 0.25f};
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            float sum = 0.0f;
            for (int dy = -1; dy <= 1; dy++)
                for (int dx = -1; dx <= 1; dx++)
                    sum += weight[dy + 1] * weight[dx + 1] * pixel(src, h, w, y + dy, x + dx);
            dst[(long)y * w + x] = sum;
        }
}
