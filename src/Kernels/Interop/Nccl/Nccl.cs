using System.Runtime.InteropServices;

namespace Kernels.Interop;

/// <summary>
/// NCCL under its own names. A communicator is <c>nint</c>, buffers are <c>nuint</c> device pointers; the device is that of the context
/// which is current. Calls on a communicator that was made not to block may answer <see cref="NcclResult.InProgress"/>; nothing else may be
/// called on it until <see cref="ncclCommGetAsyncError"/> says otherwise.
/// </summary>
internal static unsafe partial class Nccl
{
    [LibraryImport(NativeLibraries.Nccl)] internal static partial NcclResult ncclGetVersion(out int version);
    [LibraryImport(NativeLibraries.Nccl)] internal static partial NcclResult ncclGetUniqueId(out NcclUniqueId id);

    /// <summary>Static strings of the library.</summary>
    [LibraryImport(NativeLibraries.Nccl)] internal static partial nint ncclGetErrorString(NcclResult result);

    /// <summary>What the library says of the last error, in words; since NCCL 2.13.</summary>
    [LibraryImport(NativeLibraries.Nccl)] internal static partial nint ncclGetLastError(nint communicator);

    /// <summary>Since NCCL 2.14. The id travels by value.</summary>
    [LibraryImport(NativeLibraries.Nccl)]
    internal static partial NcclResult ncclCommInitRankConfig(
        out nint communicator, int rankCount, NcclUniqueId id, int rank, NcclConfiguration* configuration);
    [LibraryImport(NativeLibraries.Nccl)]
    internal static partial NcclResult ncclCommGetAsyncError(nint communicator, out NcclResult result);
    [LibraryImport(NativeLibraries.Nccl)] internal static partial NcclResult ncclCommFinalize(nint communicator);
    [LibraryImport(NativeLibraries.Nccl)] internal static partial NcclResult ncclCommDestroy(nint communicator);
    [LibraryImport(NativeLibraries.Nccl)] internal static partial NcclResult ncclCommAbort(nint communicator);

    [LibraryImport(NativeLibraries.Nccl)]
    internal static partial NcclResult ncclAllReduce(
        nuint source, nuint destination, nuint count, NcclDataType type, NcclReduction op, nint communicator, nint stream);
    [LibraryImport(NativeLibraries.Nccl)]
    internal static partial NcclResult ncclReduceScatter(
        nuint source, nuint destination, nuint count, NcclDataType type, NcclReduction op, nint communicator, nint stream);
    [LibraryImport(NativeLibraries.Nccl)]
    internal static partial NcclResult ncclAllGather(
        nuint source, nuint destination, nuint count, NcclDataType type, nint communicator, nint stream);
    [LibraryImport(NativeLibraries.Nccl)]
    internal static partial NcclResult ncclBroadcast(
        nuint source, nuint destination, nuint count, NcclDataType type, int root, nint communicator, nint stream);

    // Between start and end calls are put together; those between two ranks must be.
    [LibraryImport(NativeLibraries.Nccl)] internal static partial NcclResult ncclGroupStart();
    [LibraryImport(NativeLibraries.Nccl)] internal static partial NcclResult ncclGroupEnd();
    [LibraryImport(NativeLibraries.Nccl)]
    internal static partial NcclResult ncclSend(nuint source, nuint count, NcclDataType type, int rank, nint communicator, nint stream);
    [LibraryImport(NativeLibraries.Nccl)]
    internal static partial NcclResult ncclRecv(
        nuint destination, nuint count, NcclDataType type, int rank, nint communicator, nint stream);
}
