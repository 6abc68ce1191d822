using Kernels.Devices;

namespace Kernels;

/// <summary>
/// A shape seen as [outer, shared, units, run]: the form to which axes that share decisions bring it. An element's decision is number
/// outer * units + unit.
/// </summary>
/// <param name="Outer">Product of the leading axes that decide.</param>
/// <param name="Shared">Product of the first run of shared axes.</param>
/// <param name="Units">Product of the deciding axes after it.</param>
/// <param name="Run">Product of the trailing shared axes.</param>
internal readonly record struct SharedAxes(long Outer, long Shared, long Units, long Run)
{
    /// <summary>Brings a shape and its shared axes to the form.</summary>
    /// <exception cref="ArgumentException">An axis does not exist, stands twice, or the axes lie in more than two runs.</exception>
    public static SharedAxes Of(string op, ReadOnlySpan<long> shape, ReadOnlySpan<int> axes)
    {
        bool[] isShared = new bool[shape.Length];
        foreach (int axis in axes)
        {
            if (axis < 0 || axis >= shape.Length || isShared[axis])
            {
                throw new ArgumentException(
                    $"{op}: axis {axis} does not exist in the shape {TensorShape.Format(shape)} or stands twice.", nameof(axes));
            }

            isShared[axis] = true;
        }

        // Walk from the last axis: run (shared), units, shared, outer; an axis of length 1 belongs anywhere.
        Span<long> parts = [1, 1, 1, 1];
        int part = 3;
        for (int axis = shape.Length - 1; axis >= 0; axis--)
        {
            if (shape[axis] == 1) continue;
            bool partIsShared = part is 3 or 1;
            if (isShared[axis] != partIsShared) part--;
            if (part < 0)
            {
                throw new ArgumentException(
                    $"{op}: the shared axes [{string.Join(", ", axes.ToArray())}] of {TensorShape.Format(shape)} "
                    + "lie in more than two runs.",
                    nameof(axes));
            }

            parts[part] *= shape[axis];
        }

        return new SharedAxes(parts[0], parts[1], parts[2], parts[3]);
    }
}
