using Kernels.Devices;

namespace Kernels;

/// <summary>The nearest rows of the same class, by Euclidean distance, for augmentation in feature space.</summary>
/// <remarks>
/// <para>
/// The square of a distance is a sum in the order of the features, one fused multiply-add of a difference for each, so every device finds
/// the same rows. Sums are compared as floats; rows at the same distance come in the order of their numbers; a NaN is as far as infinity.
/// A class with fewer other rows than are wanted leaves -1 behind them.
/// </para>
/// <para>
/// Every pair of rows of a class is looked at: the op is for a data set's features once, not for every step. Types: float, Half, BFloat16,
/// double. T. DeVries and G. W. Taylor, "Dataset augmentation in feature space", ICLR workshop 2017.
/// </para>
/// </remarks>
public static unsafe partial class SameClassNeighbours
{
    private const string FindName = "SameClassNeighbours.Find";

    /// <summary>The most neighbours that can be asked for.</summary>
    public const int MostNeighbours = 16;

    private static readonly KernelDefinition<SameClassNeighboursArguments> Kernel = EntryPoints.SameClassNeighbours.Float<CpuFind>();

    /// <summary>Finds the nearest rows of each row's class, the row itself left out.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="features">[rows, features].</param>
    /// <param name="labels">Classes, [rows]; any numbers.</param>
    /// <param name="neighbours">
    /// Output [rows, wanted], 1 to <see cref="MostNeighbours"/> wanted: row numbers, the nearest first, -1 where there are no more.
    /// </param>
    /// <exception cref="ArgumentException">Shapes that do not fit, tensors that overlap or live on another device.</exception>
    public static void Find<T>(DeviceStream stream, DeviceTensor<T> features, DeviceTensor<int> labels, DeviceTensor<int> neighbours)
        where T : unmanaged
    {
        Check.FloatTensor(FindName, stream, features, nameof(features));
        Check.Rank(FindName, features, nameof(features), 2);
        Check.Tensor(FindName, stream, labels, nameof(labels));
        Check.Tensor(FindName, stream, neighbours, nameof(neighbours));
        long rows = features.Shape[0], run = features.Shape[1];
        Check.Shape(FindName, labels, nameof(labels), rows);
        Check.Rank(FindName, neighbours, nameof(neighbours), 2);
        if (neighbours.Shape[0] != rows || neighbours.Shape[1] is < 1 or > MostNeighbours)
        {
            throw new ArgumentException(
                $"{FindName}: {nameof(neighbours)} has the shape {TensorShape.Format(neighbours.Shape)}, expected {rows} rows of 1 to "
                + $"{MostNeighbours}.", nameof(neighbours));
        }

        Check.Disjoint(FindName, features, nameof(features), neighbours, nameof(neighbours));
        Check.Disjoint(FindName, labels, nameof(labels), neighbours, nameof(neighbours));
        if (rows > int.MaxValue)
            throw new ArgumentException($"{FindName}: {rows} rows are more than an int can number.", nameof(features));
        if (rows == 0) return;
        stream.Launch(
            Kernel,
            new KernelVariant(features.DType),
            LaunchShape.GroupPerRow(rows),
            new SameClassNeighboursArguments
            {
                Features = features.Argument,
                Labels = labels.Argument,
                Neighbours = neighbours.Argument,
                Rows = (ulong)rows,
                Run = (ulong)run,
                Wanted = (uint)neighbours.Shape[1],
            });
    }
}
