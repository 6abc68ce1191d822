// Convolution without tiles of a matrix product: y[n, k, p, q] = b[k] + sum over c, r, s of w[k, c, r, s] x[n, c, ...]
// as in conv2d.cl, and its gradients, where a group of channels has one or few results. Depthwise, with one input to a
// group, memory sets the time (Howard et al., "MobileNets", arXiv:1704.04861, 2017); to or from the three channels of
// an image nearly all of a tile of 64 would be empty.
//
//   conv2d_direct_gather              y from x, or with `backward` dx from dy; an item makes eight neighbours of a
//                                     column and keeps the elements that their taps share in registers, for one
//                                     channel, or with NARROW for up to four, which take the same elements
//   conv2d_depthwise_backward_filter  dw from x and dy, and the bias' gradient; with more than one split to rows of
//                                     `partial`, for partial_sums.cl to add

#include "types.h"
#include "im2col.h"

// Before Ampere the compiler takes more registers than leave room for two groups.
#if IS_BEFORE_AMPERE
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS 1
#endif

// Neighbours of a column, and channels, that an item makes, and rows of taps that share the elements of a column.
#define ITEM_RESULTS 8
#if NARROW
#define ITEM_CHANNELS 4
#define ROWS          (DTYPE_F64 ? 2 : 4)
#else
#define ITEM_CHANNELS 1
#define ROWS          3
#endif
#define ITEM_ELEMENTS (ITEM_RESULTS + ROWS - 1)
// Taps that share a pass over the pixels.
#define TAPS 9

// A group has items of one phase, and of one block of channels or, where neighbours in memory are channels, up to 32.
// A step is a channel of the image and a column of taps, of which `ROWS` rows are taken at a time. Each item first
// loads the weights of one step for its channels; then all take the steps one by one.
KERNEL void conv2d_direct_gather(CONV2D_GATHER_PARAMETERS) {
    SHARED real weights[ROWS * GROUP_SIZE * ITEM_CHANNELS];
    SHARED place places[GROUP_SIZE];
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
    // With NARROW an item makes all channels of a group.
    const u32 group_blocks = ITEM_CHANNELS > 1 ? 1 : channels, item_channels = ITEM_CHANNELS > 1 ? channels : 1;
    const u64 channel_blocks = groups * group_blocks;
    u32 lanes = 1;
    while (CHANNELS_LAST && lanes < 32 && lanes < channel_blocks) lanes *= 2;
    const u32 workers = GROUP_SIZE / lanes;
    const u32 lane = LOCAL_ID % lanes, worker = LOCAL_ID / lanes;
    const u64 lane_blocks = (channel_blocks + lanes - 1) / lanes;
    // All phases are taken for as large as the first.
    const u32 phases_y = backward ? (stride_y < x_height ? stride_y : x_height) : 1;
    const u32 phases_x = backward ? (stride_x < x_width ? stride_x : x_width) : 1;
    const u32 rows = backward ? (x_height + stride_y - 1) / stride_y : y_height;
    const u32 columns = backward ? (x_width + stride_x - 1) / stride_x : y_width;
    const u32 row_blocks = (rows + ITEM_RESULTS - 1) / ITEM_RESULTS;
    const u64 phases = (u64)phases_y * phases_x, blocks = phases * lane_blocks;
    // Places are cut into runs for as many groups as there are: what a group has to find out first serves a whole run.
    const u64 place_blocks = (batch * row_blocks * columns + workers - 1) / workers;
    const u64 wanted_runs = GROUP_COUNT > blocks ? GROUP_COUNT / blocks : 1;
    const u64 run_blocks = (place_blocks + wanted_runs - 1) / wanted_runs;
    const u64 runs = (place_blocks + run_blocks - 1) / run_blocks;
    image += image_offset;
    filter += filter_offset;
    bias += bias_offset;
    result += result_offset;

    // The phases of a place lie side by side in time: they read the same elements, and write between each other's.
    for (u64 job = GROUP_ID; job < blocks * runs; job += GROUP_COUNT) {
        const u64 block = job / phases, phase = job - block * phases, run = block / lane_blocks;
        const u32 phase_y = (u32)(phase / phases_x), phase_x = (u32)(phase - (u64)phase_y * phases_x);
        const gather_axis vertical =
            backward ? backward_axis(x_height, filter_height, stride_y, dilation_y, padding_top, phase_y)
                     : forward_axis(y_height, filter_height, stride_y, dilation_y, padding_top);
        const gather_axis horizontal =
            backward ? backward_axis(x_width, filter_width, stride_x, dilation_x, padding_left, phase_x)
                     : forward_axis(y_width, filter_width, stride_x, dilation_x, padding_left);
        const u64 channel_block = (block - run * lane_blocks) * lanes + lane;
        const u32 has_channels = channel_block < channel_blocks;
        const u64 group = group_blocks == 1 ? channel_block : channel_block / group_blocks;
        const u32 first_channel = (u32)(channel_block - group * group_blocks);

        // Where neighbours' taps see the same elements, in the order of the taps or against it.
        const u32 climbs = vertical.step == vertical.tap_step, falls = vertical.step == -vertical.tap_step;
        const u32 most_taps = climbs || falls ? ROWS : 1;
        const u32 steps = image_channels * horizontal.taps, filter_apart = vertical.filter_step * filter_row;
        const u32 fits = vertical.taps <= most_taps && steps <= workers;
        const u64 row_step = (u64)vertical.step * image_strides.row;
        const u64 result_step = vertical.result_step * strides.row;
        GLOBAL const scalar* of_group = image + group * image_channels * image_strides.channel;
        GLOBAL const scalar* of_channel = filter + group * y_channels * per_output + (u64)first_channel * of_result +
                                          vertical.filter_first * filter_row + horizontal.filter_first * filter_column;
        u32 are_there = 0;
        for (u64 place_block = run * run_blocks; place_block < place_blocks && place_block < (run + 1) * run_blocks;
             place_block++) {
            const digits at = digits_of(place_block * workers + worker, columns, row_blocks);
            const u32 first = ITEM_RESULTS * at.middle;
            const u32 is_mine =
                has_channels && at.high < batch && at.low < horizontal.results && first < vertical.results;
            const u32 results_left = is_mine ? vertical.results - first : 0;
            const u32 results = results_left < ITEM_RESULTS ? results_left : ITEM_RESULTS;
            const i32 first_y = (i32)first * vertical.step + vertical.first;
            const i32 first_x = (i32)at.low * horizontal.step + horizontal.first;
            GLOBAL const scalar* column =
                of_group + at.high * image_strides.batch + (u64)(i64)first_x * image_strides.column;
            real sums[ITEM_CHANNELS * ITEM_RESULTS] = {0};
            for (u32 r = 0; r < vertical.taps; r += most_taps) {
                const u32 left = vertical.taps - r, taps = left < most_taps ? left : most_taps;
                const i32 lowest = first_y + (i32)r * vertical.tap_step - (falls ? (i32)taps - 1 : 0);
                GLOBAL const scalar* lowest_element = column + (u64)(i64)lowest * image_strides.row;
                u32 inside = 0;
                for (u32 i = 0; i < ITEM_ELEMENTS; i++)
                    inside |= (u32)((u64)(lowest + (i64)i * vertical.step) < image_height) << i;
                for (u32 first_step = 0; first_step < steps; first_step += workers) {
                    BARRIER();
                    if (!are_there) {
                        const u32 my_step = first_step + worker, c = my_step / horizontal.taps;
                        const u32 s = my_step - c * horizontal.taps;
                        if (lane == 0)
                            places[worker] =
                                place_of(image_strides, c * image_strides.channel, 0, (i32)s * horizontal.tap_step);
                        const u32 rows_of_taps = has_channels && my_step < steps ? taps : 0;
                        GLOBAL const scalar* from = of_channel + (u64)c * of_image +
                                                    s * horizontal.filter_step * filter_column +
                                                    (r + (falls ? taps - 1 : 0)) * filter_apart;
                        for (u32 i = 0; i < ROWS; i++) {
                            for (u32 k = 0; k < ITEM_CHANNELS; k++) {
                                const u32 is_tap = i < rows_of_taps && k < item_channels;
                                weights[(i * GROUP_SIZE + LOCAL_ID) * ITEM_CHANNELS + k] =
                                    is_tap ? load(from, (u64)k * of_result) : (real)0;
                            }
                            from += falls ? -(i32)filter_apart : (i32)filter_apart;
                        }
                    }
                    are_there = fits;
                    BARRIER();
                    const u32 steps_left = steps - first_step;
                    const u32 count = results == 0 ? 0 : steps_left < workers ? steps_left : workers;
                    for (u32 t = 0; t < count; t++) {
                        const place to = places[t];
                        const u32 seen = (u32)(first_x + to.x) < image_width ? inside : 0;
                        GLOBAL const scalar* source = lowest_element + to.offset;
                        real values[ITEM_ELEMENTS];
                        if (seen == (1u << ITEM_ELEMENTS) - 1) {
                            for (u32 i = 0; i < ITEM_ELEMENTS; i++, source += row_step) values[i] = load(source, 0);
                        } else {
                            for (u32 i = 0; i < ITEM_ELEMENTS; i++, source += row_step)
                                values[i] = (seen >> i & 1) != 0 ? load(source, 0) : (real)0;
                        }
                        LOCAL const real* at_step = weights + (t * lanes + lane) * ITEM_CHANNELS;
                        for (u32 i = 0; i < ROWS; i++) {
                            if (i >= taps) break;
                            for (u32 k = 0; k < ITEM_CHANNELS; k++) {
                                // Images have one channel or three.
                                if ((k == 1 || k == 3) && k >= item_channels) break;
                                const real weight = at_step[i * GROUP_SIZE * ITEM_CHANNELS + k];
                                for (u32 e = 0; e < ITEM_RESULTS; e++) {
                                    const u32 sum = k * ITEM_RESULTS + e;
                                    sums[sum] = FMA(weight, values[e + i], sums[sum]);
                                }
                            }
                        }
                    }
                }
            }
            const u64 channel = group * channels + first_channel;
            const u64 to = at.high * strides.batch + channel * strides.channel +
                           (horizontal.result_first + (u64)at.low * horizontal.result_step) * strides.column +
                           (vertical.result_first + (u64)first * vertical.result_step) * strides.row;
            const u32 made_channels = results > 0 ? item_channels : 0;
            for (u32 k = 0; k < ITEM_CHANNELS && k < made_channels; k++) {
                const real added = has_bias ? load(bias, channel + k) : (real)0;
                GLOBAL scalar* target = result + to + k * strides.channel;
                for (u32 e = 0; e < ITEM_RESULTS; e++) {
                    real value = sums[k * ITEM_RESULTS + e];
                    if (has_bias) value += added;
                    if (has_relu && value <= 0) value = 0;
                    if (e < results) store(target, 0, value);
                    target += result_step;
                }
            }
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
