using System.Runtime.CompilerServices;
using Kernels.Devices.OpenCl;

namespace Kernels.Tests.Support;

/// <summary>
/// Compiles float for OpenCL as users have it. The texts of the other types differ in how elements are loaded and stored, and PoCL takes up
/// to six times as long to optimise them as to translate them.
/// </summary>
internal static class QuickPrograms
{
#pragma warning disable CA2255
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void Install() => OpenClPrograms.Optimizes = dtype => dtype == DType.Float32;
}
