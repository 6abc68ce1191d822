// Maps in the layout of the convolution on tensor cores, and back: channels last, those of each group filled up with
// zeros to eights. A filter is maps, too: a map for each output, whose pixels are its places.
//
//   conv2d_pack     from channels first or last; 4096 elements a tile, of 2^channel_bits channels
//   conv2d_unpack   to channels first or last

#include "types.h"

// Loads of many groups hide each other.
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS 4

// Elements of a tile, and pairs of them and chunks of eight that a thread moves.
#define TILE_BITS   12
#define ITEM_PAIRS  ((1 << TILE_BITS) / 2 / GROUP_SIZE)
#define ITEM_CHUNKS ((1 << TILE_BITS) / 8 / GROUP_SIZE)

// A pixel has one word more than its channels take, so that neighbours are on different banks; 512 pixels of 8 channels
// take most.
#define TILE_WORDS ((1 << TILE_BITS) / 2 + (1 << TILE_BITS) / 8)

// Maps and channels of a group, and how many they are with the zeros. Pairs of neighbours that are read, or of pixels
// that are written, are words where `has_pairs`.
#define CONV2D_PACKING_PARAMETERS                                                                         \
    u32 map_groups, u32 maps, u32 packed_maps, u32 groups, u32 channels, u32 packed_channels, u32 pixels, \
        u32 channels_last, u32 has_pairs, u32 channel_bits

typedef struct {
    u32 first_channel, first_pixel, group, is_map;
    u64 map, packed_map;
} tile_place;

DEVICE u32 tiles_of(u32 count, u32 bits) { return (count + (1u << bits) - 1) >> bits; }

DEVICE tile_place place_of_tile(u32 tile, u32 maps, u32 packed_maps, u32 groups, u32 packed_channels, u32 pixels,
                                u32 channel_bits) {
    tile_place place;
    const u32 pixel_bits = TILE_BITS - channel_bits, channel_tiles = tiles_of(packed_channels, channel_bits);
    const u32 pixel_tiles = tiles_of(pixels, pixel_bits), rest = tile / channel_tiles, unit = rest / groups;
    place.first_channel = (tile - rest * channel_tiles) << channel_bits;
    place.group = rest - unit * groups;
    place.packed_map = unit / pixel_tiles;
    place.first_pixel = (unit - (u32)place.packed_map * pixel_tiles) << pixel_bits;
    const u32 map_group = (u32)place.packed_map / packed_maps, map = (u32)place.packed_map - map_group * packed_maps;
    place.map = (u64)map_group * maps + map;
    place.is_map = map < maps;
    return place;
}

// Where an item stands in a tile, and in the words of it.
typedef struct {
    u32 pixel, channel, word;
} item_place;

DEVICE item_place place_of_item(u32 pixel, u32 channel, u32 channel_bits) {
    item_place place;
    place.pixel = pixel, place.channel = channel;
    place.word = pixel * ((1u << (channel_bits - 1)) + 1) + channel / 2;
    return place;
}

// A pair: neighbouring channels of a pixel, or neighbouring pixels of a channel.
DEVICE item_place place_of_pair(u32 i, u32 channels_last, u32 channel_bits) {
    const u32 item = LOCAL_ID + GROUP_SIZE * i;
    const u32 bits = channels_last ? channel_bits - 1 : TILE_BITS - 1 - channel_bits;
    const u32 high = item >> bits, low = (item & ((1u << bits) - 1)) * 2;
    return channels_last ? place_of_item(high, low, channel_bits) : place_of_item(low, high, channel_bits);
}

DEVICE item_place place_of_chunk(u32 i, u32 channel_bits) {
    const u32 item = LOCAL_ID + GROUP_SIZE * i, bits = channel_bits - 3;
    return place_of_item(item >> bits, (item & ((1u << bits) - 1)) * 8, channel_bits);
}

// Where a pair of a map lies, and how many of the two exist.
typedef struct {
    u64 index;
    u32 count;
} pair_place;

#define PACKING_ARGUMENTS groups, channels, pixels, channels_last, channel_bits

DEVICE pair_place place_in_map(u32 i, tile_place at, u32 groups, u32 channels, u32 pixels, u32 channels_last,
                               u32 channel_bits) {
    const item_place in_tile = place_of_pair(i, channels_last, channel_bits);
    const u32 pixel = at.first_pixel + in_tile.pixel, channel = at.first_channel + in_tile.channel;
    const u32 high = channels_last ? channel : pixel, size = channels_last ? channels : pixels;
    pair_place from;
    from.index = channels_last ? ((u64)pixel * groups + at.group) * channels + channel
                               : ((u64)at.group * channels + channel) * pixels + pixel;
    from.count = !at.is_map || pixel >= pixels || channel >= channels ? 0u : high + 1 < size ? 2u : 1u;
    return from;
}

KERNEL void conv2d_pack(GLOBAL const u16* RESTRICT source, u64 source_offset, GLOBAL u16* RESTRICT target,
                        u64 target_offset, CONV2D_PACKING_PARAMETERS) {
    SHARED u32 words[TILE_WORDS];
    u16* elements = (u16*)words;
    const u32 pitch = (1u << channel_bits) + 2;
    const u32 tiles = tiles_of(packed_channels, channel_bits) * groups * tiles_of(pixels, TILE_BITS - channel_bits) *
                      map_groups * packed_maps;
    for (u32 tile = (u32)GROUP_ID; tile < tiles; tile += (u32)GROUP_COUNT) {
        const tile_place at = place_of_tile(tile, maps, packed_maps, groups, packed_channels, pixels, channel_bits);
        const u16* map = source + source_offset + at.map * pixels * groups * channels;
        // All are asked for before any is looked at.
        u32 pairs[ITEM_PAIRS], highs[ITEM_PAIRS];
        if (has_pairs) {
            UNROLL
            for (u32 i = 0; i < ITEM_PAIRS; i++) {
                const pair_place from = place_in_map(i, at, PACKING_ARGUMENTS);
                pairs[i] = from.count > 0 ? *(const u32*)(map + from.index) : 0;
            }
        } else {
            UNROLL
            for (u32 i = 0; i < ITEM_PAIRS; i++) {
                const pair_place from = place_in_map(i, at, PACKING_ARGUMENTS);
                pairs[i] = from.count > 0 ? map[from.index] : 0;
                highs[i] = from.count > 1 ? map[from.index + 1] : 0;
            }
            UNROLL
            for (u32 i = 0; i < ITEM_PAIRS; i++) pairs[i] |= highs[i] << 16;
        }
        UNROLL
        for (u32 i = 0; i < ITEM_PAIRS; i++) {
            const item_place in_tile = place_of_pair(i, channels_last, channel_bits);
            if (channels_last) {
                words[in_tile.word] = pairs[i];
            } else {
                const u32 element = in_tile.pixel * pitch + in_tile.channel;
                elements[element] = (u16)pairs[i];
                elements[element + pitch] = (u16)(pairs[i] >> 16);
            }
        }
        BARRIER();
        UNROLL
        for (u32 i = 0; i < ITEM_CHUNKS; i++) {
            const item_place in_tile = place_of_chunk(i, channel_bits);
            const u32 pixel = at.first_pixel + in_tile.pixel, channel = at.first_channel + in_tile.channel;
            if (pixel >= pixels || channel >= packed_channels) continue;
            u32 chunk[4];
            for (u32 e = 0; e < 4; e++) chunk[e] = words[in_tile.word + e];
            const u64 to = ((at.packed_map * pixels + pixel) * groups + at.group) * packed_channels + channel;
            store8_u16(target + target_offset + to, chunk);
        }
        BARRIER();
    }
}

KERNEL void conv2d_unpack(GLOBAL const u16* RESTRICT source, u64 source_offset, GLOBAL u16* RESTRICT target,
                          u64 target_offset, CONV2D_PACKING_PARAMETERS) {
    SHARED u32 words[TILE_WORDS];
    const u16* elements = (const u16*)words;
    const u32 pitch = (1u << channel_bits) + 2;
    const u32 tiles = tiles_of(packed_channels, channel_bits) * groups * tiles_of(pixels, TILE_BITS - channel_bits) *
                      map_groups * packed_maps;
    for (u32 tile = (u32)GROUP_ID; tile < tiles; tile += (u32)GROUP_COUNT) {
        const tile_place at = place_of_tile(tile, maps, packed_maps, groups, packed_channels, pixels, channel_bits);
        if (!at.is_map) continue;
        UNROLL
        for (u32 i = 0; i < ITEM_CHUNKS; i++) {
            const item_place in_tile = place_of_chunk(i, channel_bits);
            const u32 pixel = at.first_pixel + in_tile.pixel, channel = at.first_channel + in_tile.channel;
            const u64 from = ((at.packed_map * pixels + pixel) * groups + at.group) * packed_channels + channel;
            u32 chunk[4] = {0};
            if (pixel < pixels && channel < packed_channels) load8_u16(source + source_offset + from, chunk);
            for (u32 e = 0; e < 4; e++) words[in_tile.word + e] = chunk[e];
        }
        BARRIER();
        u16* map = target + target_offset + at.map * pixels * groups * channels;
        UNROLL
        for (u32 i = 0; i < ITEM_PAIRS; i++) {
            const item_place in_tile = place_of_pair(i, channels_last, channel_bits);
            const u32 pixel = at.first_pixel + in_tile.pixel, channel = at.first_channel + in_tile.channel;
            if (pixel >= pixels || channel >= channels) continue;
            if (channels_last) {
                u16* to = map + ((u64)pixel * groups + at.group) * channels + channel;
                to[0] = (u16)words[in_tile.word];
                if (channel + 1 < channels) to[1] = (u16)(words[in_tile.word] >> 16);
            } else {
                const u32 element = in_tile.pixel * pitch + in_tile.channel;
                const u16 low = elements[element], high = elements[element + pitch];
                u16* to = map + ((u64)at.group * channels + channel) * pixels + pixel;
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
