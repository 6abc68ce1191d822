using System.Runtime.CompilerServices;
using Kernels.Devices.OpenCl;

namespace Kernels.Tests.Support;

/// <summary>
/// Compiles float at the full width of vectors for OpenCL as users have it. The other texts differ in how elements are loaded and stored,
/// and PoCL takes up to six times as long to optimise them as to translate them.
/// </summary>
internal static class QuickPrograms
{
#pragma warning disable CA2255
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void Install() => OpenClPrograms.Optimizes = (kernel, variant) =>
        variant.DType == DType.Float32 && variant.VectorWidth == kernel.VectorWidths.Max();
}
