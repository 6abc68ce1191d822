// Tiles of a row-major matrix in local memory.

// tile[row, column] = source[first_row + row, first_column + column], zero outside the matrix. All work items of the
// group call; a BARRIER() follows. A pitch one wider than the tile keeps the work items of a column on different banks.
DEVICE void load_tile(GLOBAL const scalar* source, u64 rows, u64 columns, u64 first_row, u64 first_column,
                      u32 tile_rows, u32 tile_columns, u32 pitch, LOCAL real* tile) {
    for (u32 i = LOCAL_ID; i < tile_rows * tile_columns; i += GROUP_SIZE) {
        const u32 row = i / tile_columns, column = i % tile_columns;
        const u32 inside = first_row + row < rows && first_column + column < columns;
        tile[row * pitch + column] =
            inside ? load(source, (first_row + row) * columns + first_column + column) : (real)0;
    }
}
