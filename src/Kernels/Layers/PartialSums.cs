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
        where T : unmanaged => Reduce(stream, sums.DType, partial, sums.Argument, sums.Length, splits);

    /// <summary>The same into memory that need not be a tensor.</summary>
    public static void Reduce(DeviceStream stream, DType dtype, TensorArgument partial, TensorArgument sums, long columns, long splits) =>
        stream.Launch(
            ReduceKernel,
            new KernelVariant(dtype),
            new LaunchShape((columns + ColumnsPerGroup - 1) / ColumnsPerGroup),
            new PartialSumsReduceArguments
            {
                Partial = partial,
                Sums = sums,
                Splits = (ulong)splits,
                Columns = (ulong)columns,
            });
}
