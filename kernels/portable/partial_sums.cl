// Sums of columns whose rows were summed in parts by another kernel: result = sum over splits of partial, [splits,
// columns], in an order that depends on the number of splits alone.
//
//   partial_sums_reduce  the sums, rounded once as they are stored

#include "types.h"

// A group takes 32 columns; its work items are 32 wide, so that a row is read in one piece, and 8 deep over the rows.
KERNEL void partial_sums_reduce(GLOBAL const real* RESTRICT partial, u64 partial_offset, GLOBAL scalar* RESTRICT sums,
                                u64 sums_offset, u64 splits, u64 columns) {
    SHARED real layers[8 * 32];
    const u32 lane = LOCAL_ID % 32, layer = LOCAL_ID / 32;
    for (u64 block = GROUP_ID; block < (columns + 31) / 32; block += GROUP_COUNT) {
        const u64 column = 32 * block + lane;
        real sum = 0;
        if (column < columns)
            for (u64 split = layer; split < splits; split += 8)
                sum += partial[partial_offset + split * columns + column];
        layers[LOCAL_ID] = sum;
        BARRIER();
        if (layer == 0 && column < columns) {
            for (u32 depth = 1; depth < 8; depth++) sum += layers[32 * depth + lane];
            store(sums, sums_offset + column, sum);
        }
        BARRIER();
    }
}
