/* So many multiplications, each waiting for the one before: time in proportion to `links`. */
void chain(float *y, int links)
{
    unsigned x = 1;
    for (int i = 0; i < links; i++) {
        x *= 2654435761u;
        __asm__ volatile("" : "+r"(x));
    }
    y[0] = (float)(x & 1023);
}
