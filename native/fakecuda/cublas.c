// cuBLAS as much as the library calls of it: products of column-major matrices, summed in double.

#include "elements.h"
#include "streams.h"

enum {
    CUBLAS_STATUS_SUCCESS = 0,
    CUBLAS_STATUS_NOT_INITIALIZED = 1,
    CUBLAS_STATUS_INVALID_VALUE = 7,
    CUBLAS_STATUS_NOT_SUPPORTED = 15,
};

// cublasComputeType_t.
enum { CUBLAS_COMPUTE_32F = 68, CUBLAS_COMPUTE_64F = 70 };

#define BLAS(name) ENTER_OR_FAIL(API_BLAS, name)

typedef int cublasStatus_t;

FAKECUDA_EXPORT cublasStatus_t cublasCreate_v2(uint64_t* handle) {
    BLAS(cublasCreate_v2);
    may_wait();
    if (!may_wait_for_context("cublasCreate")) return leave(CUBLAS_STATUS_NOT_INITIALIZED);
    const uint64_t context = current_context();
    if (context == 0) {
        violation("cublasCreate: no context is current on this thread");
        return leave(CUBLAS_STATUS_NOT_INITIALIZED);
    }
    *handle = object_new(FAKECUDA_BLAS, context)->handle;
    return leave(CUBLAS_STATUS_SUCCESS);
}

FAKECUDA_EXPORT cublasStatus_t cublasDestroy_v2(uint64_t handle) {
    ENTER(API_BLAS, cublasDestroy_v2);
    if (injected != 0 && is_lost()) return leave(injected);
    struct object* blas = object_find(handle, FAKECUDA_BLAS, "cublasDestroy");
    if (blas == NULL) return leave(CUBLAS_STATUS_NOT_INITIALIZED);
    if (blas->context != current_context()) violation("cublasDestroy: its context is not current on this thread");
    may_wait_for_context("cublasDestroy");
    object_delete(blas);
    return leave(injected);
}

FAKECUDA_EXPORT cublasStatus_t cublasGetVersion_v2(uint64_t handle, int* version) {
    BLAS(cublasGetVersion_v2);
    *version = 120400;
    return leave(object_find(handle, FAKECUDA_BLAS, "cublasGetVersion") != NULL ? CUBLAS_STATUS_SUCCESS
                                                                                : CUBLAS_STATUS_NOT_INITIALIZED);
}

FAKECUDA_EXPORT cublasStatus_t cublasSetStream_v2(uint64_t handle, uint64_t stream) {
    BLAS(cublasSetStream_v2);
    struct object* blas = object_find(handle, FAKECUDA_BLAS, "cublasSetStream");
    if (blas == NULL) return leave(CUBLAS_STATUS_NOT_INITIALIZED);
    int status;
    if (queue_find(stream, "cublasSetStream", &status) == NULL) return leave(CUBLAS_STATUS_INVALID_VALUE);
    blas->stream = stream;
    return leave(CUBLAS_STATUS_SUCCESS);
}

FAKECUDA_EXPORT cublasStatus_t cublasSetWorkspace_v2(uint64_t handle, uint64_t workspace, size_t bytes) {
    BLAS(cublasSetWorkspace_v2);
    if (object_find(handle, FAKECUDA_BLAS, "cublasSetWorkspace") == NULL) return leave(CUBLAS_STATUS_NOT_INITIALIZED);
    return leave(memory_find(workspace, bytes) != NULL ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE);
}

FAKECUDA_EXPORT cublasStatus_t cublasSetMathMode(uint64_t handle, int mode) {
    BLAS(cublasSetMathMode);
    (void)mode;
    const bool found = object_find(handle, FAKECUDA_BLAS, "cublasSetMathMode") != NULL;
    return leave(found ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED);
}

// --- The product
// -------------------------------------------------------------------------------------------------------

// A stored matrix: columns one after the other, `pitch` elements apart.
struct matrix {
    uint64_t address;
    int type, rows, columns, pitch;
};

static bool is_valid(const struct matrix* matrix, const char* name) {
    if (matrix->pitch < matrix->rows || matrix->pitch < 1) {
        violation("cublasGemmEx: matrix %s has %d rows and a leading dimension of %d", name, matrix->rows,
                  matrix->pitch);
        return false;
    }
    const size_t elements = (size_t)matrix->pitch * (size_t)(matrix->columns - 1) + (size_t)matrix->rows;
    const size_t bytes = elements * element_bytes(matrix->type);
    if (memory_find(matrix->address, bytes) != NULL) return true;
    violation("cublasGemmEx: matrix %s is not %zu bytes of device memory", name, bytes);
    return false;
}

static double element(const struct matrix* matrix, bool transposed, int row, int column) {
    const int stored_row = transposed ? column : row, stored_column = transposed ? row : column;
    const size_t index = (size_t)stored_column * (size_t)matrix->pitch + (size_t)stored_row;
    return element_load((const char*)(uintptr_t)matrix->address, index, matrix->type);
}

struct product {
    struct work head;
    int m, n, k;
    bool transpose_a, transpose_b;
    double factor, keep;
    struct matrix left, right, product;
};

static bool product_uses(const struct work* work, const struct object* object) {
    const struct product* p = (const struct product*)work;
    return overlaps(object, p->left.address, 1) || overlaps(object, p->right.address, 1) ||
           overlaps(object, p->product.address, 1);
}

static void run_product(struct work* work, struct queue* queue) {
    (void)queue;
    const struct product* p = (const struct product*)work;
    if (!is_valid(&p->left, "a") || !is_valid(&p->right, "b") || !is_valid(&p->product, "c")) return;
    for (int column = 0; column < p->n; column++) {
        for (int row = 0; row < p->m; row++) {
            double sum = 0;
            for (int i = 0; i < p->k; i++)
                sum += element(&p->left, p->transpose_a, row, i) * element(&p->right, p->transpose_b, i, column);
            // With beta = 0 the result is not read, as it may hold NaN.
            if (p->keep != 0)
                sum = p->factor * sum + p->keep * element(&p->product, false, row, column);
            else
                sum *= p->factor;
            element_store((char*)(uintptr_t)p->product.address, (size_t)column * (size_t)p->product.pitch + (size_t)row,
                          p->product.type, sum);
        }
        const size_t start = (size_t)column * (size_t)p->product.pitch * element_bytes(p->product.type);
        memory_written(p->product.address + start, (size_t)p->m * element_bytes(p->product.type));
    }
}

FAKECUDA_EXPORT cublasStatus_t cublasGemmEx(uint64_t handle, int transpose_a, int transpose_b, int m, int n, int k,
                                            const void* alpha, uint64_t a, int type_a, int lda, uint64_t b, int type_b,
                                            int ldb, const void* beta, uint64_t c, int type_c, int ldc,
                                            int compute_type, int algorithm) {
    BLAS(cublasGemmEx);
    (void)algorithm;
    const struct object* blas = object_find(handle, FAKECUDA_BLAS, "cublasGemmEx");
    if (blas == NULL) return leave(CUBLAS_STATUS_NOT_INITIALIZED);
    if (blas->context != current_context()) violation("cublasGemmEx: its context is not current on this thread");
    int status;
    struct queue* queue = queue_find(blas->stream, "cublasGemmEx", &status);
    if (queue == NULL || m < 1 || n < 1 || k < 1) return leave(CUBLAS_STATUS_INVALID_VALUE);
    if (compute_type != (type_c == CUDA_R_64F ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F) || type_a != type_b ||
        type_a != type_c)
        return leave(CUBLAS_STATUS_NOT_SUPPORTED);
    struct product work = WORK(struct product, run_product, product_uses);
    work.m = m, work.n = n, work.k = k;
    work.transpose_a = transpose_a != 0, work.transpose_b = transpose_b != 0;
    work.left = (struct matrix){a, type_a, transpose_a ? k : m, transpose_a ? m : k, lda};
    work.right = (struct matrix){b, type_b, transpose_b ? n : k, transpose_b ? k : n, ldb};
    work.product = (struct matrix){c, type_c, m, n, ldc};
    if (!is_valid(&work.left, "a") || !is_valid(&work.right, "b") || !is_valid(&work.product, "c"))
        return leave(CUBLAS_STATUS_INVALID_VALUE);
    const bool is_double = compute_type == CUBLAS_COMPUTE_64F;
    work.factor = is_double ? *(const double*)alpha : (double)*(const float*)alpha;
    work.keep = is_double ? *(const double*)beta : (double)*(const float*)beta;
    submit(queue, &work.head);
    return leave(CUBLAS_STATUS_SUCCESS);
}
