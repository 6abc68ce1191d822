namespace Kernels.Devices;

/// <summary>What a device knows a compiled kernel by.</summary>
/// <param name="Kernel">The kernel.</param>
/// <param name="Variant">The variant.</param>
/// <param name="Rewrite">What changed the text, for a test's single use; null for the text as it is.</param>
internal readonly record struct KernelKey(KernelDefinition Kernel, KernelVariant Variant, Func<string, string, string>? Rewrite)
{
    public static KernelKey Of(KernelDefinition kernel, in KernelVariant variant) => new(kernel, variant, KernelSource.Rewrite);
}
