using Kernels.Devices;

namespace Kernels;

/// <summary>
/// The second half of sums over rows that a first kernel made in parts, so that they fill a large GPU: sums[c] = sum over s of partial[s,
/// c], in an order that depends on the number of parts alone.
/// </summary>
internal static partial class PartialSums
{
    private const int ColumnsPerGroup = 32;

    private static readonly KernelDefinition<PartialSumsReduceArguments> ReduceKernel = EntryPoints.PartialSumsReduce.Float<CpuReduce>();

    /// <summary>Adds the parts, of shape [splits, columns] in the arithmetic type of <typeparamref name="T"/>.</summary>
    public static void Reduce<T>(DeviceStream stream, TensorArgument partial, DeviceTensor<T> sums, long splits)
        where T : unmanaged =>
        stream.Launch(
            ReduceKernel,
            new KernelVariant(sums.DType),
            new LaunchShape((sums.Length + ColumnsPerGroup - 1) / ColumnsPerGroup),
            new PartialSumsReduceArguments
            {
                Partial = partial,
                Sums = sums.Argument,
                Splits = (ulong)splits,
                Columns = (ulong)sums.Length,
            });
}
