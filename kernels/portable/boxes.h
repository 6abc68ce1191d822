// Boxes in images, [top, left, bottom, right) in pixels. An image is planes of `height` rows of `row_length` elements,
// `pixel` of them for each pixel, so that channels may come first (pixel = 1) or last (one plane).

#define IMAGE_PARAMETERS                                                                                               \
    u64 run, u64 run_inverse, u32 run_shift, u64 row_length, u64 row_length_inverse, u32 row_length_shift, u64 height, \
        u64 height_inverse, u32 height_shift, u32 pixel

// The compiler's own choice spills.
#undef RESIDENT_GROUPS
#define RESIDENT_GROUPS 4

typedef struct {
    u64 run, run_inverse, row_length, row_length_inverse, height, height_inverse;
    u32 run_shift, row_length_shift, height_shift, pixel;
} image_shape;

#define IMAGE_SHAPE                                                                                            \
    {                                                                                                          \
        run, run_inverse, row_length, row_length_inverse, height, height_inverse, run_shift, row_length_shift, \
            height_shift, pixel                                                                                \
    }

// Where an element is: in which image, and in which row and column of a plane, in elements.
typedef struct {
    u64 image, in_image;
    u32 row, column;
} image_place;

DEVICE image_place place_of(const image_shape* shape, u64 index) {
    image_place place;
    place.image = quotient(index, shape->run_inverse, shape->run_shift);
    place.in_image = index - place.image * shape->run;
    const u64 row = quotient(place.in_image, shape->row_length_inverse, shape->row_length_shift);
    place.column = (u32)(place.in_image - row * shape->row_length);
    place.row = (u32)(row - quotient(row, shape->height_inverse, shape->height_shift) * shape->height);
    return place;
}

// The next element.
DEVICE void step(const image_shape* shape, image_place* place) {
    place->in_image++;
    if (++place->column < (u32)shape->row_length) return;
    place->column = 0;
    if (++place->row < (u32)shape->height) return;
    place->row = 0;
    if (place->in_image < shape->run) return;
    place->in_image = 0;
    place->image++;
}

// The element of a row where a pixel begins; one beside the image counts as its border.
DEVICE u32 edge_of(const image_shape* shape, i32 column) {
    const i64 edge = (i64)column * shape->pixel;
    return edge < 0 ? 0 : edge > (i64)shape->row_length ? (u32)shape->row_length : (u32)edge;
}

DEVICE u32 is_in_box(const image_shape* shape, GLOBAL const i32* box, image_place place) {
    return (i32)place.row >= box[0] && (i32)place.row < box[2] && place.column >= edge_of(shape, box[1]) &&
           place.column < edge_of(shape, box[3]);
}

// Lanes of a part that lie before an edge, where lane 0 lies on a column: bits up to that lane.
DEVICE u32 lanes_before(u32 edge, u32 column) {
    const u32 distance = edge > column ? edge - column : 0;
    return (1u << (distance < PART_LANES ? distance : PART_LANES)) - 1;
}

// Bit i is set where the i-th of a part's neighbours is in the box. Rows have at least eight elements, so that a part
// is of two at most.
DEVICE u32 box_bits(const image_shape* shape, GLOBAL const i32* box, image_place place) {
    const i32 top = box[0], bottom = box[2];
    const u32 left = edge_of(shape, box[1]), right = edge_of(shape, box[3]);
    const u32 on_row = (u32)shape->row_length - place.column;
    const i32 row = (i32)place.row, next = row + 1 == (i32)shape->height ? 0 : row + 1;
    u32 bits = 0;
    if (row >= top && row < bottom) bits = lanes_before(right, place.column) & ~lanes_before(left, place.column);
    if (next >= top && next < bottom) bits |= lanes_before(right + on_row, 0) & ~lanes_before(left + on_row, 0);
    return bits;
}
