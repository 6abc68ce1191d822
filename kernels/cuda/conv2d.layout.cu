// Maps in the layout of the convolution on tensor cores, and back: channels last, those of each group filled up with
// zeros to eights. A filter is maps, too: a map for each output, whose pixels are its places.
//
//   conv2d_pack     from channels first or last; 64 pixels x 64 channels a tile, with NARROW 512 x 8
//   conv2d_unpack   to channels first or last

#include "types.h"

#define TILE_CHANNELS (NARROW ? 8 : 64)
#define TILE_PIXELS   (4096 / TILE_CHANNELS)
#define TILE_CHUNKS   (TILE_CHANNELS / 8)
#define ITEM_PAIRS    (TILE_PIXELS * TILE_CHANNELS / 2 / GROUP_SIZE)

// Words of a pixel in a tile; one more than it has, so that neighbouring pixels are on different banks.
#define PITCH (TILE_CHANNELS / 2 + 1)

// Maps and channels of a group, and how many they are with the zeros. Pairs of pixels are words where `has_pairs`.
#define CONV2D_PACKING_PARAMETERS                                                                         \
    u32 map_groups, u32 maps, u32 packed_maps, u32 groups, u32 channels, u32 packed_channels, u32 pixels, \
        u32 channels_last, u32 has_pairs

typedef struct {
    u32 first_channel, first_pixel, group, is_map;
    u64 map, packed_map;
} tile_place;

DEVICE u32 tiles_of(CONV2D_PACKING_PARAMETERS) {
    return (packed_channels + TILE_CHANNELS - 1) / TILE_CHANNELS * groups * ((pixels + TILE_PIXELS - 1) / TILE_PIXELS) *
           map_groups * packed_maps;
}

DEVICE tile_place place_of_tile(u32 tile, u32 maps, u32 packed_maps, u32 groups, u32 packed_channels, u32 pixels) {
    tile_place place;
    const u32 channel_tiles = (packed_channels + TILE_CHANNELS - 1) / TILE_CHANNELS;
    const u32 pixel_tiles = (pixels + TILE_PIXELS - 1) / TILE_PIXELS;
    u32 rest = tile / channel_tiles;
    place.first_channel = (tile - rest * channel_tiles) * TILE_CHANNELS;
    place.group = rest % groups;
    rest /= groups;
    place.packed_map = rest / pixel_tiles;
    place.first_pixel = (rest - (u32)place.packed_map * pixel_tiles) * TILE_PIXELS;
    const u32 map_group = (u32)place.packed_map / packed_maps, map = (u32)place.packed_map - map_group * packed_maps;
    place.map = (u64)map_group * maps + map;
    place.is_map = map < maps;
    return place;
}

KERNEL void conv2d_pack(GLOBAL const u16* RESTRICT source, u64 source_offset, GLOBAL u16* RESTRICT target,
                        u64 target_offset, CONV2D_PACKING_PARAMETERS) {
    SHARED u32 tile_words[TILE_PIXELS * PITCH];
    u16* elements = (u16*)tile_words;
    const u32 tiles =
        tiles_of(map_groups, maps, packed_maps, groups, channels, packed_channels, pixels, channels_last, has_pairs);
    for (u32 tile = (u32)GROUP_ID; tile < tiles; tile += (u32)GROUP_COUNT) {
        const tile_place at = place_of_tile(tile, maps, packed_maps, groups, packed_channels, pixels);
        const u64 map_start = at.map * pixels * groups * channels;
        u32 pairs[ITEM_PAIRS];
        UNROLL
        for (u32 i = 0; i < ITEM_PAIRS; i++) {
            const u32 item = LOCAL_ID + GROUP_SIZE * i;
            u32 low = 0, high = 0;
            if (channels_last) {
                const u32 pixel = at.first_pixel + item / (TILE_CHANNELS / 2);
                const u32 channel = at.first_channel + item % (TILE_CHANNELS / 2) * 2;
                const u16* from = source + source_offset + map_start + ((u64)pixel * groups + at.group) * channels;
                if (at.is_map && pixel < pixels) {
                    if (channel < channels) low = from[channel];
                    if (channel + 1 < channels) high = from[channel + 1];
                }
            } else {
                const u32 channel = at.first_channel + item / (TILE_PIXELS / 2);
                const u32 pixel = at.first_pixel + item % (TILE_PIXELS / 2) * 2;
                const u16* from =
                    source + source_offset + map_start + ((u64)at.group * channels + channel) * pixels + pixel;
                if (at.is_map && channel < channels) {
                    if (has_pairs) {
                        if (pixel < pixels) low = *(const u32*)from, high = low >> 16;
                    } else {
                        if (pixel < pixels) low = from[0];
                        if (pixel + 1 < pixels) high = from[1];
                    }
                }
            }
            pairs[i] = (low & 0xffff) | high << 16;
        }
        UNROLL
        for (u32 i = 0; i < ITEM_PAIRS; i++) {
            const u32 item = LOCAL_ID + GROUP_SIZE * i;
            if (channels_last) {
                tile_words[item / (TILE_CHANNELS / 2) * PITCH + item % (TILE_CHANNELS / 2)] = pairs[i];
            } else {
                const u32 channel = item / (TILE_PIXELS / 2), pixel = item % (TILE_PIXELS / 2) * 2;
                elements[pixel * (2 * PITCH) + channel] = (u16)pairs[i];
                elements[(pixel + 1) * (2 * PITCH) + channel] = (u16)(pairs[i] >> 16);
            }
        }
        BARRIER();
        for (u32 item = LOCAL_ID; item < TILE_PIXELS * TILE_CHUNKS; item += GROUP_SIZE) {
            const u32 row = item / TILE_CHUNKS, chunk = item % TILE_CHUNKS;
            const u32 channel = at.first_channel + 8 * chunk;
            if (at.first_pixel + row >= pixels || channel >= packed_channels) continue;
            u32 words[4];
            for (u32 e = 0; e < 4; e++) words[e] = tile_words[row * PITCH + 4 * chunk + e];
            const u64 to = ((at.packed_map * pixels + at.first_pixel + row) * groups + at.group) * packed_channels;
            store8_u16(target + target_offset + to + channel, words);
        }
        BARRIER();
    }
}

KERNEL void conv2d_unpack(GLOBAL const u16* RESTRICT source, u64 source_offset, GLOBAL u16* RESTRICT target,
                          u64 target_offset, CONV2D_PACKING_PARAMETERS) {
    SHARED u32 tile_words[TILE_PIXELS * PITCH];
    const u16* elements = (const u16*)tile_words;
    const u32 tiles =
        tiles_of(map_groups, maps, packed_maps, groups, channels, packed_channels, pixels, channels_last, has_pairs);
    for (u32 tile = (u32)GROUP_ID; tile < tiles; tile += (u32)GROUP_COUNT) {
        const tile_place at = place_of_tile(tile, maps, packed_maps, groups, packed_channels, pixels);
        if (!at.is_map) continue;
        const u64 map_start = at.map * pixels * groups * channels;
        UNROLL
        for (u32 i = 0; i < TILE_PIXELS * TILE_CHUNKS / GROUP_SIZE; i++) {
            const u32 item = LOCAL_ID + GROUP_SIZE * i, row = item / TILE_CHUNKS, chunk = item % TILE_CHUNKS;
            const u32 channel = at.first_channel + 8 * chunk;
            u32 words[4] = {0};
            const u64 from = ((at.packed_map * pixels + at.first_pixel + row) * groups + at.group) * packed_channels;
            if (at.first_pixel + row < pixels && channel < packed_channels)
                load8_u16(source + source_offset + from + channel, words);
            for (u32 e = 0; e < 4; e++) tile_words[row * PITCH + 4 * chunk + e] = words[e];
        }
        BARRIER();
        for (u32 item = LOCAL_ID; item < TILE_PIXELS * TILE_CHANNELS / 2; item += GROUP_SIZE) {
            if (channels_last) {
                const u32 row = item / (TILE_CHANNELS / 2), column = item % (TILE_CHANNELS / 2);
                const u32 pixel = at.first_pixel + row, channel = at.first_channel + 2 * column;
                const u32 word = tile_words[row * PITCH + column];
                u16* to = target + target_offset + map_start + ((u64)pixel * groups + at.group) * channels + channel;
                if (pixel < pixels && channel < channels) to[0] = (u16)word;
                if (pixel < pixels && channel + 1 < channels) to[1] = (u16)(word >> 16);
            } else {
                const u32 column = item / (TILE_PIXELS / 2), row = item % (TILE_PIXELS / 2) * 2;
                const u32 channel = at.first_channel + column, pixel = at.first_pixel + row;
                const u16 low = elements[row * (2 * PITCH) + column], high = elements[(row + 1) * (2 * PITCH) + column];
                u16* to = target + target_offset + map_start + ((u64)at.group * channels + channel) * pixels + pixel;
                if (channel >= channels || pixel >= pixels) continue;
                if (has_pairs) {
                    *(u32*)to = low | (u32)high << 16;
                } else {
                    to[0] = low;
                    if (pixel + 1 < pixels) to[1] = high;
                }
            }
        }
        BARRIER();
    }
}
