using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kernels.Interop;
using Kernels.Tests.FakeDriver;

namespace Kernels.Tests.Support;

/// <summary>
/// Puts the machine for PTX in the place of libcuda where there is no GPU, so that <c>cuda:0</c> exists on every machine with NVRTC and a C
/// compiler, and every theory runs the CUDA kernels too.
/// </summary>
internal static unsafe class MachineDriver
{
    internal const string Variable = "KERNELS_LIBCUDA";
    private const string DeviceName = "PTX machine (no GPU)";

    /// <summary>
    /// Why there is no machine although no GPU is there; null where there is one of the two, or where the caller chose a driver.
    /// </summary>
    public static string? Reason { get; private set; }

    /// <summary>True where this process runs its CUDA kernels on the machine because there is no GPU.</summary>
    public static bool IsInstalled { get; private set; }

    // Before the first look for libcuda, which is remembered for the whole process.
#pragma warning disable CA2255
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void Install()
    {
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } || HasGpu()) return;
        if (!File.Exists(StandIns.Cuda)) Reason = $"{StandIns.Cuda} is missing: build.sh builds native/ where there is a C compiler";
        else if (!NativeLibraries.TryLoad(NativeLibraries.Nvrtc, out string? reason)) Reason = reason;
        else Environment.SetEnvironmentVariable(Variable, StandIns.Cuda);
        IsInstalled = Environment.GetEnvironmentVariable(Variable) == StandIns.Cuda;
        // As on a GPU, so that a missing wait can show.
        if (IsInstalled) FakeCuda.SetAsync();
    }

    /// <summary>True when it is the machine that runs the device's kernels.</summary>
    public static bool Runs(Device device) => device.Name == DeviceName;

    /// <inheritdoc cref="Runs(Device)"/>
    public static bool Runs(string deviceId) => TestDevices.All.Any(device => device.Id == deviceId && IsMachine(device));

    /// <inheritdoc cref="Runs(Device)"/>
    public static bool IsMachine(DeviceDescription device) => device.Name == DeviceName;

    private static bool HasGpu()
    {
        if (!NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1", out nint driver)) return false;
        int count = 0;
        return NativeLibrary.TryGetExport(driver, "cuInit", out nint initialize)
            && ((delegate* unmanaged<uint, int>)initialize)(0) == 0
            && NativeLibrary.TryGetExport(driver, "cuDeviceGetCount", out nint countDevices)
            && ((delegate* unmanaged<int*, int>)countDevices)(&count) == 0
            && count > 0;
    }
}
