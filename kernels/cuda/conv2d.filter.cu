// The gradient of the filter of a convolution with channels last, and of its bias, on tensor cores: the implicit matrix
// product of portable/conv2d.cl with channels of y as rows and taps as columns, sums over pixels in float. Channels of
// a group come in eights, and tensors lie on 16 bytes.
//
//   conv2d_backward_filter_mma   dw and db from x and dy; 128 channels x 128 taps a tile, or without WIDE 64 x 256;
//                                sums over the pixels of a split, with more than one of them to rows of `partial`

#define CHANNELS_LAST 1

#include "types.h"
#include "im2col.h"
#include "cuda/mma.h"

#define WARP_ROWS     (WIDE ? 2 : 1)
#define TILE_CHANNELS (WARP_ROWS * WARP_TILE)
#define TILE_TAPS     (4 / WARP_ROWS * WARP_TILE)

#define CHANNEL_CHUNKS (TILE_CHANNELS / CHUNK)
#define TAP_CHUNKS     (TILE_TAPS / CHUNK)

#define CHANNEL_BYTES (TILE_CHANNELS * SLICE * 2)
#define STAGE_BYTES   (CHANNEL_BYTES + TILE_TAPS * SLICE * 2)

// Two ones: a column of them adds up the rows.
#if DTYPE_F16
#define ONES 0x3c003c00u
#else
#define ONES 0x3f803f80u
#endif

KERNEL void conv2d_backward_filter_mma(CONV2D_BACKWARD_FILTER_PARAMETERS) {
    extern SHARED uint4 stages[];
    // Where the pixels of the slices in flight see the image.
    SHARED int4 places[STAGES * SLICE];

    const u32 x_chunks = x_channels / CHUNK, y_chunks = y_channels / CHUNK;
    const u32 x_pixel = (u32)groups * x_chunks, y_pixel = (u32)groups * y_chunks;
    const u32 per_output = x_channels * filter_height * filter_width;

    const u32 warp = LOCAL_ID / 32, lane = LOCAL_ID % 32;
    const u32 warp_row = warp % WARP_ROWS * WARP_TILE, warp_column = warp / WARP_ROWS * WARP_TILE;
    const u32 own_channel = LOCAL_ID % CHANNEL_CHUNKS, own_tap = LOCAL_ID % TAP_CHUNKS;
    const lane_places row_places = rows_across(warp_row, TILE_CHANNELS);
    const lane_places column_places = columns_across(warp_column, TILE_TAPS);
    const u32 own_row = LOCAL_ID / CHANNEL_CHUNKS, row_step = GROUP_SIZE / CHANNEL_CHUNKS;
    const u32 memory = shared_address(stages);

    const u32 pixel_count = (u32)batch * y_height * y_width;
    const u32 channel_tiles = (y_channels + TILE_CHANNELS - 1) / TILE_CHANNELS;
    const u32 tap_tiles = (per_output + TILE_TAPS - 1) / TILE_TAPS;
    const u32 tiles = channel_tiles * tap_tiles * (u32)groups * (u32)splits;
    const short_digits pixel_step = short_digits_of(STAGES * SLICE, y_width, y_height);

    for (u32 tile = (u32)GROUP_ID; tile < tiles; tile += (u32)GROUP_COUNT) {
        const short_digits at = short_digits_of(tile, channel_tiles, tap_tiles);
        const u32 first_channel = at.low * TILE_CHANNELS, first_tap = at.middle * TILE_TAPS;
        const u32 split = at.high / (u32)groups, group = at.high - split * (u32)groups;
        const u32 first_pixel = split * (u32)pixels_per_split;
        const u32 left = first_pixel < pixel_count ? pixel_count - first_pixel : 0;
        const u32 pixels = left < pixels_per_split ? left : (u32)pixels_per_split;
        const u32 slices = (pixels + SLICE - 1) / SLICE;

        // The tap of this thread's column of the image's matrix.
        const u32 tap_chunk = first_tap / CHUNK + own_tap;
        const short_digits tap = short_digits_of(tap_chunk, x_chunks, filter_width);
        const i32 down = tap_chunk * CHUNK < per_output ? (i32)(tap.high * dilation_y) : OUTSIDE;
        const i32 right = (i32)(tap.middle * dilation_x);
        const u32 tap_offset = ((u32)down * x_width + (u32)right) * x_pixel + tap.low;
        const u32 is_channel = first_channel / CHUNK + own_channel < y_chunks;

        const u64 group_x = global_address(x + x_offset + (u64)group * x_channels);
        const u64 dy_row = (u64)y_pixel * CHUNK_BYTES;
        u64 dy_from = global_address(dy + dy_offset + (u64)group * y_channels + first_channel) +
                      own_channel * CHUNK_BYTES + (first_pixel + own_row) * dy_row;

        short_digits pixel = short_digits_of(first_pixel + LOCAL_ID, y_width, y_height);
        float sums[4 * ROW_FRAGMENTS * COLUMN_FRAGMENTS] = {0}, bias_sums[4 * ROW_FRAGMENTS] = {0};
        const u32 adds_bias = has_bias && first_tap == 0 && warp_column == 0;
        for (u32 slice = 0; slice < slices + STAGES - 1; slice++) {
            // A quarter of the table goes to the slice after this one; at first all of it is filled.
            if (slice >= STAGES - 1) {
                WAIT_COPIES(STAGES - 2);
                BARRIER();
            }
            if (slice == 0 || (slice >= STAGES - 1 && (slice + 1) % STAGES == warp)) {
                const i32 row = (i32)(pixel.middle * stride_y) - (i32)padding_top;
                const i32 column = (i32)(pixel.low * stride_x) - (i32)padding_left;
                const u32 offset = ((pixel.high * x_height + (u32)row) * x_width + (u32)column) * x_pixel;
                places[LOCAL_ID] = make_int4(row, column, (i32)offset, 0);
                pixel = short_sum_of(pixel, pixel_step, y_width, y_height);
            }
            if (slice == 0) BARRIER();
            if (slice < slices) {
                const u32 stage = memory + slice % STAGES * STAGE_BYTES;
                const u32 pixels_left = pixels - slice * SLICE;
                UNROLL
                for (u32 i = 0; i < SLICE * CHANNEL_CHUNKS / GROUP_SIZE; i++)
                    copy_chunk(stage + place_across(own_row + row_step * i, own_channel, TILE_CHANNELS),
                               dy_from + row_step * i * dy_row, is_channel && own_row + row_step * i < pixels_left);
                dy_from += SLICE * dy_row;
                UNROLL
                for (u32 i = 0; i < SLICE * TAP_CHUNKS / GROUP_SIZE; i++) {
                    const u32 row = LOCAL_ID / TAP_CHUNKS + GROUP_SIZE / TAP_CHUNKS * i;
                    const int4 place = places[slice % STAGES * SLICE + row];
                    const u32 is_inside =
                        row < pixels_left && (u32)(place.x + down) < x_height && (u32)(place.y + right) < x_width;
                    copy_chunk(stage + CHANNEL_BYTES + place_across(row, own_tap, TILE_TAPS),
                               group_x + (u64)((u32)place.z + tap_offset) * CHUNK_BYTES, is_inside);
                }
            }
            COMMIT_COPIES();
            if (slice < STAGES - 1) continue;

            const u32 stage = memory + (slice - (STAGES - 1)) % STAGES * STAGE_BYTES;
            UNROLL
            for (u32 half = 0; half < 2; half++) {
                u32 rows[4 * ROW_FRAGMENTS], columns[2 * COLUMN_FRAGMENTS];
                load_across(stage, row_places, TILE_CHANNELS, half, rows);
                load_across(stage + CHANNEL_BYTES, column_places, TILE_TAPS, half, columns);
                multiply_warp_tiles(sums, rows, columns);
                if (adds_bias) {
                    const u32 ones[2] = {ONES, ONES};
                    UNROLL
                    for (u32 i = 0; i < ROW_FRAGMENTS; i++) multiply_fragments(bias_sums + 4 * i, rows + 4 * i, ones);
                }
            }
        }

        const u32 own_column = first_tap + warp_column + lane % 4 * 2;
        UNROLL
        for (u32 part = 0; part < 2 * ROW_FRAGMENTS; part++) {
            const u32 channel = first_channel + warp_row + 8 * part + lane / 4;
            if (channel >= y_channels) continue;
            const u64 row = (u64)group * y_channels + channel;
            const u64 part_row = (u64)split * groups * y_channels + row;
            scalar* own_dfilter = dfilter + dfilter_offset + row * per_output + own_column;
            float* own_partial = partial + partial_offset + part_row * per_output + own_column;
            UNROLL
            for (u32 j = 0; j < COLUMN_FRAGMENTS; j++) {
                const float* own = sums + 4 * (COLUMN_FRAGMENTS * (part / 2) + j) + part % 2 * 2;
                if (own_column + 8 * j >= per_output) continue;
                if (splits == 1)
                    *(u32*)(own_dfilter + 8 * j) = to_pair(own[0], own[1]);
                else
                    *(float2*)(own_partial + 8 * j) = make_float2(own[0], own[1]);
            }
            if (!adds_bias || lane % 4 != 0) continue;
            const float sum = bias_sums[4 * (part / 2) + part % 2 * 2];
            if (splits == 1)
                store(dbias, dbias_offset + row, sum);
            else
                bias_partial[bias_partial_offset + part_row] = sum;
        }
    }
}
