// The common binary interface of MPI 5.0 (chapter 20, appendix A) over a library with an interface of its own: Open MPI
// under its launcher, else MPICH. It has what the library under test calls. Constants are the standard's, and what is
// made at run time is known by addresses of this library's, so that no handle of the other interface passes for one. A
// handle that the standard does not know, or that nobody uses here, ends the process.

#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

// A handle of either interface. MPICH's are 32 bits wide, and travel in registers and in zeroed places of eight bytes
// all the same.
typedef intptr_t handle;

// What the standard calls MPI_COMM_WORLD, MPI_SUM and so on.
enum {
    SUM = 0x21,
    COMM_NULL = 0x100,
    COMM_WORLD = 0x101,
    ERRORS_RETURN = 0x143,
    REQUEST_NULL = 0x180,
    FLOAT = 0x210,
    DOUBLE = 0x214,
    BYTE = 0x247,
    STATUS_IGNORE = 0,
    IN_PLACE = 1,
    THREAD_STEP = 1024, // from SINGLE, 0, to FUNNELED, to SERIALIZED; MULTIPLE is 4096
    THREAD_SERIALIZED = 2048,
    THREAD_MULTIPLE = 4096,
};

// A communicator or a request of the other library.
struct object {
    const char* kind;
    handle real;
};

static struct {
    void* loaded;
    bool is_open_mpi;
    handle world, byte, float_type, double_type, sum, errors_return, status_ignore, in_place, request_null;
} real;

static const char communicator[] = "communicator", request[] = "request";

static _Noreturn void stop(const char* what, handle value) {
    fprintf(stderr, "mpi_abi: %s: %#llx\n", what, (unsigned long long)value);
    abort();
}

static void* find(const char* name) {
    void* address = dlsym(real.loaded, name);
    if (address == NULL) stop(name, 0);
    return address;
}

__attribute__((constructor)) static void load(void) {
    real.is_open_mpi = getenv("OMPI_COMM_WORLD_SIZE") != NULL;
    real.loaded = dlopen(real.is_open_mpi ? "libmpi.so.40" : "libmpich.so.12", RTLD_NOW | RTLD_LOCAL);
    if (real.loaded == NULL) {
        fprintf(stderr, "mpi_abi: %s\n", dlerror());
    } else if (real.is_open_mpi) {
        real.world = (handle)find("ompi_mpi_comm_world");
        real.byte = (handle)find("ompi_mpi_byte");
        real.float_type = (handle)find("ompi_mpi_float");
        real.double_type = (handle)find("ompi_mpi_double");
        real.sum = (handle)find("ompi_mpi_op_sum");
        real.errors_return = (handle)find("ompi_mpi_errors_return");
        real.request_null = (handle)find("ompi_request_null");
        real.in_place = 1;
    } else {
        real.world = 0x44000000;
        real.byte = 0x4c00010d;
        real.float_type = 0x4c00040a;
        real.double_type = 0x4c00080b;
        real.sum = 0x58000003;
        real.errors_return = 0x54000001;
        real.request_null = 0x2c000000;
        real.status_ignore = 1;
        real.in_place = -1;
    }
}

// --- Handles
// ---------------------------------------------------------------------------------------------------------------------

static handle wrap(const char* kind, handle value) {
    struct object* object = malloc(sizeof *object);
    if (object == NULL) stop("out of memory for a", 0);
    *object = (struct object){kind, value};
    return (handle)object;
}

// Predefined handles are below 4096, where no object lies.
static struct object* object_of(const char* kind, handle value) {
    struct object* object = (struct object*)value;
    if (value < 4096 || object->kind != kind) stop(kind == request ? "no request" : "no communicator", value);
    return object;
}

static handle comm_of(handle comm) { return comm == COMM_WORLD ? real.world : object_of(communicator, comm)->real; }

static handle type_of(handle type) {
    switch (type) {
    case BYTE:
        return real.byte;
    case FLOAT:
        return real.float_type;
    case DOUBLE:
        return real.double_type;
    default:
        stop("no datatype that is used here", type);
    }
}

static handle op_of(handle op) {
    if (op != SUM) stop("no operation that is used here", op);
    return real.sum;
}

static handle source_of(handle buffer) { return buffer == IN_PLACE ? real.in_place : buffer; }

// Levels have the same order, and other numbers.
static int level_of(int real_level) { return real_level == 3 ? THREAD_MULTIPLE : real_level * THREAD_STEP; }

// --- What the library under test calls
// ---------------------------------------------------------------------------------------------------------------------

// The other library's function of this name and these parameters.
#define REAL(name, ...) ((int (*)(__VA_ARGS__))find(#name))

// A call that starts something: the request is an object of this library once the call has succeeded.
#define START(call)                                    \
    handle started = 0;                                \
    int status = call;                                 \
    if (status == 0) *result = wrap(request, started); \
    return status

EXPORT int MPI_Get_library_version(char* text, int* length) {
    static const char mark[] = "MPI 5 ABI over ";
    memcpy(text, mark, sizeof mark);
    const int status = REAL(MPI_Get_library_version, char*, int*)(text + sizeof mark - 1, length);
    *length += sizeof mark - 1;
    return status;
}

EXPORT int MPI_Initialized(int* flag) { return REAL(MPI_Initialized, int*)(flag); }

EXPORT int MPI_Finalized(int* flag) { return REAL(MPI_Finalized, int*)(flag); }

EXPORT int MPI_Init_thread(handle count, handle arguments, int required, int* provided) {
    if (required != THREAD_SERIALIZED) stop("no level of threads that is used here", required);
    int level = 0;
    const int status = REAL(MPI_Init_thread, handle, handle, int, int*)(count, arguments, 2, &level);
    *provided = level_of(level);
    return status;
}

EXPORT int MPI_Query_thread(int* provided) {
    int level = 0;
    const int status = REAL(MPI_Query_thread, int*)(&level);
    *provided = level_of(level);
    return status;
}

EXPORT int MPI_Finalize(void) { return REAL(MPI_Finalize, void)(); }

EXPORT int MPI_Abort(handle comm, int code) { return REAL(MPI_Abort, handle, int)(comm_of(comm), code); }

EXPORT int MPI_Error_string(int code, char* text, int* length) {
    return REAL(MPI_Error_string, int, char*, int*)(code, text, length);
}

EXPORT int MPI_Comm_rank(handle comm, int* rank) { return REAL(MPI_Comm_rank, handle, int*)(comm_of(comm), rank); }

EXPORT int MPI_Comm_size(handle comm, int* size) { return REAL(MPI_Comm_size, handle, int*)(comm_of(comm), size); }

EXPORT int MPI_Comm_set_errhandler(handle comm, handle handler) {
    if (handler != ERRORS_RETURN) stop("no error handler that is used here", handler);
    return REAL(MPI_Comm_set_errhandler, handle, handle)(comm_of(comm), real.errors_return);
}

// The communicator is written before the request is done: its place must stay where it is.
EXPORT int MPI_Comm_idup(handle comm, handle* duplicate, handle* result) {
    struct object* object = (struct object*)wrap(communicator, 0);
    *duplicate = (handle)object;
    START(REAL(MPI_Comm_idup, handle, handle*, handle*)(comm_of(comm), &object->real, &started));
}

EXPORT int MPI_Comm_split(handle comm, int color, int key, handle* part) {
    handle made = 0;
    const int status = REAL(MPI_Comm_split, handle, int, int, handle*)(comm_of(comm), color, key, &made);
    *part = status == 0 ? wrap(communicator, made) : COMM_NULL;
    return status;
}

EXPORT int MPI_Isend(const void* buffer, int count, handle type, int rank, int tag, handle comm, handle* result) {
    START(REAL(MPI_Isend, const void*, int, handle, int, int, handle, handle*)(buffer, count, type_of(type), rank, tag,
                                                                               comm_of(comm), &started));
}

EXPORT int MPI_Irecv(void* buffer, int count, handle type, int rank, int tag, handle comm, handle* result) {
    START(REAL(MPI_Irecv, void*, int, handle, int, int, handle, handle*)(buffer, count, type_of(type), rank, tag,
                                                                         comm_of(comm), &started));
}

// A request that is done is no object any more.
EXPORT int MPI_Test(handle* result, int* flag, handle status) {
    if (status != STATUS_IGNORE) stop("no status that is used here", status);
    handle tested = *result == REQUEST_NULL ? real.request_null : object_of(request, *result)->real;
    const int answer = REAL(MPI_Test, handle*, int*, handle)(&tested, flag, real.status_ignore);
    if (*result == REQUEST_NULL) return answer;
    struct object* object = object_of(request, *result);
    object->real = tested;
    if (answer == 0 && *flag) {
        object->kind = NULL;
        free(object);
        *result = REQUEST_NULL;
    }
    return answer;
}

EXPORT int MPI_Iallreduce(handle source, handle destination, int count, handle type, handle op, handle comm,
                          handle* result) {
    START(REAL(MPI_Iallreduce, handle, handle, int, handle, handle, handle,
               handle*)(source_of(source), destination, count, type_of(type), op_of(op), comm_of(comm), &started));
}

EXPORT int MPI_Ireduce_scatter_block(handle source, handle destination, int count, handle type, handle op, handle comm,
                                     handle* result) {
    START(REAL(MPI_Ireduce_scatter_block, handle, handle, int, handle, handle, handle,
               handle*)(source_of(source), destination, count, type_of(type), op_of(op), comm_of(comm), &started));
}

EXPORT int MPI_Iallgather(handle source, int source_count, handle source_type, handle destination, int count,
                          handle type, handle comm, handle* result) {
    START(REAL(MPI_Iallgather, handle, int, handle, handle, int, handle, handle,
               handle*)(source_of(source), source_count, type_of(source_type), destination, count, type_of(type),
                        comm_of(comm), &started));
}

EXPORT int MPI_Ialltoall(handle source, int source_count, handle source_type, handle destination, int count,
                         handle type, handle comm, handle* result) {
    START(REAL(MPI_Ialltoall, handle, int, handle, handle, int, handle, handle,
               handle*)(source_of(source), source_count, type_of(source_type), destination, count, type_of(type),
                        comm_of(comm), &started));
}

EXPORT int MPI_Ibcast(handle buffer, int count, handle type, int root, handle comm, handle* result) {
    START(REAL(MPI_Ibcast, handle, int, handle, int, handle, handle*)(buffer, count, type_of(type), root, comm_of(comm),
                                                                      &started));
}

EXPORT int MPI_Ibarrier(handle comm, handle* result) {
    START(REAL(MPI_Ibarrier, handle, handle*)(comm_of(comm), &started));
}
