using System.Runtime.CompilerServices;
using Kernels.Devices;
using Kernels.Devices.OpenCl;

namespace Kernels.Tests.Support;

/// <summary>
/// How tests have programs compiled for OpenCL: a warning is an error, and float at the full width of vectors is optimised, as users have
/// it. The other texts differ in how elements are loaded and stored, and PoCL takes up to six times as long to optimise them as to
/// translate them. A text that was changed to be tried once may warn, and is not optimised.
/// </summary>
internal static class OpenClOptions
{
    /// <summary>What makes a warning an error.</summary>
    internal const string OfWarnings = " -Werror";

    /// <summary>Oclgrind is told to compile otherwise than the texts say.</summary>
    private static readonly bool IsOclgrind = Environment.GetEnvironmentVariable("OCLGRIND_BUILD_OPTIONS") is { Length: > 0 };

#pragma warning disable CA2255
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void Install() => OpenClPrograms.FurtherOptions = (kernel, variant) =>
        (KernelSource.Rewrite is null && !IsOclgrind ? OfWarnings : "")
        + (KernelSource.Rewrite is null && variant.DType == DType.Float32 && variant.VectorWidth == kernel.VectorWidths.Max()
            ? "" : " -cl-opt-disable");
}
