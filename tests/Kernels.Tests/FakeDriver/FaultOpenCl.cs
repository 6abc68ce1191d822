using System.Runtime.InteropServices;
using System.Text;
using Silk.NET.OpenCL;

namespace Kernels.Tests.FakeDriver;

/// <summary>The controls of the library between ours and the real OpenCL; native/faultopencl/faultopencl.c says what each does.</summary>
internal static unsafe class FaultOpenCl
{
    private static readonly string[] Kinds = ["context", "queue", "memory object", "program", "kernel", "event"];

    private static readonly nint Library = NativeLibrary.Load(StandIns.OpenCl);
    private static readonly delegate* unmanaged<ulong, byte*, int, void> FailFunction =
        (delegate* unmanaged<ulong, byte*, int, void>)Export(
        "fail");
    private static readonly delegate* unmanaged<byte*> FailedFunctionName = (delegate* unmanaged<byte*>)Export("failed_function");
    private static readonly delegate* unmanaged<byte*, ulong> CallsFunction = (delegate* unmanaged<byte*, ulong>)Export("calls");
    private static readonly delegate* unmanaged<int, long> LiveFunction = (delegate* unmanaged<int, long>)Export("live");
    private static readonly delegate* unmanaged<ulong> WaitsFunction = (delegate* unmanaged<ulong>)Export("waits");
    private static readonly delegate* unmanaged<ulong> ViolationsFunction = (delegate* unmanaged<ulong>)Export("violations");

    /// <summary>Calls that waited for the device.</summary>
    public static long Waits => (long)WaitsFunction();

    /// <summary>The function that was made to fail, or null while it has not come to that.</summary>
    public static string? FailedFunction => Marshal.PtrToStringUTF8((nint)FailedFunctionName());

    /// <summary>Releases of what did not live.</summary>
    public static long Violations => (long)ViolationsFunction();

    /// <summary>The call-th call from now, of this function only unless null, fails; 0 takes the plan back.</summary>
    public static void Fail(ulong call, ErrorCodes status, string? function = null)
    {
        fixed (byte* name = Zeroed(function)) FailFunction(call, name, (int)status);
    }

    public static long Calls(string? function = null)
    {
        fixed (byte* name = Zeroed(function)) return (long)CallsFunction(name);
    }

    /// <summary>References that were not released, as text: <c>2 queues, 1 kernel</c>, or the empty text.</summary>
    public static string AllLive() =>
        string.Join(", ", Kinds.Select((kind, index) => (Kind: kind, Count: LiveFunction(index))).Where(k => k.Count != 0)
            .Select(k => $"{k.Count} {k.Kind}"));

    private static nint Export(string name) => NativeLibrary.GetExport(Library, $"faultopencl_{name}");

    private static byte[]? Zeroed(string? text) => text is null ? null : Encoding.UTF8.GetBytes(text + '\0');
}
