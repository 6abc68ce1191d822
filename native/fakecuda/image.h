// The image that the stand-in's compiler makes and its driver loads: a header, then the source itself. PTX ends with a
// zero byte, as the real one.

#ifndef FAKECUDA_IMAGE_H
#define FAKECUDA_IMAGE_H

#include <stddef.h>

struct image_header {
    char magic[8];       // IMAGE_MAGIC
    char kind[8];        // "sm" for machine code, "compute" for PTX
    int architecture;    // 90
    size_t source_bytes; // without the zero byte
};

#define IMAGE_MAGIC "FAKEGPU"

#endif
