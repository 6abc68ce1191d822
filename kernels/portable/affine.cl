// Gradients of images read through affine maps (Jaderberg, Simonyan, Zisserman and Kavukcuoglu, "Spatial transformer
// networks", NeurIPS 2015): dx gathers dy by the weights that forward gave an element, so that nothing is added out of
// order; the gradient of a matrix is the sum of dy times the image's slope times the pixel's place.
//
//   affine_backward           dx
//   affine_backward_matrices  the gradients of the matrices, one group for each image

#include "types.h"
#include "reduce.h"
#include "divisor.h"
#include "augment_image.h"

// The compiler's own choice spills.
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS 4

#define GRADIENT_LAYOUT_PARAMETERS u32 y_pixel, u32 y_channel

DEVICE real magnitude(real x) { return x < 0 ? -x : x; }

// The weight of an element in what is read at a place.
DEVICE real weight_of(real place, u32 element, u32 is_nearest) {
    const real distance = magnitude(place - (real)element);
    if (is_nearest) return nearest_of(place) == (real)element ? 1 : 0;
    return distance < 1 ? 1 - distance : 0;
}

// First and last of the rows or columns whose places are less than one away from an element: `middle` and `reach` are
// those of the parallelogram that the map makes of its neighbourhood.
DEVICE u32 first_of(real middle, real reach, u32 size) {
    const real first = middle - reach - 1;
    return first > 0 ? (first < (real)size ? (u32)first : size) : 0;
}

DEVICE u32 end_of(real middle, real reach, u32 size) {
    const real end = middle + reach + 2;
    return end > 0 ? (end < (real)size ? (u32)end : size) : 0;
}

KERNEL void affine_backward(GLOBAL const float* RESTRICT matrices, u64 matrices_offset,
                            GLOBAL const scalar* RESTRICT dy, u64 dy_offset, GLOBAL scalar* RESTRICT dx, u64 dx_offset,
                            u64 jobs, u64 pixels_inverse, u32 pixels_shift, GRADIENT_LAYOUT_PARAMETERS,
                            AUGMENT_IMAGE_PARAMETERS, AUGMENT_MAP_PARAMETERS, NORMALIZE_PARAMETERS) {
    for (u64 job = GLOBAL_ID; job < jobs; job += GLOBAL_SIZE) {
        const u64 sample = quotient(job, pixels_inverse, pixels_shift);
        const u32 pixel = (u32)(job - sample * ((u64)height * width));
        const u32 r = quotient_31(pixel, row_inverse, row_shift), column = pixel - r * width;
        GLOBAL const float* row = matrices + matrices_offset + 6 * sample;
        const augment_image image = AUGMENT_IMAGE_OF((GLOBAL const u8*)0, 0, row);
        GLOBAL const scalar* from = dy + dy_offset + sample * channels * out_height * out_width;
        GLOBAL scalar* to = dx + dx_offset + sample * channels * height * width;
        // Where the map can be turned round only pixels nearby are looked at; an element that also stands for what
        // lies outside looks at all.
        const real determinant = image.a * image.e - image.b * image.d, size = magnitude(determinant);
        const u32 is_edge = r == 0 || column == 0 || r + 1 == height || column + 1 == width;
        const u32 is_all = !(size > (real)1e-6) || border == BORDER_REFLECT || (border == BORDER_EDGE && is_edge);
        const real x = (real)column - image.middle_x - image.c, y = (real)r - image.middle_y - image.f;
        const real u = (image.e * x - image.b * y) / determinant + image.out_middle_x;
        const real v = (image.a * y - image.d * x) / determinant + image.out_middle_y;
        const real reach_u = (magnitude(image.e) + magnitude(image.b)) / size;
        const real reach_v = (magnitude(image.a) + magnitude(image.d)) / size;
        const u32 top = is_all ? 0 : first_of(v, reach_v, out_height);
        const u32 bottom = is_all ? out_height : end_of(v, reach_v, out_height);
        const u32 left = is_all ? 0 : first_of(u, reach_u, out_width);
        const u32 right = is_all ? out_width : end_of(u, reach_u, out_width);
        for (u32 channel = 0; channel < channels; channel += 3) {
            real sums[3] = {0, 0, 0};
            for (u32 i = top; i < bottom; i++) {
                for (u32 j = left; j < right; j++) {
                    real place_x, place_y;
                    place_of(&image, i, j, &place_x, &place_y);
                    place_x = bordered(place_x, border, reflect_low, span_x, width);
                    place_y = bordered(place_y, border, reflect_low, span_y, height);
                    const real weight = weight_of(place_x, column, is_nearest) * weight_of(place_y, r, is_nearest);
                    if (!(weight > 0)) continue;
                    const u32 at = (i * out_width + j) * y_pixel + channel * y_channel;
                    for (u32 k = 0; k < 3; k++)
                        if (channel + k < channels) sums[k] += weight * load(from, at + k * y_channel);
                }
            }
            for (u32 k = 0; k < 3; k++) {
                if (channel + k >= channels) continue;
                const real scale = of_channel(channel + k, scale0, scale1, scale2, scale3);
                store(to, pixel * x_pixel + (channel + k) * x_channel, sums[k] * scale);
            }
        }
    }
}

// How the place that is read changes with the one that the map gives: not at all where it is cut to the image.
DEVICE real border_slope(real x, u32 border, real low, real span, u32 size) {
    real slope = 1;
    if (border == BORDER_REFLECT) {
        const real from = x - low;
        const i32 turns = span > 0 ? (i32)floor_of(magnitude(from) / span) : 0;
        slope = (turns & 1) == (from < 0) ? 1 : -1;
    }
    const real read = bordered(x, border, low, span, size);
    return border != BORDER_CONSTANT && (read <= 0 || read >= (real)(size - 1)) ? 0 : slope;
}

DEVICE real tap_of(const augment_image* image, i32 x, i32 y, u32 channel) {
    if ((u32)x >= image->width || (u32)y >= image->height) return image->fill;
    const u32 at = ((u32)y * image->width + (u32)x) * image->x_pixel + channel * image->x_channel;
    return stored_value(image->x, image->input_type, at);
}

KERNEL void affine_backward_matrices(GLOBAL const u8* RESTRICT x, u64 x_offset, GLOBAL const float* RESTRICT matrices,
                                     u64 matrices_offset, GLOBAL const scalar* RESTRICT dy, u64 dy_offset,
                                     GLOBAL float* RESTRICT dmatrices, u64 dmatrices_offset, u64 samples,
                                     GRADIENT_LAYOUT_PARAMETERS, AUGMENT_IMAGE_PARAMETERS, AUGMENT_MAP_PARAMETERS,
                                     NORMALIZE_PARAMETERS) {
    SHARED real scratch[6 * GROUP_SIZE];
    const u32 pixels = out_height * out_width;
    for (u64 sample = GROUP_ID; sample < samples; sample += GROUP_COUNT) {
        GLOBAL const float* row = matrices + matrices_offset + 6 * sample;
        const augment_image image = AUGMENT_IMAGE_OF(x + x_offset, sample, row);
        GLOBAL const scalar* from = dy + dy_offset + sample * channels * pixels;
        real sums[6] = {0, 0, 0, 0, 0, 0};
        for (u32 pixel = LOCAL_ID; pixel < pixels; pixel += GROUP_SIZE) {
            const u32 i = quotient_31(pixel, row_inverse, row_shift), j = pixel - i * out_width;
            real place_x, place_y;
            place_of(&image, i, j, &place_x, &place_y);
            const real slope_x = border_slope(place_x, border, reflect_low, span_x, width);
            const real slope_y = border_slope(place_y, border, reflect_low, span_y, height);
            place_x = bordered(place_x, border, reflect_low, span_x, width);
            place_y = bordered(place_y, border, reflect_low, span_y, height);
            const real left = floor_of(place_x), top = floor_of(place_y), across = place_x - left, down = place_y - top;
            const i32 x0 = (i32)left, y0 = (i32)top;
            real along_x = 0, along_y = 0;
            for (u32 c = 0; c < channels; c++) {
                const real t00 = tap_of(&image, x0, y0, c), t01 = tap_of(&image, x0 + 1, y0, c);
                const real t10 = tap_of(&image, x0, y0 + 1, c), t11 = tap_of(&image, x0 + 1, y0 + 1, c);
                const real scale = of_channel(c, scale0, scale1, scale2, scale3);
                const real gradient = load(from, pixel * y_pixel + c * y_channel) * scale;
                along_x += gradient * ((t01 - t00) * (1 - down) + (t11 - t10) * down);
                along_y += gradient * ((t10 - t00) * (1 - across) + (t11 - t01) * across);
            }
            along_x = is_nearest ? 0 : along_x * slope_x;
            along_y = is_nearest ? 0 : along_y * slope_y;
            const real u = (real)j - image.out_middle_x, v = (real)i - image.out_middle_y;
            sums[0] += along_x * u, sums[1] += along_x * v, sums[2] += along_x;
            sums[3] += along_y * u, sums[4] += along_y * v, sums[5] += along_y;
        }
        team_sums(sums, 6, GROUP_SIZE, scratch);
        if (LOCAL_ID == 0) {
            GLOBAL float* to = dmatrices + dmatrices_offset + 6 * sample;
            to[0] = (float)(sums[0] * unit_a), to[1] = (float)(sums[1] * unit_b), to[2] = (float)(sums[2] * unit_c);
            to[3] = (float)(sums[3] * unit_d), to[4] = (float)(sums[4] * unit_e), to[5] = (float)(sums[5] * unit_f);
        }
    }
}
