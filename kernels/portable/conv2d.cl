// Convolution of maps (cross-correlation, as networks have it): y[n, k, p, q] = b[k] + sum over c, r, s of w[k, c, r,
// s] x[n, c, p stride - padding + r dilation, q stride - padding + s dilation], where x is 0 outside (LeCun et al.,
// "Gradient-based learning applied to document recognition", Proceedings of the IEEE, 1998), and its gradients.
//
//   conv2d_gather           y from x; with `backward` dx from dy, which gathers the results that each x went to, taking
//                           together the x that meet the same taps; 64 channels x 128 pixels a tile, sums over taps
//   conv2d_backward_filter  dw from x and dy, and the bias' gradient: 64 channels x 128 taps, sums over the pixels of a
//                           split; with more than one split to rows of `partial`, for partial_sums.cl to add

#include "types.h"
#include "im2col.h"

KERNEL void conv2d_gather(CONV2D_GATHER_PARAMETERS) {
    SHARED real row_tile[TILE_DEPTH * ROW_PITCH];
    SHARED real column_tile[TILE_DEPTH * COLUMN_PITCH];
    // In local memory, since few items need them and registers are few.
    SHARED gather_axis axes[2];
    SHARED place pixels[TILE_COLUMNS];
    SHARED u64 pixel_results[TILE_COLUMNS];
    SHARED place taps[TILE_DEPTH];
    SHARED u64 tap_offsets[TILE_DEPTH];

    const u32 image_channels = backward ? y_channels : x_channels, channels = backward ? x_channels : y_channels;
    const u32 result_height = backward ? x_height : y_height, result_width = backward ? x_width : y_width;
    const map_strides image_strides =
        strides_of(groups * image_channels, backward ? y_height : x_height, backward ? y_width : x_width);
    const map_strides result_strides = strides_of(groups * channels, result_height, result_width);
    // The filter is KCRS, or KRSC with channels last.
    const u64 area = (u64)filter_height * filter_width, per_output = area * x_channels;
    const u64 filter_column = CHANNELS_LAST ? x_channels : 1, filter_row = filter_column * filter_width;
    const u64 filter_input = CHANNELS_LAST ? 1 : area;

    slice_way way;
    way.columns_fast = !CHANNELS_LAST;
    way.rows_fast = CHANNELS_LAST && backward;
    way.height = backward ? y_height : x_height;
    way.width = backward ? y_width : x_width;
    way.row_stride = backward ? filter_input : per_output;
    const u64 filter_channel = backward ? per_output : filter_input;

    const u32 lane = LOCAL_ID % 16, layer = LOCAL_ID / 16;
    const u32 row_in_tile = 4 * (CHANNELS_LAST ? lane : layer), column_in_tile = 4 * (CHANNELS_LAST ? layer : lane);

    // Each phase along an axis has at most as many results as the first.
    const u32 phases_y = backward ? (stride_y < x_height ? stride_y : x_height) : 1;
    const u32 phases_x = backward ? (stride_x < x_width ? stride_x : x_width) : 1;
    const u64 most_pixels = backward
                                ? batch * ((x_height + stride_y - 1) / stride_y) * ((x_width + stride_x - 1) / stride_x)
                                : batch * y_height * y_width;
    const u64 row_tiles = (channels + TILE_ROWS - 1) / TILE_ROWS;
    const u64 column_tiles = (most_pixels + TILE_COLUMNS - 1) / TILE_COLUMNS;
    const u64 tiles = row_tiles * groups * phases_y * phases_x * column_tiles;

    for (u64 tile = GROUP_ID; tile < tiles; tile += GROUP_COUNT) {
        // Tiles of the same pixels are neighbours, so that all but one find them in a cache.
        u64 rest = tile / row_tiles;
        const u64 first_row = (tile - rest * row_tiles) * TILE_ROWS, group = rest % groups;
        rest /= groups;
        const u64 column_tile_index = rest / (phases_y * phases_x);
        const u32 phase = (u32)(rest - column_tile_index * (phases_y * phases_x));
        if (LOCAL_ID == 0)
            axes[0] = backward
                          ? backward_axis(x_height, filter_height, stride_y, dilation_y, padding_top, phase / phases_x)
                          : forward_axis(y_height, filter_height, stride_y, dilation_y, padding_top);
        if (LOCAL_ID == 32)
            axes[1] = backward
                          ? backward_axis(x_width, filter_width, stride_x, dilation_x, padding_left, phase % phases_x)
                          : forward_axis(y_width, filter_width, stride_x, dilation_x, padding_left);
        BARRIER();
        const u64 first_pixel = column_tile_index * TILE_COLUMNS;
        const u64 pixel_count = batch * axes[0].results * axes[1].results;

        if (LOCAL_ID < TILE_COLUMNS) {
            place at = no_place();
            u64 to = 0;
            if (first_pixel + LOCAL_ID < pixel_count) {
                const digits pixel = digits_of(first_pixel + LOCAL_ID, axes[1].results, axes[0].results);
                at = place_of(image_strides, pixel.high * image_strides.batch,
                              (i32)pixel.middle * axes[0].step + axes[0].first,
                              (i32)pixel.low * axes[1].step + axes[1].first);
                to = pixel.high * result_strides.batch +
                     (axes[0].result_first + (u64)pixel.middle * axes[0].result_step) * result_strides.row +
                     (axes[1].result_first + (u64)pixel.low * axes[1].result_step) * result_strides.column;
            }
            pixels[LOCAL_ID] = at;
            pixel_results[LOCAL_ID] = to;
        }

        // Taps in the order of the filter's elements.
        const u32 depth = image_channels * axes[0].taps * axes[1].taps;
        const u32 low_count = CHANNELS_LAST ? image_channels : axes[1].taps;
        const u32 middle_count = CHANNELS_LAST ? axes[1].taps : axes[0].taps;
        const digits tap_step = digits_of(TILE_DEPTH, depth > 0 ? low_count : 1, depth > 0 ? middle_count : 1);
        digits tap = digits_of(LOCAL_ID % TILE_DEPTH, depth > 0 ? low_count : 1, depth > 0 ? middle_count : 1);
        const u32 slices = (depth + TILE_DEPTH - 1) / TILE_DEPTH;

        GLOBAL const scalar* group_image = image + image_offset + group * image_channels * image_strides.channel;
        GLOBAL const scalar* group_filter =
            filter + filter_offset + group * y_channels * per_output + first_row * way.row_stride;
        way.rows_left = channels - first_row;

        real sums[32] = {0}, column_values[ITEM_COLUMNS], row_values[ITEM_ROWS];
        for (u32 slice = 0; slice <= slices; slice++) {
            if (LOCAL_ID < TILE_DEPTH) {
                place at = no_place();
                u64 from = 0;
                if (slice * TILE_DEPTH + LOCAL_ID < depth) {
                    const u64 channel = CHANNELS_LAST ? tap.low : tap.high;
                    const u32 down = CHANNELS_LAST ? (u32)tap.high : tap.middle;
                    const u32 right = CHANNELS_LAST ? tap.middle : tap.low;
                    at = place_of(image_strides, channel * image_strides.channel, (i32)down * axes[0].tap_step,
                                  (i32)right * axes[1].tap_step);
                    from = channel * filter_channel +
                           (axes[0].filter_first + (u64)down * axes[0].filter_step) * filter_row +
                           (axes[1].filter_first + (u64)right * axes[1].filter_step) * filter_column;
                }
                taps[LOCAL_ID] = at;
                tap_offsets[LOCAL_ID] = from;
                tap = sum_of(tap, tap_step, low_count, middle_count);
            }
            BARRIER();
            // A slice is on its way while the one before is multiplied.
            load_tile_im2col(group_image, pixels, taps, way, column_values);
            load_tile_matrix(group_filter, taps, tap_offsets, way, row_values);
            if (slice > 0) multiply_tiles(row_tile, column_tile, row_in_tile, column_in_tile, sums);
            BARRIER();
            store_tiles(way, column_values, row_values, column_tile, row_tile);
        }

        for (u32 j = 0; j < 8; j++) {
            const u32 column = tile_column(column_in_tile, j);
            if (first_pixel + column >= pixel_count) continue;
            for (u32 i = 0; i < 4; i++) {
                const u64 row = first_row + row_in_tile + i;
                if (row >= channels) continue;
                const u64 channel = group * channels + row;
                real value = sums[8 * i + j];
                if (has_bias) value += load(bias, bias_offset + channel);
                if (has_relu && value <= 0) value = 0;
                store(result, result_offset + pixel_results[column] + channel * result_strides.channel, value);
            }
        }
    }
}

KERNEL void conv2d_backward_filter(CONV2D_BACKWARD_FILTER_PARAMETERS) {
    SHARED real row_tile[TILE_DEPTH * ROW_PITCH];
    SHARED real column_tile[TILE_DEPTH * COLUMN_PITCH];
    SHARED place taps[TILE_COLUMNS];
    SHARED place pixels[TILE_DEPTH];
    SHARED u64 pixel_offsets[TILE_DEPTH];

    const map_strides x_strides = strides_of(groups * x_channels, x_height, x_width);
    const map_strides y_strides = strides_of(groups * y_channels, y_height, y_width);
    const gather_axis vertical = forward_axis(y_height, filter_height, stride_y, dilation_y, padding_top);
    const gather_axis horizontal = forward_axis(y_width, filter_width, stride_x, dilation_x, padding_left);
    const u32 per_output = x_channels * filter_height * filter_width;
    const u32 low_count = CHANNELS_LAST ? x_channels : filter_width;
    const u32 middle_count = CHANNELS_LAST ? filter_width : filter_height;

    slice_way way;
    way.columns_fast = CHANNELS_LAST;
    way.rows_fast = CHANNELS_LAST;
    way.height = x_height;
    way.width = x_width;
    way.row_stride = y_strides.channel;

    const u32 row_in_tile = LOCAL_ID / 16 * 4, column_in_tile = LOCAL_ID % 16 * 4;
    const u64 pixel_count = batch * y_height * y_width;
    const u64 row_tiles = (y_channels + TILE_ROWS - 1) / TILE_ROWS;
    // Without taps there is still the bias.
    const u64 column_tiles = per_output > 0 ? ((u64)per_output + TILE_COLUMNS - 1) / TILE_COLUMNS : 1;
    const u64 tiles = row_tiles * column_tiles * groups * splits;
    const digits pixel_step = digits_of(TILE_DEPTH, y_width, y_height);

    for (u64 tile = GROUP_ID; tile < tiles; tile += GROUP_COUNT) {
        u64 rest = tile / row_tiles;
        const u64 first_row = (tile - rest * row_tiles) * TILE_ROWS;
        const u64 column_index = rest % column_tiles, first_column = column_index * TILE_COLUMNS;
        rest /= column_tiles;
        const u64 group = rest % groups, split = rest / groups;
        const u64 first_pixel = split * pixels_per_split;
        const u64 last_pixel = first_pixel + pixels_per_split;
        const u64 end_pixel = last_pixel < pixel_count ? last_pixel : pixel_count;

        if (LOCAL_ID < TILE_COLUMNS) {
            place at = no_place();
            if (first_column + LOCAL_ID < per_output) {
                const digits tap = digits_of(first_column + LOCAL_ID, low_count, middle_count);
                const u64 channel = CHANNELS_LAST ? tap.low : tap.high;
                const u32 down = CHANNELS_LAST ? (u32)tap.high : tap.middle;
                const u32 right = CHANNELS_LAST ? tap.middle : tap.low;
                at = place_of(x_strides, channel * x_strides.channel, (i32)down * vertical.tap_step,
                              (i32)right * horizontal.tap_step);
            }
            taps[LOCAL_ID] = at;
        }

        GLOBAL const scalar* group_x = x + x_offset + group * x_channels * x_strides.channel;
        GLOBAL const scalar* group_dy = dy + dy_offset + (group * y_channels + first_row) * y_strides.channel;
        way.rows_left = y_channels - first_row;

        digits pixel = digits_of(first_pixel + LOCAL_ID % TILE_DEPTH, y_width, y_height);
        real sums[32] = {0}, column_values[ITEM_COLUMNS], row_values[ITEM_ROWS], bias_sum = 0;
        const u64 slices = first_pixel < end_pixel ? (end_pixel - first_pixel + TILE_DEPTH - 1) / TILE_DEPTH : 0;
        for (u64 slice = 0; slice <= slices; slice++) {
            if (LOCAL_ID < TILE_DEPTH) {
                place at = no_place();
                u64 from = 0;
                if (first_pixel + slice * TILE_DEPTH + LOCAL_ID < end_pixel) {
                    at = place_of(x_strides, pixel.high * x_strides.batch,
                                  (i32)pixel.middle * vertical.step + vertical.first,
                                  (i32)pixel.low * horizontal.step + horizontal.first);
                    from = pixel.high * y_strides.batch + pixel.middle * y_strides.row + pixel.low * y_strides.column;
                }
                pixels[LOCAL_ID] = at;
                pixel_offsets[LOCAL_ID] = from;
                pixel = sum_of(pixel, pixel_step, y_width, y_height);
            }
            BARRIER();
            load_tile_im2col(group_x, taps, pixels, way, column_values);
            load_tile_matrix(group_dy, pixels, pixel_offsets, way, row_values);
            if (slice > 0) {
                multiply_tiles(row_tile, column_tile, row_in_tile, column_in_tile, sums);
                if (has_bias && column_index == 0 && LOCAL_ID < TILE_ROWS)
                    for (u32 depth = 0; depth < TILE_DEPTH; depth++) bias_sum += row_tile[depth * ROW_PITCH + LOCAL_ID];
            }
            BARRIER();
            store_tiles(way, column_values, row_values, column_tile, row_tile);
        }

        for (u32 i = 0; i < 4; i++) {
            const u64 row = first_row + row_in_tile + i, channel = group * y_channels + row;
            if (row >= y_channels) continue;
            for (u32 j = 0; j < 8; j++) {
                const u64 column = first_column + tile_column(column_in_tile, j);
                if (column >= per_output) continue;
                const u64 index = channel * per_output + column;
                if (splits == 1)
                    store(dfilter, dfilter_offset + index, sums[8 * i + j]);
                else
                    partial[partial_offset + split * groups * y_channels * per_output + index] = sums[8 * i + j];
            }
        }
        const u64 row = first_row + LOCAL_ID, channel = group * y_channels + row;
        if (has_bias && column_index == 0 && LOCAL_ID < TILE_ROWS && row < y_channels) {
            if (splits == 1)
                store(dbias, dbias_offset + channel, bias_sum);
            else
                bias_partial[bias_partial_offset + split * groups * y_channels + channel] = bias_sum;
        }
    }
}
