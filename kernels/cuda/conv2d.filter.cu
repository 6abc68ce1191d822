// The gradient of the filter of a convolution with channels last, and of its bias, on tensor cores: the implicit matrix
// product of portable/conv2d.cl with channels of y as rows and taps as columns, sums over pixels in float. Channels of
// a group come in eights, and tensors lie on 16 bytes.
//
//   conv2d_backward_filter_mma   dw and db from x and dy; 128 channels x 128 taps a tile, or without WIDE 64 channels;
//                                sums over the pixels of a split, with more than one of them to rows of `partial`

#define CHANNELS_LAST 1

#include "types.h"
#include "im2col.h"
#include "cuda/mma.h"

// Warps lie side by side, or without WIDE in one row.
#define WARPS_DOWN    (WIDE ? 2 : 1)
#define TILE_CHANNELS (WARPS_DOWN * WARP_ROWS)
#define TILE_TAPS     (4 / WARPS_DOWN * WARP_COLUMNS)

#define CHANNEL_CHUNKS (TILE_CHANNELS / CHUNK)
#define TAP_CHUNKS     (TILE_TAPS / CHUNK)

#define CHANNEL_BYTES (TILE_CHANNELS * SLICE * 2)
#define STAGE_BYTES   (CHANNEL_BYTES + TILE_TAPS * SLICE * 2)

// Chunks of a slice that a thread copies, of rows so far apart.
#define CHANNEL_COPIES (SLICE * CHANNEL_CHUNKS / GROUP_SIZE)
#define TAP_COPIES     (SLICE * TAP_CHUNKS / GROUP_SIZE)
#define CHANNEL_STEP   (GROUP_SIZE / CHANNEL_CHUNKS)
#define TAP_STEP       (GROUP_SIZE / TAP_CHUNKS)

// Pixels of two slices have their places in local memory: one is copied, the next is on its way.
#define PLACE_SLICES (GROUP_SIZE / SLICE)

// Two ones: a column of them adds up the rows.
#if DTYPE_F16
#define ONES 0x3c003c00u
#else
#define ONES 0x3f803f80u
#endif

// What a thread knows of its part of each slice.
typedef struct {
    u64 x, dy, dy_row;
    u32 height, width, tap_offset, is_channel, pixels_left;
    i32 down, right;
} slice_source;

// Copies part `step` of a slice, or zeros where there is none: of dy as it lies, of x where the places say.
DEVICE void copy_part(const slice_source* from, const int4* places, u32 stage, u32 step) {
    const u32 channel_row = LOCAL_ID / CHANNEL_CHUNKS, tap_row = LOCAL_ID / TAP_CHUNKS;
    UNROLL
    for (u32 i = step * CHANNEL_COPIES / SLICE_STEPS; i < (step + 1) * CHANNEL_COPIES / SLICE_STEPS; i++)
        copy_chunk(stage + place_across(channel_row + CHANNEL_STEP * i, LOCAL_ID % CHANNEL_CHUNKS, TILE_CHANNELS),
                   from->dy + from->dy_row * (CHANNEL_STEP * i),
                   from->is_channel && channel_row + CHANNEL_STEP * i < from->pixels_left);
    UNROLL
    for (u32 i = step * TAP_COPIES / SLICE_STEPS; i < (step + 1) * TAP_COPIES / SLICE_STEPS; i++) {
        const u32 row = tap_row + TAP_STEP * i;
        const int4 place = places[row];
        const u32 is_inside = row < from->pixels_left && (u32)(place.x + from->down) < from->height &&
                              (u32)(place.y + from->right) < from->width;
        copy_chunk(stage + CHANNEL_BYTES + place_across(row, LOCAL_ID % TAP_CHUNKS, TILE_TAPS),
                   from->x + (u64)((u32)place.z + from->tap_offset) * CHUNK_BYTES, is_inside);
    }
}

DEVICE void go_on(slice_source* from) {
    from->dy += SLICE * from->dy_row;
    from->pixels_left = from->pixels_left > SLICE ? from->pixels_left - SLICE : 0;
}

KERNEL void conv2d_backward_filter_mma(CONV2D_BACKWARD_FILTER_PARAMETERS) {
    extern SHARED uint4 stages[];
    // Where pixels see the image: row, column, offset.
    SHARED int4 places[PLACE_SLICES * SLICE];

    const u32 x_chunks = x_channels / CHUNK, y_chunks = y_channels / CHUNK;
    const u32 x_pixel = (u32)groups * x_chunks, y_pixel = (u32)groups * y_chunks;
    const u32 per_output = x_channels * filter_height * filter_width;

    const u32 warp = LOCAL_ID / 32, lane = LOCAL_ID % 32;
    const u32 warp_row = warp % WARPS_DOWN * WARP_ROWS, warp_column = warp / WARPS_DOWN * WARP_COLUMNS;
    const lane_places row_places = rows_across(warp_row, TILE_CHANNELS);
    const lane_places column_places = columns_across(warp_column, TILE_TAPS);
    const u32 memory = kept(shared_address(stages));

    const u32 pixel_count = (u32)batch * y_height * y_width;
    const u32 channel_tiles = (y_channels + TILE_CHANNELS - 1) / TILE_CHANNELS;
    const u32 tap_tiles = (per_output + TILE_TAPS - 1) / TILE_TAPS;
    const u32 tiles = channel_tiles * tap_tiles * (u32)groups * (u32)splits;
    const short_digits pixel_step = short_digits_of(PLACE_SLICES * SLICE, y_width, y_height);

    for (u32 tile = (u32)GROUP_ID; tile < tiles; tile += (u32)GROUP_COUNT) {
        const short_digits at = short_digits_of(tile, channel_tiles, tap_tiles);
        const u32 first_channel = at.low * TILE_CHANNELS, first_tap = at.middle * TILE_TAPS;
        const u32 split = at.high / (u32)groups, group = at.high - split * (u32)groups;
        const u32 first_pixel = split * (u32)pixels_per_split;
        const u32 left = first_pixel < pixel_count ? pixel_count - first_pixel : 0;
        const u32 pixels = left < pixels_per_split ? left : (u32)pixels_per_split;
        const u32 slices = kept((pixels + SLICE - 1) / SLICE);

        // The tap of this thread's column of the image's matrix.
        const u32 tap_chunk = first_tap / CHUNK + LOCAL_ID % TAP_CHUNKS;
        const short_digits tap = short_digits_of(tap_chunk, x_chunks, filter_width);
        slice_source from;
        from.down = tap_chunk * CHUNK < per_output ? (i32)(tap.high * dilation_y) : OUTSIDE;
        from.right = (i32)(tap.middle * dilation_x);
        from.tap_offset = kept(((u32)from.down * x_width + (u32)from.right) * x_pixel + tap.low);
        from.height = x_height, from.width = x_width;
        from.x = global_address(x + x_offset + (u64)group * x_channels);

        const u32 own_channel = LOCAL_ID % CHANNEL_CHUNKS;
        from.is_channel = first_channel / CHUNK + own_channel < y_chunks;
        from.dy_row = (u64)y_pixel * CHUNK_BYTES;
        from.dy = global_address(dy + dy_offset + (u64)group * y_channels + first_channel) + own_channel * CHUNK_BYTES +
                  (first_pixel + LOCAL_ID / CHANNEL_CHUNKS) * from.dy_row;
        from.pixels_left = pixels;

        short_digits pixel = short_digits_of(first_pixel + LOCAL_ID, y_width, y_height);
        float sums[4 * ROW_FRAGMENTS * COLUMN_FRAGMENTS] = {0}, bias_sums[4 * ROW_FRAGMENTS] = {0};
        const u32 adds_bias = has_bias && first_tap == 0 && warp_column == 0;

        // `turn` counts from the first slice that is copied; the products are behind.
        u32 stage = 0;
        for (u32 turn = 0; turn < slices + STAGES - 1; turn++) {
            if (turn >= STAGES - 1) WAIT_COPIES(STAGES - 2);
            BARRIER();
            // Half of the threads look up the pixels of the next slice; in the first turn all of them look up two.
            if (turn == 0 || (turn + 1) % PLACE_SLICES == LOCAL_ID / SLICE) {
                const i32 row = (i32)(pixel.middle * stride_y) - (i32)padding_top;
                const i32 column = (i32)(pixel.low * stride_x) - (i32)padding_left;
                const u32 offset = ((pixel.high * x_height + (u32)row) * x_width + (u32)column) * x_pixel;
                places[LOCAL_ID] = make_int4(row, column, (i32)offset, 0);
                pixel = short_sum_of(pixel, pixel_step, y_width, y_height);
            }
            if (turn == 0) BARRIER();
            const int4* own_places = places + turn % PLACE_SLICES * SLICE;
            const u32 target = memory + stage * STAGE_BYTES;
            stage = stage + 1 < STAGES ? stage + 1 : 0;
            if (turn < STAGES - 1) {
                UNROLL
                for (u32 step = 0; step < SLICE_STEPS; step++) copy_part(&from, own_places, target, step);
                COMMIT_COPIES();
                go_on(&from);
                continue;
            }
            // One piece of code, in which copies and products can take turns.
            const u32 own = memory + stage * STAGE_BYTES;
            UNROLL
            for (u32 step = 0; step < SLICE_STEPS; step++) {
                u32 rows[4 * ROW_FRAGMENTS], columns[2 * COLUMN_FRAGMENTS];
                load_across(own, row_places, TILE_CHANNELS, ROW_FRAGMENTS, step, rows);
                load_across(own + CHANNEL_BYTES, column_places, TILE_TAPS, COLUMN_FRAGMENTS / 2, step, columns);
                copy_part(&from, own_places, target, step);
                multiply_warp_tiles(sums, rows, columns);
                if (adds_bias) {
                    const u32 ones[2] = {ONES, ONES};
                    UNROLL
                    for (u32 i = 0; i < ROW_FRAGMENTS; i++) multiply_fragments(bias_sums + 4 * i, rows + 4 * i, ones);
                }
            }
            COMMIT_COPIES();
            go_on(&from);
        }

        // Of zeros, which no slice follows: the next tile's copies must not meet them.
        WAIT_COPIES(0);
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
