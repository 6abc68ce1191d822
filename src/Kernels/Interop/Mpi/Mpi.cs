using System.Runtime.InteropServices;

namespace Kernels.Interop;

/// <summary>
/// MPI under its own names, as far as it is used. Handles are <c>nint</c>, although MPICH's are 32 bits wide: they travel in registers and
/// in places of eight bytes all the same. Where a function writes one, only its low half may be written, so the place must hold zero.
/// </summary>
internal static unsafe partial class Mpi
{
    internal const int Success = 0;

    // These three may be called at any time.
    [LibraryImport(NativeLibraries.Mpi)] internal static partial int MPI_Get_library_version(byte* text, int* length);
    [LibraryImport(NativeLibraries.Mpi)] internal static partial int MPI_Initialized(int* flag);
    [LibraryImport(NativeLibraries.Mpi)] internal static partial int MPI_Finalized(int* flag);

    [LibraryImport(NativeLibraries.Mpi)]
    internal static partial int MPI_Init_thread(nint argumentCount, nint arguments, int required, int* provided);
    [LibraryImport(NativeLibraries.Mpi)] internal static partial int MPI_Query_thread(int* provided);
    [LibraryImport(NativeLibraries.Mpi)] internal static partial int MPI_Finalize();
    [LibraryImport(NativeLibraries.Mpi)] internal static partial int MPI_Abort(nint communicator, int code);
    [LibraryImport(NativeLibraries.Mpi)] internal static partial int MPI_Error_string(int code, byte* text, int* length);

    [LibraryImport(NativeLibraries.Mpi)] internal static partial int MPI_Comm_rank(nint communicator, int* rank);
    [LibraryImport(NativeLibraries.Mpi)] internal static partial int MPI_Comm_size(nint communicator, int* size);
    [LibraryImport(NativeLibraries.Mpi)]
    internal static partial int MPI_Comm_set_errhandler(nint communicator, nint handler);
    [LibraryImport(NativeLibraries.Mpi)]
    internal static partial int MPI_Comm_idup(nint communicator, nint* duplicate, nint* request);
    [LibraryImport(NativeLibraries.Mpi)]
    internal static partial int MPI_Comm_split(nint communicator, int color, int key, nint* part);

    [LibraryImport(NativeLibraries.Mpi)]
    internal static partial int MPI_Isend(void* buffer, int count, nint type, int rank, int tag, nint communicator, nint* request);
    [LibraryImport(NativeLibraries.Mpi)]
    internal static partial int MPI_Irecv(void* buffer, int count, nint type, int rank, int tag, nint communicator, nint* request);
    [LibraryImport(NativeLibraries.Mpi)] internal static partial int MPI_Test(nint* request, int* flag, nint status);

    [LibraryImport(NativeLibraries.Mpi)]
    internal static partial int MPI_Iallreduce(
        nint source, nint destination, int count, nint type, nint op, nint communicator, nint* request);
    [LibraryImport(NativeLibraries.Mpi)]
    internal static partial int MPI_Ireduce_scatter_block(
        nint source, nint destination, int count, nint type, nint op, nint communicator, nint* request);
    [LibraryImport(NativeLibraries.Mpi)]
    internal static partial int MPI_Iallgather(
        nint source, int sourceCount, nint sourceType, nint destination, int count, nint type, nint communicator, nint* request);
    [LibraryImport(NativeLibraries.Mpi)]
    internal static partial int MPI_Ialltoall(
        nint source, int sourceCount, nint sourceType, nint destination, int count, nint type, nint communicator, nint* request);
    [LibraryImport(NativeLibraries.Mpi)]
    internal static partial int MPI_Ibcast(nint buffer, int count, nint type, int root, nint communicator, nint* request);
    [LibraryImport(NativeLibraries.Mpi)] internal static partial int MPI_Ibarrier(nint communicator, nint* request);
}
