using System.Reflection;
using Kernels.Devices;
using Kernels.Devices.Cuda;

namespace Kernels.Verification;

/// <summary>The cost of one variant of a kernel on a GPU.</summary>
/// <param name="Kernel">Entry point.</param>
/// <param name="Dtype">Stored type.</param>
/// <param name="Variant">Vector width and switches.</param>
/// <param name="Registers">Registers a thread uses.</param>
/// <param name="LocalBytes">Bytes of local memory a thread uses: spilled registers and indexed arrays.</param>
/// <param name="SharedBytes">Bytes of shared memory a group uses.</param>
/// <param name="GroupsPerMultiprocessor">Groups that are resident at once.</param>
/// <param name="Occupancy">Resident threads as a share of the most a multiprocessor holds.</param>
public sealed record KernelCost(
    string Kernel, string Dtype, string Variant, int Registers, int LocalBytes, int SharedBytes, int GroupsPerMultiprocessor,
    double Occupancy);

/// <summary>Every kernel of the library.</summary>
public static class KernelCatalog
{
    /// <summary>The kernels that the library declares, by entry point.</summary>
    internal static IReadOnlyList<KernelDefinition> All { get; } =
    [
        .. typeof(Device).Assembly.GetTypes()
            .SelectMany(type => type.GetFields(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic))
            .Where(field => field.FieldType.IsSubclassOf(typeof(KernelDefinition)) && !field.DeclaringType!.ContainsGenericParameters)
            .Select(field => (KernelDefinition)field.GetValue(null)!)
            .OrderBy(kernel => kernel.EntryPoint, StringComparer.Ordinal),
    ];

    /// <summary>Compiles and loads every variant of every kernel on a CUDA device and asks the driver what it costs.</summary>
    /// <exception cref="NotSupportedException">The device is no CUDA device: only its driver tells.</exception>
    public static IEnumerable<KernelCost> Costs(Device device)
    {
        if (device is not CudaDevice cuda) throw new NotSupportedException($"{device}: only the CUDA driver tells what a kernel costs.");
        foreach (KernelDefinition kernel in All)
        {
            foreach (KernelVariant variant in kernel.Variants)
            {
                CudaKernelCost cost = cuda.Programs.Cost(kernel, variant);
                IEnumerable<string> switches = kernel.Switches.Where((_, index) => variant.Has(index));
                yield return new KernelCost(
                    kernel.EntryPoint, variant.DType.ShortName(), string.Join(' ', switches.Prepend($"VEC={variant.VectorWidth}")),
                    cost.Registers, cost.LocalBytes, cost.SharedBytes, cost.GroupsPerMultiprocessor, cost.Occupancy);
            }
        }
    }
}
