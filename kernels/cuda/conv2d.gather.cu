// Convolution with channels last, and its gradient by the input, on tensor cores: the implicit matrix product of
// portable/conv2d.cl (LeCun et al., 1998) with pixels as rows and channels of the result as columns, sums in float.
// Channels of a group come in eights, and all tensors but the bias lie on 16 bytes.
//
//   conv2d_gather_mma   y from x; with BACKWARD dx from dy, which takes together the x that meet the same taps; 128
//                       pixels x 128 channels a tile, or without WIDE 256 x 64; sums over chunks of taps in their order

#define CHANNELS_LAST 1

#include "types.h"
#include "im2col.h"
#include "cuda/mma.h"

#define WARP_COLUMNS  (WIDE ? 2 : 1)
#define TILE_PIXELS   (4 / WARP_COLUMNS * WARP_TILE)
#define TILE_CHANNELS (WARP_COLUMNS * WARP_TILE)

// Chunks of a slice that a thread copies: of its own column of the image's tile, and of the filter's.
#define PIXEL_CHUNKS  (TILE_PIXELS * SLICE_CHUNKS / GROUP_SIZE)
#define FILTER_CHUNKS (TILE_CHANNELS * SLICE_CHUNKS / GROUP_SIZE)
#define ROW_STEP      (GROUP_SIZE / SLICE_CHUNKS)

#define PIXEL_BYTES (TILE_PIXELS * SLICE * 2)
#define STAGE_BYTES (PIXEL_BYTES + TILE_CHANNELS * SLICE * 2)

// Words of a row of results on their way out; four more than it has, for the banks.
#define RESULT_PITCH (TILE_CHANNELS / 2 + 4)

KERNEL void conv2d_gather_mma(CONV2D_GATHER_PARAMETERS) {
    extern SHARED uint4 stages[];
    SHARED gather_axis axes[2];
    SHARED u32 pixel_offsets[TILE_PIXELS], pixel_results[TILE_PIXELS];
    SHARED i32 pixel_ys[TILE_PIXELS], pixel_xs[TILE_PIXELS];

    // All offsets are in chunks; those of pixels outside wrap around, and with that of a tap inside they are right.
    const u32 image_chunks = (BACKWARD ? y_channels : x_channels) / CHUNK;
    const u32 channels = BACKWARD ? x_channels : y_channels, result_chunks = channels / CHUNK;
    const u32 height = BACKWARD ? y_height : x_height, width = BACKWARD ? y_width : x_width;
    const u32 result_height = BACKWARD ? x_height : y_height, result_width = BACKWARD ? x_width : y_width;
    const u32 image_pixel = kept((u32)groups * image_chunks), result_pixel = (u32)groups * result_chunks;
    const u32 area = filter_height * filter_width;

    const u32 warp = LOCAL_ID / 32, lane = LOCAL_ID % 32;
    const u32 warp_row = warp / WARP_COLUMNS * WARP_TILE, warp_column = warp % WARP_COLUMNS * WARP_TILE;
    const u32 own_chunk = LOCAL_ID % SLICE_CHUNKS, own_row = LOCAL_ID / SLICE_CHUNKS;
    const u32 own_place = kept(place_along(own_row, own_chunk));
    const lane_places row_places = rows_along(warp_row);
#if BACKWARD
    const lane_places column_places = columns_across(warp_column, TILE_CHANNELS);
#else
    const lane_places column_places = columns_along(warp_column);
#endif
    const u32 memory = shared_address(stages);

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

        for (u32 row = LOCAL_ID; row < TILE_PIXELS; row += GROUP_SIZE) {
            i32 y = OUTSIDE, x = 0;
            u32 from = 0, to = 0;
            if (first_pixel + row < pixel_count) {
                const short_digits pixel = short_digits_of(first_pixel + row, horizontal.results, vertical.results);
                y = (i32)pixel.middle * vertical.step + vertical.first;
                x = (i32)pixel.low * horizontal.step + horizontal.first;
                from = ((pixel.high * height + (u32)y) * width + (u32)x) * image_pixel;
                to = ((pixel.high * result_height + vertical.result_first + pixel.middle * vertical.result_step) *
                          result_width +
                      horizontal.result_first + pixel.low * horizontal.result_step) *
                     result_pixel;
            }
            pixel_ys[row] = y, pixel_xs[row] = x;
            pixel_offsets[row] = from, pixel_results[row] = to;
        }
        BARRIER();

        const u32 taps_x = horizontal.taps > 0 ? horizontal.taps : 1;
        const u32 depth = image_chunks * vertical.taps * horizontal.taps;
        const u32 slices = kept((depth + SLICE_CHUNKS - 1) / SLICE_CHUNKS);
        const short_digits tap_step = short_digits_of(SLICE_CHUNKS, image_chunks, taps_x);
        short_digits tap = short_digits_of(own_chunk, image_chunks, taps_x);
        const u64 group_image = global_address(image + image_offset + (u64)group * image_chunks * CHUNK);
        const u64 group_filter = global_address(filter + filter_offset + (u64)group * y_channels * area * x_channels);

        u32 offsets[PIXEL_CHUNKS];
        i32 ys[PIXEL_CHUNKS], xs[PIXEL_CHUNKS];
        UNROLL
        for (u32 i = 0; i < PIXEL_CHUNKS; i++) {
            const u32 row = own_row + ROW_STEP * i;
            offsets[i] = pixel_offsets[row], ys[i] = pixel_ys[row], xs[i] = pixel_xs[row];
        }
#if BACKWARD
        const u32 row_chunks = TILE_CHANNELS / CHUNK, chunk = LOCAL_ID % row_chunks, filter_row = LOCAL_ID / row_chunks;
        const u32 filter_rest = filter_row % CHUNK * area * result_chunks + first_channel / CHUNK + chunk;
        const u32 is_column = first_channel / CHUNK + chunk < result_chunks;
#else
        const u32 rows_left = channels - first_channel;
        u64 filter_from = group_filter + ((u64)(first_channel + own_row) * depth + own_chunk) * CHUNK_BYTES;
        const u64 filter_step = (u64)ROW_STEP * depth * CHUNK_BYTES;
#endif

        float sums[4 * ROW_FRAGMENTS * COLUMN_FRAGMENTS] = {0};
        for (u32 slice = 0; slice < slices + STAGES - 1; slice++) {
            if (slice >= STAGES - 1) {
                WAIT_COPIES(STAGES - 2);
                BARRIER();
            }
            if (slice < slices) {
                const u32 stage = memory + slice % STAGES * STAGE_BYTES;
                const u32 is_tap = tap.high < vertical.taps;
                const i32 down = is_tap ? (i32)tap.high * vertical.tap_step : OUTSIDE;
                const i32 right = (i32)tap.middle * horizontal.tap_step;
                const u32 tap_offset = ((u32)down * width + (u32)right) * image_pixel + tap.low;
                UNROLL
                for (u32 i = 0; i < PIXEL_CHUNKS; i++) {
                    const u32 is_inside = (u32)(ys[i] + down) < height && (u32)(xs[i] + right) < width;
                    copy_chunk(stage + own_place + 2 * SLICE * ROW_STEP * i,
                               group_image + (u64)(offsets[i] + tap_offset) * CHUNK_BYTES, is_inside);
                }
#if BACKWARD
                // Each eight channels of dy at a tap are eight rows of the filter, which other threads have in hand.
                const u32 place = (vertical.filter_first + tap.high * vertical.filter_step) * filter_width +
                                  horizontal.filter_first + tap.middle * horizontal.filter_step;
                const u32 own_filter = is_tap ? (tap.low * CHUNK * area + place) * result_chunks : ~0u;
                UNROLL
                for (u32 i = 0; i < FILTER_CHUNKS; i++) {
                    const u32 row = filter_row + GROUP_SIZE / row_chunks * i;
                    const u32 first = __shfl_sync(~0u, own_filter, row / CHUNK);
                    copy_chunk(stage + PIXEL_BYTES + place_across(row, chunk, TILE_CHANNELS),
                               group_filter + (u64)(first + filter_rest) * CHUNK_BYTES, is_column && first != ~0u);
                }
#else
                UNROLL
                for (u32 i = 0; i < FILTER_CHUNKS; i++)
                    copy_chunk(stage + PIXEL_BYTES + own_place + 2 * SLICE * ROW_STEP * i,
                               filter_from + filter_step * i, is_tap && own_row + ROW_STEP * i < rows_left);
                filter_from += SLICE_CHUNKS * CHUNK_BYTES;
#endif
                tap = short_sum_of(tap, tap_step, image_chunks, taps_x);
            }
            COMMIT_COPIES();
            if (slice < STAGES - 1) continue;

            const u32 stage = memory + (slice - (STAGES - 1)) % STAGES * STAGE_BYTES;
            UNROLL
            for (u32 half = 0; half < 2; half++) {
                u32 rows[4 * ROW_FRAGMENTS], columns[2 * COLUMN_FRAGMENTS];
                load_along(stage, row_places, half, rows);
#if BACKWARD
                load_across(stage + PIXEL_BYTES, column_places, TILE_CHANNELS, half, columns);
#else
                load_along(stage + PIXEL_BYTES, column_places, half, columns);
#endif
                multiply_warp_tiles(sums, rows, columns);
            }
        }

        // Through shared memory, so that the results of a pixel go out together.
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
        for (u32 item = LOCAL_ID; item < TILE_PIXELS * TILE_CHANNELS / CHUNK; item += GROUP_SIZE) {
            const u32 row = item / (TILE_CHANNELS / CHUNK), chunk = item % (TILE_CHANNELS / CHUNK);
            if (first_pixel + row >= pixel_count || first_channel / CHUNK + chunk >= result_chunks) continue;
            const uint4 values = *(const uint4*)(results + row * RESULT_PITCH + chunk * 4);
            const u32 pairs[4] = {values.x, values.y, values.z, values.w};
            store8_u16(group_result + (u64)(pixel_results[row] + first_channel / CHUNK + chunk) * CHUNK, pairs);
        }
    }
}
