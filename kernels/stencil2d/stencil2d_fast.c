/* 3 x 3 binomial blur as two blurs of three, down and then across: six operations a pixel in
 * place of seventeen, and no test in either loop. A row is worked on in blocks, so that what the
 * first blur wrote is still in the nearest cache for the second. */
#define BLOCK 512

/* mid[1..=count] = the vertical blur of three rows; mid[0] and mid[count + 1] are left alone. */
static inline void blur_down(const float *restrict up, const float *restrict at,
                             const float *restrict down, float *restrict mid, int count)
{
    for (int x = 0; x < count; x++)
        mid[x + 1] = 0.25f * (up[x] + down[x]) + 0.5f * at[x];
}

static inline void blur_across(const float *restrict mid, float *restrict out, int count)
{
    for (int x = 0; x < count; x++)
        out[x] = 0.25f * (mid[x] + mid[x + 2]) + 0.5f * mid[x + 1];
}

void stencil2d(const float *restrict src, float *restrict dst, int h, int w)
{
    float mid[BLOCK + 2];
    for (int y = 0; y < h; y++) {
        const float *at = src + (long)y * w;
        const float *up = y > 0 ? at - w : at;
        const float *down = y + 1 < h ? at + w : at;
        for (int x = 0; x < w; x += BLOCK) {
            int count = w - x < BLOCK ? w - x : BLOCK;
            int left = x > 0 ? x - 1 : 0;
            int right = x + count < w ? x + count : w - 1;
            mid[0] = 0.25f * (up[left] + down[left]) + 0.5f * at[left];
            blur_down(up + x, at + x, down + x, mid, count);
            mid[count + 1] = 0.25f * (up[right] + down[right]) + 0.5f * at[right];
            blur_across(mid, dst + (long)y * w + x, count);
        }
    }
}
