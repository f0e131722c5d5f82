void softmax(const float *x, float *y, int rows) { (void)x; (void)y; (void)rows; }
