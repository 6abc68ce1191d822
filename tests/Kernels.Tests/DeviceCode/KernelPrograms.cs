using Kernels.Devices;
using Kernels.Verification;

namespace Kernels.Tests.DeviceCode;

/// <summary>Every kernel that the libraries define, and the texts they are compiled from.</summary>
internal static class KernelPrograms
{
    public static readonly IReadOnlyList<KernelDefinition> Kernels =
        [.. KernelCatalog.All.OrderBy(kernel => kernel.File, StringComparer.Ordinal)
            .ThenBy(kernel => kernel.EntryPoint, StringComparer.Ordinal)];

    /// <summary>
    /// The texts that a compiler may be given. Kernels of one file share the text of a variant, which has all their entry points, so one
    /// compilation serves them all.
    /// </summary>
    public static readonly IReadOnlyList<KernelProgram> All =
    [
        .. from kernel in Kernels
           from variant in kernel.Variants
           group kernel by (kernel.File, Variant: variant, Text: KernelSource.Assemble("cuda", kernel, variant)) into sharing
           select new KernelProgram(sharing.First(), sharing.Key.Variant, [.. sharing]),
    ];

    public static KernelProgram Named(string name) => All.Single(program => program.Name == name);
}

/// <summary>A kernel file in one variant.</summary>
/// <param name="First">The kernel that stands for the file.</param>
/// <param name="Variant">The variant.</param>
/// <param name="Kernels">All kernels of the file that can be asked for in this variant.</param>
internal sealed record KernelProgram(KernelDefinition First, KernelVariant Variant, IReadOnlyList<KernelDefinition> Kernels)
{
    /// <summary>What the compiler calls the file.</summary>
    public string File => $"kernels/{First.File}";

    public string Name
    {
        get
        {
            IEnumerable<string> switches = First.Switches.Select((name, index) => $"{name}={(Variant.Has(index) ? 1 : 0)}");
            // Kernels of one file may have groups of different sizes.
            string[] group = First.GroupSize == KernelDefinition.DefaultGroupSize ? [] : [$"GROUP={First.GroupSize}"];
            return string.Join(' ', [First.File, Variant.DType.ShortName(), $"VEC={Variant.VectorWidth}", .. group, .. switches]);
        }
    }

    public string Text(string dialect) => KernelSource.Assemble(dialect, First, Variant);
}
