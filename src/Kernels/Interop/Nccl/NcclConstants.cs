using System.Runtime.InteropServices;

namespace Kernels.Interop;

/// <summary>ncclResult_t.</summary>
internal enum NcclResult
{
    Success = 0,
    UnhandledCudaError = 1,
    SystemError = 2,
    InternalError = 3,
    InvalidArgument = 4,
    InvalidUsage = 5,
    RemoteError = 6,
    InProgress = 7,
}

/// <summary>ncclDataType_t: the part used here.</summary>
internal enum NcclDataType
{
    UInt8 = 1,
    Float16 = 6,
    Float32 = 7,
    Float64 = 8,
    BFloat16 = 9,
}

/// <summary>ncclRedOp_t: the part used here.</summary>
internal enum NcclReduction
{
    Sum = 0,
}

/// <summary>ncclUniqueId: how the ranks of a communicator find each other.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NcclUniqueId
{
    internal const int Bytes = 128;

    private fixed byte _bytes[Bytes];

    internal NcclUniqueId(ReadOnlySpan<byte> bytes)
    {
        fixed (byte* own = _bytes) bytes.CopyTo(new Span<byte>(own, Bytes));
    }

    internal readonly byte[] ToArray()
    {
        fixed (byte* own = _bytes) return new ReadOnlySpan<byte>(own, Bytes).ToArray();
    }
}

/// <summary>ncclConfig_t as of NCCL 2.14: later libraries read no more of it, by its size and version.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NcclConfiguration
{
    private const int Undefined = int.MinValue;

    private nuint _size;
    private uint _magic;
    private uint _version;
    private int _blocking;
    private int _padding; // the next field of later versions lies here

    /// <summary>Calls return before they are done.</summary>
    internal static unsafe NcclConfiguration NonBlocking => new()
    {
        _size = (nuint)sizeof(NcclConfiguration),
        _magic = 0xcafebeef,
        _version = 21400,
        _blocking = 0,
        _padding = Undefined,
    };
}
