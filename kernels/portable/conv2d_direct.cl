// Convolution without tiles of a matrix product: y[n, k, p, q] = b[k] + sum over c, r, s of w[k, c, r, s] x[n, c, ...]
// as in conv2d.cl, and its gradients, where a group of channels has one or few results. Depthwise, with one input to a
// group, memory sets the time (Howard et al., "MobileNets", arXiv:1704.04861, 2017); to or from the three channels of
// an image nearly all of a tile of 64 would be empty.
//
//   conv2d_direct_gather              y from x, or with `backward` dx from dy; an item makes neighbours of a column and
//                                     keeps the elements that their taps share in registers: eight of one channel, or
//                                     with NARROW four of four channels, which take the same elements
//   conv2d_depthwise_backward_filter  dw from x and dy, and the bias' gradient; with more than one split to rows of
//                                     `partial`, for partial_sums.cl to add

#include "types.h"
#include "im2col.h"

// Neighbours of a column, and channels, that an item makes.
#if NARROW
#define ITEM_RESULTS  4
#define ITEM_CHANNELS 4
#else
#define ITEM_RESULTS  8
#define ITEM_CHANNELS 1
#endif
// Rows of taps that share the elements of a column, and taps that share a pass over the pixels.
#define ROWS 3
#define TAPS 9

// A number in four digits, the lowest first, with the counts of the lower three as bases.
typedef struct {
    digits inner;
    u64 outer;
} digits4;

DEVICE digits4 digits4_of(u64 number, u32 low_count, u32 middle_count, u64 high_count) {
    digits4 result;
    result.inner = digits_of(number, low_count, middle_count);
    result.outer = result.inner.high / high_count;
    result.inner.high -= result.outer * high_count;
    return result;
}

DEVICE digits4 sum4_of(digits4 a, digits4 b, u32 low_count, u32 middle_count, u64 high_count) {
    digits4 sum;
    sum.inner = sum_of(a.inner, b.inner, low_count, middle_count);
    const u32 carry = sum.inner.high >= high_count;
    sum.inner.high -= carry ? high_count : 0;
    sum.outer = a.outer + b.outer + carry;
    return sum;
}

// The element at `source` if row y is one of the image's, else 0.
DEVICE real element_at(GLOBAL const scalar* source, i32 y, u32 height) {
    return (u32)y < height ? load(source, 0) : (real)0;
}

KERNEL void conv2d_direct_gather(CONV2D_GATHER_PARAMETERS) {
    const u32 image_channels = backward ? y_channels : x_channels, channels = backward ? x_channels : y_channels;
    const u32 image_height = backward ? y_height : x_height, image_width = backward ? y_width : x_width;
    const map_strides image_strides = strides_of(groups * image_channels, image_height, image_width);
    const map_strides strides =
        strides_of(groups * channels, backward ? x_height : y_height, backward ? x_width : y_width);
    // The filter is KCRS, or KRSC with channels last; the sums over it have fewer than 2^31 terms.
    const u32 area = filter_height * filter_width, per_output = area * x_channels;
    const u32 filter_input = CHANNELS_LAST ? 1 : area, filter_column = CHANNELS_LAST ? x_channels : 1;
    const u32 filter_row = filter_column * filter_width;
    const u32 of_image = backward ? per_output : filter_input, of_result = backward ? filter_input : per_output;
    const u32 group_blocks = (channels + ITEM_CHANNELS - 1) / ITEM_CHANNELS;
    const u64 channel_blocks = groups * group_blocks;
    const u32 phases_y = backward ? (stride_y < x_height ? stride_y : x_height) : 1;
    const u32 phases_x = backward ? (stride_x < x_width ? stride_x : x_width) : 1;
    image += image_offset;
    filter += filter_offset;
    bias += bias_offset;
    result += result_offset;

    for (u32 phase = 0; phase < phases_y * phases_x; phase++) {
        const gather_axis vertical =
            backward ? backward_axis(x_height, filter_height, stride_y, dilation_y, padding_top, phase / phases_x)
                     : forward_axis(y_height, filter_height, stride_y, dilation_y, padding_top);
        const gather_axis horizontal =
            backward ? backward_axis(x_width, filter_width, stride_x, dilation_x, padding_left, phase % phases_x)
                     : forward_axis(y_width, filter_width, stride_x, dilation_x, padding_left);
        const u64 row_step = (u64)vertical.step * image_strides.row;
        const u32 climbs = vertical.step == vertical.tap_step, slides = climbs || vertical.step == -vertical.tap_step;
        // From a tap to the one below it in a phase, and to the one that the same elements meet next.
        const i32 apart = (i32)(vertical.filter_step * filter_row), slide = climbs ? apart : -apart;
        const u32 blocks = (vertical.results + ITEM_RESULTS - 1) / ITEM_RESULTS;
        const u64 count = batch * channel_blocks * blocks * horizontal.results;
        // Neighbouring items have neighbouring addresses: columns of a row, or channels of a pixel.
        const u32 low_count = CHANNELS_LAST ? (u32)channel_blocks : horizontal.results;
        const u32 middle_count = CHANNELS_LAST ? horizontal.results : blocks;
        const u64 high_count = CHANNELS_LAST ? blocks : channel_blocks;
        const digits4 step = digits4_of(GLOBAL_SIZE, low_count, middle_count, high_count);
        digits4 at = digits4_of(GLOBAL_ID, low_count, middle_count, high_count);
        for (u64 item = GLOBAL_ID; item < count; item += GLOBAL_SIZE) {
            const u32 channel_block = CHANNELS_LAST ? at.inner.low : (u32)at.inner.high;
            const u32 group = group_blocks == 1 ? channel_block : channel_block / group_blocks;
            const u32 first_channel = ITEM_CHANNELS * (channel_block - group * group_blocks);
            const u32 channels_left = channels - first_channel;
            const u32 right = CHANNELS_LAST ? at.inner.middle : at.inner.low;
            const u32 first = ITEM_RESULTS * (CHANNELS_LAST ? (u32)at.inner.high : at.inner.middle);
            const i32 first_y = (i32)first * vertical.step + vertical.first;
            const i32 first_x = (i32)right * horizontal.step + horizontal.first;
            real sums[ITEM_CHANNELS * ITEM_RESULTS] = {0};
            GLOBAL const scalar* group_filter = filter + (u64)group * y_channels * per_output +
                                                (u64)first_channel * of_result + vertical.filter_first * filter_row +
                                                horizontal.filter_first * filter_column;
            for (u32 c = 0; c < image_channels; c++) {
                GLOBAL const scalar* plane =
                    image + at.outer * image_strides.batch + ((u64)group * image_channels + c) * image_strides.channel;
                GLOBAL const scalar* taps = group_filter;
                group_filter += of_image;
                for (u32 s = 0; s < horizontal.taps; s++) {
                    const i32 x = first_x + (i32)s * horizontal.tap_step;
                    // Outside, the height is 0: no row is inside.
                    const u32 height = (u32)x < image_width ? image_height : 0;
                    GLOBAL const scalar* column = plane + (height > 0 ? (u32)x * image_strides.column : 0);
                    GLOBAL const scalar* row = taps;
                    taps += horizontal.filter_step * filter_column;
                    for (u32 r = 0; r < vertical.taps; r += ROWS) {
                        const i32 y = first_y + (i32)r * vertical.tap_step;
                        const u32 left = vertical.taps - r;
                        if (slides) {
                            // Neighbours' taps see the same elements, in the order of the taps or against it.
                            const i32 lowest = climbs ? y : y - (ROWS - 1) * vertical.step;
                            GLOBAL const scalar* source = column + (u64)(i64)lowest * image_strides.row;
                            real values[ITEM_RESULTS + ROWS - 1];
                            for (u32 i = 0; i < ITEM_RESULTS + ROWS - 1; i++) {
                                values[i] = element_at(source, lowest + (i32)i * vertical.step, height);
                                source += row_step;
                            }
                            GLOBAL const scalar* tap = climbs ? row : row + (ROWS - 1) * apart;
                            for (u32 i = 0; i < ROWS; i++, tap += slide) {
                                if ((climbs ? i : ROWS - 1 - i) >= left) continue;
                                for (u32 k = 0; k < ITEM_CHANNELS; k++) {
                                    const real weight = k < channels_left ? load(tap, (u64)k * of_result) : (real)0;
                                    for (u32 e = 0; e < ITEM_RESULTS; e++) {
                                        const u32 to = k * ITEM_RESULTS + e;
                                        sums[to] = FMA(weight, values[e + i], sums[to]);
                                    }
                                }
                            }
                        } else {
                            for (u32 tap = 0; tap < ROWS && tap < left; tap++) {
                                const i32 at_tap = y + (i32)tap * vertical.tap_step;
                                GLOBAL const scalar* source = column + (u64)(i64)at_tap * image_strides.row;
                                real weights[ITEM_CHANNELS];
                                for (u32 k = 0; k < ITEM_CHANNELS; k++)
                                    weights[k] =
                                        k < channels_left ? load(row + (i32)tap * apart, (u64)k * of_result) : (real)0;
                                for (u32 e = 0; e < ITEM_RESULTS; e++) {
                                    const real value = element_at(source, at_tap + (i32)e * vertical.step, height);
                                    source += row_step;
                                    for (u32 k = 0; k < ITEM_CHANNELS; k++) {
                                        const u32 to = k * ITEM_RESULTS + e;
                                        sums[to] = FMA(weights[k], value, sums[to]);
                                    }
                                }
                            }
                        }
                        row += ROWS * apart;
                    }
                }
            }
            const u64 channel = (u64)group * channels + first_channel;
            const u64 to = at.outer * strides.batch + channel * strides.channel +
                           (horizontal.result_first + (u64)right * horizontal.result_step) * strides.column;
            for (u32 k = 0; k < ITEM_CHANNELS && k < channels_left; k++) {
                const real added = has_bias ? load(bias, channel + k) : (real)0;
                for (u32 e = 0; e < ITEM_RESULTS; e++) {
                    real value = sums[k * ITEM_RESULTS + e];
                    if (has_bias) value += added;
                    if (has_relu && value <= 0) value = 0;
                    const u64 row = vertical.result_first + (u64)(first + e) * vertical.result_step;
                    if (first + e < vertical.results)
                        store(result, to + k * strides.channel + row * strides.row, value);
                }
            }
            at = sum4_of(at, step, low_count, middle_count, high_count);
        }
    }
}

// A group takes a channel and every pixel of a split, or with channels last 32 channels, whose neighbours have
// neighbouring addresses, and its pixels eight at a time. Nine taps share a pass over them.
KERNEL void conv2d_depthwise_backward_filter(CONV2D_BACKWARD_FILTER_PARAMETERS) {
    SHARED real scratch[(TAPS + 1) * GROUP_SIZE];
    SHARED place taps[TAPS];
    const u32 lanes = CHANNELS_LAST ? 32 : 1, workers = GROUP_SIZE / lanes;
    const u32 lane = LOCAL_ID % lanes, worker = LOCAL_ID / lanes;
    const u64 outputs = groups * y_channels;
    const u32 area = filter_height * filter_width;
    const map_strides x_strides = strides_of(groups, x_height, x_width);
    const map_strides y_strides = strides_of(outputs, y_height, y_width);
    const u64 pixel_count = batch * y_height * y_width;
    const u64 blocks = (outputs + lanes - 1) / lanes;
    const digits step = digits_of(workers, y_width, y_height);
    x += x_offset;
    dy += dy_offset;

    for (u64 job = GROUP_ID; job < blocks * splits; job += GROUP_COUNT) {
        const u64 split = job / blocks, output = (job - split * blocks) * lanes + lane;
        const u64 first_pixel = split * pixels_per_split;
        const u64 last_pixel = first_pixel + pixels_per_split;
        const u64 end_pixel = output >= outputs ? 0 : last_pixel < pixel_count ? last_pixel : pixel_count;
        GLOBAL const scalar* x_channel = x + output / y_channels * x_strides.channel;
        GLOBAL const scalar* dy_channel = dy + output * y_strides.channel;
        for (u32 first_tap = 0; first_tap < area; first_tap += TAPS) {
            if (LOCAL_ID < TAPS) {
                const u32 tap = first_tap + LOCAL_ID, down = tap / filter_width, right = tap - down * filter_width;
                taps[LOCAL_ID] = tap < area
                                     ? place_of(x_strides, 0, (i32)(down * dilation_y), (i32)(right * dilation_x))
                                     : no_place();
            }
            BARRIER();
            real sums[TAPS + 1] = {0};
            digits pixel = digits_of(first_pixel + worker, y_width, y_height);
            for (u64 i = first_pixel + worker; i < end_pixel; i += workers) {
                const place at =
                    place_of(x_strides, pixel.high * x_strides.batch, (i32)(pixel.middle * stride_y) - (i32)padding_top,
                             (i32)(pixel.low * stride_x) - (i32)padding_left);
                const real gradient = load(dy_channel, pixel.high * y_strides.batch + pixel.middle * y_strides.row +
                                                           pixel.low * y_strides.column);
                for (u32 tap = 0; tap < TAPS; tap++) {
                    const place from = taps[tap];
                    const u32 inside = (u32)(at.y + from.y) < x_height && (u32)(at.x + from.x) < x_width;
                    const real value = inside ? load(x_channel, at.offset + from.offset) : (real)0;
                    sums[tap] = FMA(gradient, value, sums[tap]);
                }
                sums[TAPS] += gradient;
                pixel = sum_of(pixel, step, y_width, y_height);
            }
            for (u32 i = 0; i <= TAPS; i++) scratch[i * GROUP_SIZE + LOCAL_ID] = sums[i];
            BARRIER();
            for (u32 half_size = GROUP_SIZE / 2; half_size >= lanes; half_size /= 2) {
                if (LOCAL_ID < half_size)
                    for (u32 i = 0; i <= TAPS; i++)
                        scratch[i * GROUP_SIZE + LOCAL_ID] += scratch[i * GROUP_SIZE + LOCAL_ID + half_size];
                BARRIER();
            }
            // The next turn writes what only this item reads here.
            for (u32 i = 0; i <= TAPS; i++) {
                const real sum = scratch[i * GROUP_SIZE + LOCAL_ID];
                const u64 index = output * area + first_tap + i;
                const u32 is_mine = LOCAL_ID < lanes && output < outputs;
                const u32 is_tap = is_mine && i < TAPS && first_tap + i < area;
                const u32 is_bias = is_mine && i == TAPS && first_tap == 0 && has_bias;
                if (is_tap && splits == 1) store(dfilter, dfilter_offset + index, sum);
                if (is_tap && splits > 1) partial[partial_offset + split * outputs * area + index] = sum;
                if (is_bias && splits == 1) store(dbias, dbias_offset + output, sum);
                if (is_bias && splits > 1) bias_partial[bias_partial_offset + split * outputs + output] = sum;
            }
        }
    }
}
