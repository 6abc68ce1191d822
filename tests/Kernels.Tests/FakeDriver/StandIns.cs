using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>The native stand-ins that `build.sh` makes of native/ where there is a C compiler.</summary>
internal static class StandIns
{
    /// <summary>The folder they are in: <c>KERNELS_FAKECUDA</c>, else where the build put them beside this assembly's folder.</summary>
    public static readonly string Folder = Environment.GetEnvironmentVariable("KERNELS_FAKECUDA") is { Length: > 0 } chosen
        ? chosen
        : Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../native"));

    /// <summary>libcuda, libnvrtc and libcublas in one.</summary>
    public static string Cuda => Path.Combine(Folder, "libfakecuda.so");

    /// <summary>What stands between the library and the real OpenCL.</summary>
    public static string OpenCl => Path.Combine(Folder, "libfaultopencl.so");

    /// <summary>MPI 5's common binary interface over Open MPI or MPICH.</summary>
    public static string MpiAbi => Path.Combine(Folder, "libmpi_abi.so");

    public static void SkipUnlessBuilt(string library) => Assert.SkipUnless(
        File.Exists(library), $"{Path.GetFileName(library)} is not in {Folder}: build.sh builds native/ where there is a C compiler");
}
