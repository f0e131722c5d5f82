/* c = a b, row-major. A panel of b, DEPTH rows by TILE columns, is packed so that it is read in
 * order; against it go ROWS rows of a at a time, and their ROWS x TILE sums stay in registers. */
#ifndef TILE
#define TILE 32 /* columns of a panel: a multiple of the vector width is best */
#endif
#define ROWS 4
#define DEPTH 256

static inline int min_int(int a, int b)
{
    return a < b ? a : b;
}

/* Copies a panel of b and fills its missing columns with zeros. */
static void pack(const float *restrict b, float *restrict panel, int n, int depth, int width)
{
    for (int p = 0; p < depth; p++) {
        for (int j = 0; j < width; j++)
            panel[p * TILE + j] = b[(long)p * n + j];
        for (int j = width; j < TILE; j++)
            panel[p * TILE + j] = 0.0f;
    }
}

/* tile = ROWS rows of a times the panel. */
static inline void multiply(const float *const a[ROWS], const float *restrict panel,
                            float tile[ROWS][TILE], int depth)
{
    float sum[ROWS][TILE] = {{0.0f}};
    for (int p = 0; p < depth; p++)
        for (int i = 0; i < ROWS; i++)
            for (int j = 0; j < TILE; j++)
                sum[i][j] += a[i][p] * panel[p * TILE + j];
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < TILE; j++)
            tile[i][j] = sum[i][j];
}

void sgemm(const float *restrict a, const float *restrict b, float *restrict c, int m, int n, int k)
{
    float panel[DEPTH * TILE];
    float tile[ROWS][TILE];
    for (int p = 0; p < k; p += DEPTH) {
        int depth = min_int(DEPTH, k - p);
        for (int j = 0; j < n; j += TILE) {
            int width = min_int(TILE, n - j);
            pack(b + (long)p * n + j, panel, n, depth, width);
            for (int i = 0; i < m; i += ROWS) {
                const float *row[ROWS];
                /* Below the last row of a, the last row is multiplied again and dropped. */
                for (int r = 0; r < ROWS; r++)
                    row[r] = a + (long)min_int(i + r, m - 1) * k + p;
                multiply(row, panel, tile, depth);
                for (int r = 0; r < min_int(ROWS, m - i); r++) {
                    float *out = c + (long)(i + r) * n + j;
                    for (int s = 0; s < width; s++)
                        out[s] = (p == 0 ? 0.0f : out[s]) + tile[r][s];
                }
            }
        }
    }
}
