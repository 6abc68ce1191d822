// Numbers as they are stored, in double and back.

#include "elements.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

size_t element_bytes(int type) { return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2; }

static float bits_as_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double half_to_double(uint16_t half) {
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    const double sign = half >> 15 ? -1 : 1;
    if (exponent == 31) return fraction != 0 ? NAN : sign * INFINITY;
    return sign * (exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25));
}

// Rounds to nearest, ties to even, in steps of the result's last place.
static uint16_t double_to_half(double value) {
    const uint16_t sign = signbit(value) ? 0x8000 : 0;
    const double magnitude = fabs(value);
    if (isnan(value)) return sign | 0x7e00;
    if (magnitude >= 65520) return sign | 0x7c00;
    int exponent;
    frexp(magnitude, &exponent);
    if (exponent < -13 || magnitude == 0) exponent = -13; // subnormal, or 0
    const int steps = (int)nearbyint(ldexp(magnitude, 11 - exponent));
    return (uint16_t)(sign | ((exponent + 13) * 1024 + steps));
}

double element_load(const char* base, size_t index, int type) {
    switch (type) {
    case CUDA_R_64F:
        return ((const double*)base)[index];
    case CUDA_R_32F:
        return (double)((const float*)base)[index];
    case CUDA_R_16F:
        return half_to_double(((const uint16_t*)base)[index]);
    default:
        return (double)bits_as_float((uint32_t)((const uint16_t*)base)[index] << 16);
    }
}

void element_store(char* base, size_t index, int type, double value) {
    if (type == CUDA_R_64F) {
        ((double*)base)[index] = value;
    } else if (type == CUDA_R_32F) {
        ((float*)base)[index] = (float)value;
    } else if (type == CUDA_R_16F) {
        ((uint16_t*)base)[index] = double_to_half(value);
    } else {
        const float single = (float)value;
        uint32_t bits;
        memcpy(&bits, &single, sizeof bits);
        const uint32_t rounded = isnan(single) ? bits | 0x400000u : bits + 0x7fffu + (bits >> 16 & 1u);
        ((uint16_t*)base)[index] = (uint16_t)(rounded >> 16);
    }
}
