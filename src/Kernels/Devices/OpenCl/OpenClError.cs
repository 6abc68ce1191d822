using System.Runtime.CompilerServices;
using Kernels.Interop;

namespace Kernels.Devices.OpenCl;

/// <summary>Turns a status into the library's exceptions. The status is the return value and is checked in the expression of the call.</summary>
internal static class OpenClError
{
    public static void ThrowIfFailed(
        OpenClStatus status, string? op = null, [CallerArgumentExpression(nameof(status))] string call = "")
    {
        if (status != OpenClStatus.Success) throw Exception(status, call, op);
    }

    public static bool IsOutOfMemory(OpenClStatus status) =>
        status is OpenClStatus.MemObjectAllocationFailure or OpenClStatus.OutOfHostMemory or OpenClStatus.OutOfResources or OpenClStatus.InvalidBufferSize;

    public static DeviceException Exception(OpenClStatus status, string call, string? op = null)
    {
        string name = $"{status} ({(int)status})";
        string of = op is null ? "" : $" in {op}";
        return status is OpenClStatus.MemObjectAllocationFailure or OpenClStatus.OutOfHostMemory
            ? new OutOfDeviceMemoryException($"OpenCL: {name}{of} from {call}", 0, name, call, op)
            : new DeviceException($"OpenCL: {name}{of} from {call}", name, call, op);
    }
}
