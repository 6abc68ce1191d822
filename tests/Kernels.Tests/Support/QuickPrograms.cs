using System.Runtime.CompilerServices;
using Kernels.Devices.OpenCl;

namespace Kernels.Tests.Support;

/// <summary>
/// Compiles for OpenCL as users have it where that can show something: float, on a device that is not stood in for. The texts of the other
/// types differ in how elements are loaded and stored, and PoCL takes six times as long to optimise them as to translate them.
/// </summary>
internal static class QuickPrograms
{
#pragma warning disable CA2255
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void Install()
    {
        bool isScenario = Environment.GetEnvironmentVariable("KERNELS_FAKECUDA") is { Length: > 0 };
        OpenClPrograms.Optimizes = dtype => dtype == DType.Float32 && !isScenario;
    }
}
