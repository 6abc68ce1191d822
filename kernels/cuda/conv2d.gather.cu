// Convolution with channels last, and its gradient by the input, on tensor cores: the implicit matrix product of
// portable/conv2d.cl (LeCun et al., 1998) with pixels as rows and channels of the result as columns, sums in float.
// Channels of a group come in eights, all tensors but the bias lie on 16 bytes, and a filter has at most 32 rows and
// columns together.
//
//   conv2d_gather_mma   y from x; with BACKWARD dx from dy, which takes together the x that meet the same taps; 128
//                       pixels x 128 channels a tile, or without WIDE 64; sums over chunks of taps in their order

#define CHANNELS_LAST 1

#include "types.h"
#include "im2col.h"
#include "cuda/mma.h"

#define TILE_PIXELS   (2 * WARP_ROWS)
#define TILE_CHANNELS (2 * WARP_COLUMNS)

// Chunks of a slice that a thread copies: of its own column of the image's tile, and of the filter's.
#define PIXEL_CHUNKS  (TILE_PIXELS * SLICE_CHUNKS / GROUP_SIZE)
#define FILTER_CHUNKS (TILE_CHANNELS * SLICE_CHUNKS / GROUP_SIZE)
#define ROW_STEP      (GROUP_SIZE / SLICE_CHUNKS)

#define PIXEL_BYTES (TILE_PIXELS * SLICE * 2)
#define STAGE_BYTES (PIXEL_BYTES + TILE_CHANNELS * SLICE * 2)

// Chunks of a row of the filter's tile, and rows that are copied at a time, where it lies across the depth.
#define ROW_CHUNKS  (TILE_CHANNELS / CHUNK)
#define FILTER_STEP (GROUP_SIZE / ROW_CHUNKS)

// Words of a row of results on their way out; four more than it has, for the banks.
#define RESULT_PITCH (TILE_CHANNELS / 2 + 4)

// What a thread knows of its part of each slice. A tap is a bit of a mask for its row and one for its column.
typedef struct {
    u64 image, filter, filter_step;
    u32 offsets[PIXEL_CHUNKS], masks[PIXEL_CHUNKS];
    u32 image_chunks, image_row, image_pixel, taps_y, taps_x;
    i32 tap_step_y, tap_step_x;
    u32 filter_first, filter_step_y, filter_step_x, area, result_chunks, filter_rest, is_column, rows_left;
    short_digits tap, tap_step;
} slice_source;

// Copies part `step` of a slice, or zeros where there is none.
DEVICE void copy_part(const slice_source* from, u32 stage, u32 own_place, u32 step, u32 is_slice) {
    const short_digits tap = from->tap;
    const u32 is_tap = is_slice && tap.high < from->taps_y;
    const u32 mask = 1u << (tap.high & 31) | 1u << (from->taps_y + tap.middle & 31);
    const u32 offset = (u32)((i32)tap.high * from->tap_step_y) * from->image_row +
                       (u32)((i32)tap.middle * from->tap_step_x) * from->image_pixel + tap.low;
    UNROLL
    for (u32 i = step * PIXEL_CHUNKS / SLICE_STEPS; i < (step + 1) * PIXEL_CHUNKS / SLICE_STEPS; i++)
        copy_chunk(stage + own_place + 2 * SLICE * ROW_STEP * i,
                   from->image + (u64)(from->offsets[i] + offset) * CHUNK_BYTES,
                   is_tap && (from->masks[i] & mask) == mask);
#if BACKWARD
    // Each eight channels of dy at a tap are eight rows of the filter, which other threads have in hand.
    const u32 place = from->filter_first + tap.high * from->filter_step_y + tap.middle * from->filter_step_x;
    const u32 own_filter = is_tap ? (tap.low * CHUNK * from->area + place) * from->result_chunks : ~0u;
    const u32 chunk = LOCAL_ID % ROW_CHUNKS;
    UNROLL
    for (u32 i = step * FILTER_CHUNKS / SLICE_STEPS; i < (step + 1) * FILTER_CHUNKS / SLICE_STEPS; i++) {
        const u32 row = LOCAL_ID / ROW_CHUNKS + FILTER_STEP * i;
        const u32 first = __shfl_sync(~0u, own_filter, row / CHUNK);
        copy_chunk(stage + PIXEL_BYTES + place_across(row, chunk, TILE_CHANNELS),
                   from->filter + (u64)(first + from->filter_rest) * CHUNK_BYTES, from->is_column && first != ~0u);
    }
#else
    const u32 own_row = LOCAL_ID / SLICE_CHUNKS;
    UNROLL
    for (u32 i = step * FILTER_CHUNKS / SLICE_STEPS; i < (step + 1) * FILTER_CHUNKS / SLICE_STEPS; i++)
        copy_chunk(stage + PIXEL_BYTES + own_place + 2 * SLICE * ROW_STEP * i, from->filter + from->filter_step * i,
                   is_tap && own_row + ROW_STEP * i < from->rows_left);
#endif
}

DEVICE void go_on(slice_source* from) {
    from->tap = short_sum_of(from->tap, from->tap_step, from->image_chunks, from->taps_x);
#if !BACKWARD
    from->filter += SLICE_CHUNKS * CHUNK_BYTES;
#endif
}

KERNEL void conv2d_gather_mma(CONV2D_GATHER_PARAMETERS) {
    extern SHARED uint4 stages[];
    SHARED gather_axis axes[2];
    SHARED u32 pixel_offsets[TILE_PIXELS], pixel_masks[TILE_PIXELS], pixel_results[TILE_PIXELS];

    // All offsets are in chunks; those of pixels outside wrap around, and with that of a tap inside they are right.
    const u32 channels = BACKWARD ? x_channels : y_channels, result_chunks = channels / CHUNK;
    const u32 height = BACKWARD ? y_height : x_height, width = BACKWARD ? y_width : x_width;
    const u32 result_height = BACKWARD ? x_height : y_height, result_width = BACKWARD ? x_width : y_width;
    slice_source from;
    from.image_chunks = kept((BACKWARD ? y_channels : x_channels) / CHUNK);
    from.image_pixel = kept((u32)groups * from.image_chunks), from.image_row = kept(width * from.image_pixel);
    from.area = filter_height * filter_width, from.result_chunks = result_chunks;
    const u32 result_pixel = (u32)groups * result_chunks;

    const u32 warp = LOCAL_ID / 32, lane = LOCAL_ID % 32;
    const u32 warp_row = warp / 2 * WARP_ROWS, warp_column = warp % 2 * WARP_COLUMNS;
    const u32 own_chunk = LOCAL_ID % SLICE_CHUNKS, own_row = LOCAL_ID / SLICE_CHUNKS;
    const u32 own_place = kept(place_along(own_row, own_chunk)), row_place = rows_along(warp_row);
#if BACKWARD
    const lane_places column_places = columns_across(warp_column, TILE_CHANNELS);
#else
    const u32 column_place = columns_along(warp_column);
#endif
    const u32 memory = kept(shared_address(stages));

    // Each phase along an axis has at most as many results as the first.
    const u32 phases_y = BACKWARD ? (stride_y < x_height ? stride_y : x_height) : 1;
    const u32 phases_x = BACKWARD ? (stride_x < x_width ? stride_x : x_width) : 1;
    const u32 most_rows = BACKWARD ? (x_height + stride_y - 1) / stride_y : y_height;
    const u32 most_columns = BACKWARD ? (x_width + stride_x - 1) / stride_x : y_width;
    const u32 channel_tiles = (channels + TILE_CHANNELS - 1) / TILE_CHANNELS;
    const u32 pixel_tiles = ((u32)batch * most_rows * most_columns + TILE_PIXELS - 1) / TILE_PIXELS;
    const u32 phases = phases_y * phases_x, tiles = channel_tiles * (u32)groups * phases * pixel_tiles;

    for (u32 tile = (u32)GROUP_ID; tile < tiles; tile += (u32)GROUP_COUNT) {
        // Tiles of the same pixels are neighbours, so that all but one find them in a cache.
        const short_digits at = short_digits_of(tile, channel_tiles, (u32)groups);
        const u32 first_channel = at.low * TILE_CHANNELS, group = at.middle;
        const u32 pixel_tile = at.high / phases, phase = at.high - pixel_tile * phases;
        if (LOCAL_ID == 0)
            axes[0] = BACKWARD
                          ? backward_axis(x_height, filter_height, stride_y, dilation_y, padding_top, phase / phases_x)
                          : forward_axis(y_height, filter_height, stride_y, dilation_y, padding_top);
        if (LOCAL_ID == 32)
            axes[1] = BACKWARD
                          ? backward_axis(x_width, filter_width, stride_x, dilation_x, padding_left, phase % phases_x)
                          : forward_axis(y_width, filter_width, stride_x, dilation_x, padding_left);
        BARRIER();
        const gather_axis vertical = axes[0], horizontal = axes[1];
        const u32 first_pixel = pixel_tile * TILE_PIXELS;
        const u32 pixel_count = (u32)batch * vertical.results * horizontal.results;

        // A row of the tile for each thread: where it sees the image, and by which rows and columns of the filter.
        u32 first = 0, mask = 0, to = 0;
        if (first_pixel + LOCAL_ID < pixel_count) {
            const short_digits pixel = short_digits_of(first_pixel + LOCAL_ID, horizontal.results, vertical.results);
            const i32 y = (i32)pixel.middle * vertical.step + vertical.first;
            const i32 x = (i32)pixel.low * horizontal.step + horizontal.first;
            for (u32 i = 0; i < vertical.taps; i++) mask |= (u32)((u32)(y + (i32)i * vertical.tap_step) < height) << i;
            for (u32 i = 0; i < horizontal.taps; i++)
                mask |= (u32)((u32)(x + (i32)i * horizontal.tap_step) < width) << (vertical.taps + i);
            first = ((pixel.high * height + (u32)y) * width + (u32)x) * from.image_pixel;
            to = ((pixel.high * result_height + vertical.result_first + pixel.middle * vertical.result_step) *
                      result_width +
                  horizontal.result_first + pixel.low * horizontal.result_step) *
                 result_pixel;
        }
        pixel_offsets[LOCAL_ID] = first, pixel_masks[LOCAL_ID] = mask, pixel_results[LOCAL_ID] = to;
        BARRIER();

        UNROLL
        for (u32 i = 0; i < PIXEL_CHUNKS; i++) {
            from.offsets[i] = pixel_offsets[own_row + ROW_STEP * i];
            from.masks[i] = pixel_masks[own_row + ROW_STEP * i];
        }
        from.taps_y = vertical.taps, from.taps_x = horizontal.taps > 0 ? horizontal.taps : 1;
        from.tap_step_y = vertical.tap_step, from.tap_step_x = horizontal.tap_step;
        from.tap_step = short_digits_of(SLICE_CHUNKS, from.image_chunks, from.taps_x);
        from.tap = short_digits_of(own_chunk, from.image_chunks, from.taps_x);
        const u32 depth = from.image_chunks * vertical.taps * horizontal.taps;
        const u32 slices = kept((depth + SLICE_CHUNKS - 1) / SLICE_CHUNKS);
        from.image = global_address(image + image_offset + (u64)group * from.image_chunks * CHUNK);
        from.filter = global_address(filter + filter_offset + (u64)group * y_channels * from.area * x_channels);
#if BACKWARD
        const u32 own_filter = first_channel / CHUNK + LOCAL_ID % ROW_CHUNKS;
        from.filter_first = vertical.filter_first * filter_width + horizontal.filter_first;
        from.filter_step_y = vertical.filter_step * filter_width, from.filter_step_x = horizontal.filter_step;
        from.filter_rest = LOCAL_ID / ROW_CHUNKS % CHUNK * from.area * result_chunks + own_filter;
        from.is_column = own_filter < result_chunks;
#else
        from.filter += ((u64)(first_channel + own_row) * depth + own_chunk) * CHUNK_BYTES;
        from.filter_step = (u64)ROW_STEP * depth * CHUNK_BYTES;
        from.rows_left = channels - first_channel;
#endif

        float sums[4 * ROW_FRAGMENTS * COLUMN_FRAGMENTS] = {0};
        for (u32 slice = 0; slice < STAGES - 1; slice++) {
            UNROLL
            for (u32 step = 0; step < SLICE_STEPS; step++)
                copy_part(&from, memory + slice * STAGE_BYTES, own_place, step, slice < slices);
            COMMIT_COPIES();
            go_on(&from);
        }
        u32 stage = 0, next = STAGES - 1;
        for (u32 slice = 0; slice < slices; slice++) {
            WAIT_COPIES(STAGES - 2);
            BARRIER();
            // One piece of code, in which copies and products can take turns.
            const u32 own = memory + stage * STAGE_BYTES, target = memory + next * STAGE_BYTES;
            UNROLL
            for (u32 step = 0; step < SLICE_STEPS; step++) {
                u32 rows[4 * ROW_FRAGMENTS], columns[2 * COLUMN_FRAGMENTS];
                load_along(own, row_place, ROW_FRAGMENTS, step, rows);
#if BACKWARD
                load_across(own + PIXEL_BYTES, column_places, TILE_CHANNELS, COLUMN_FRAGMENTS / 2, step, columns);
#else
                load_along(own + PIXEL_BYTES, column_place, COLUMN_FRAGMENTS / 2, step, columns);
#endif
                copy_part(&from, target, own_place, step, slice + STAGES - 1 < slices);
                multiply_warp_tiles(sums, rows, columns);
            }
            COMMIT_COPIES();
            go_on(&from);
            next = stage;
            stage = stage + 1 < STAGES ? stage + 1 : 0;
        }

        // Through shared memory, so that the results of a pixel go out together.
        WAIT_COPIES(0);
        BARRIER();
        u32* results = (u32*)stages;
        const u32 own_column = warp_column + lane % 4 * 2;
        u32* own_results = results + (warp_row + lane / 4) * RESULT_PITCH + own_column / 2;
        const scalar* own_bias = bias + bias_offset + (u64)group * channels + first_channel + own_column;
        const float least = has_relu ? 0 : NEGATIVE_INFINITY;
        UNROLL
        for (u32 j = 0; j < COLUMN_FRAGMENTS; j++) {
            float added[2] = {0, 0};
            if (has_bias && first_channel + own_column + 8 * j < channels)
                added[0] = load(own_bias, 8 * j), added[1] = load(own_bias, 8 * j + 1);
            UNROLL
            for (u32 part = 0; part < 2 * ROW_FRAGMENTS; part++) {
                const float* own = sums + 4 * (COLUMN_FRAGMENTS * (part / 2) + j) + part % 2 * 2;
                own_results[8 * part * RESULT_PITCH + 4 * j] =
                    to_pair(at_least(own[0] + added[0], least), at_least(own[1] + added[1], least));
            }
        }
        BARRIER();
        // The next tile's first barrier ends all use of shared memory here.
        scalar* group_result = result + result_offset + (u64)group * channels;
        for (u32 item = LOCAL_ID; item < TILE_PIXELS * ROW_CHUNKS; item += GROUP_SIZE) {
            const u32 row = item / ROW_CHUNKS, chunk = item % ROW_CHUNKS;
            if (first_pixel + row >= pixel_count || first_channel / CHUNK + chunk >= result_chunks) continue;
            const uint4 values = *(const uint4*)(results + row * RESULT_PITCH + chunk * 4);
            const u32 pairs[4] = {values.x, values.y, values.z, values.w};
            store8_u16(group_result + (u64)(pixel_results[row] + first_channel / CHUNK + chunk) * CHUNK, pairs);
        }
    }
}
