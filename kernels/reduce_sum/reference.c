/* What reduce_sum must compute: the sum in double, with the rounding errors carried along
 * (Neumaier's compensated summation). */
#include <math.h>

void reduce_sum(const float *x, float *out, int n)
{
    double sum = 0.0;
    double lost = 0.0;
    for (int i = 0; i < n; i++) {
        double term = (double)x[i];
        double next = sum + term;
        if (fabs(sum) >= fabs(term))
            lost += (sum - next) + term;
        else
            lost += (term - next) + sum;
        sum = next;
    }
    out[0] = (float)(sum + lost);
}
