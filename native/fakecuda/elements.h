// Numbers as they are stored.

#ifndef FAKECUDA_ELEMENTS_H
#define FAKECUDA_ELEMENTS_H

#include <stddef.h>

// cudaDataType, as far as it is used.
enum { CUDA_R_32F = 0, CUDA_R_64F = 1, CUDA_R_16F = 2, CUDA_R_16BF = 14 };

size_t element_bytes(int type);
double element_load(const char* base, size_t index, int type);

// Rounds to nearest, ties to even.
void element_store(char* base, size_t index, int type, double value);

#endif
