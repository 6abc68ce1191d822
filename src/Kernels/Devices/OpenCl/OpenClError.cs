using System.Runtime.CompilerServices;
using Silk.NET.OpenCL;

namespace Kernels.Devices.OpenCl;

/// <summary>
/// Turns a status into the library's exceptions. The status is the return value and is checked in the expression of the call.
/// </summary>
internal static class OpenClError
{
    /// <summary>
    /// NVIDIA, in no header: an illegal read or write in an earlier kernel, which may also come as <see cref="ErrorCodes.OutOfResources"/>.
    /// </summary>
    private const int IllegalReadOrWriteNvidia = -9999;

    public static void ThrowIfFailed(
        int status, string? op = null, [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != (int)ErrorCodes.Success) throw Exception(status, call, op);
    }

    /// <summary>Drivers report a lack of memory in all of these ways, often late, by the first command that touches the buffer.</summary>
    public static bool IsOutOfMemory(int status) =>
        (ErrorCodes)status is ErrorCodes.MemObjectAllocationFailure or ErrorCodes.OutOfHostMemory or ErrorCodes.OutOfResources
            or ErrorCodes.InvalidBufferSize;

    /// <summary>The status as messages name it: <c>OutOfResources (-5)</c>.</summary>
    public static string NameOf(int status) =>
        status == IllegalReadOrWriteNvidia ? $"{nameof(IllegalReadOrWriteNvidia)} ({status})" : $"{(ErrorCodes)status} ({status})";

    /// <param name="status">What was answered.</param>
    /// <param name="call">The call, in OpenCL's words or in C#: <c>clFinish</c> or <c>Cl.Finish(queue)</c>.</param>
    /// <param name="op">The op it was made for.</param>
    public static DeviceException Exception(int status, string call, string? op = null)
    {
        string name = NameOf(status);
        string of = op is null ? "" : $" in {op}";
        if (call.StartsWith("Cl.", StringComparison.Ordinal)) call = $"cl{call[3..]}";
        return (ErrorCodes)status is ErrorCodes.MemObjectAllocationFailure or ErrorCodes.OutOfHostMemory
            ? new OutOfDeviceMemoryException($"OpenCL: {name}{of} from {call}", 0, name, call, op)
            : new DeviceException($"OpenCL: {name}{of} from {call}", name, call, op);
    }
}
