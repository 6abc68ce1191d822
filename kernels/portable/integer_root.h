// The root of a number below 2^52, rounded down.
DEVICE u64 integer_root(u64 square) {
    u64 root = (u64)usual_sqrt((float)square);
    while (root * root > square) root--;
    while ((root + 1) * (root + 1) <= square) root++;
    return root;
}
