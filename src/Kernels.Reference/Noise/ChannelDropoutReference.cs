namespace Kernels.Reference;

/// <summary>Dropout with decisions shared along axes.</summary>
public static class ChannelDropoutReference
{
    /// <summary>
    /// y = keep(unit) ? x * 65536/T : 0, where the unit of an element is its position in the dense order of the axes that are not shared.
    /// Backward is the same map.
    /// </summary>
    public static void Apply(
        ReadOnlySpan<double> x, Span<double> y, ReadOnlySpan<long> shape, ReadOnlySpan<int> sharedAxes, double dropProbability,
        ulong seed, ulong offset, ulong globalStart = 0)
    {
        int threshold = DropoutReference.Threshold(dropProbability);
        double scale = threshold == 0 ? 0 : 65536.0 / threshold;
        for (int i = 0; i < x.Length; i++)
        {
            bool keep = threshold == 65536
                || (threshold > 0 && DropoutReference.Keeps(dropProbability, seed, offset, globalStart + Unit(i, shape, sharedAxes)));
            y[i] = keep ? scale * x[i] : 0;
        }
    }

    private static ulong Unit(long index, ReadOnlySpan<long> shape, ReadOnlySpan<int> sharedAxes)
    {
        ulong unit = 0, stride = 1;
        for (int axis = shape.Length - 1; axis >= 0; axis--)
        {
            ulong position = (ulong)(index % shape[axis]);
            index /= shape[axis];
            if (sharedAxes.Contains(axis)) continue;
            unit += position * stride;
            stride *= (ulong)shape[axis];
        }

        return unit;
    }
}
