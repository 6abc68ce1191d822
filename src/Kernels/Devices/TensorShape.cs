namespace Kernels.Devices;

/// <summary>Arithmetic and text of shapes.</summary>
internal static class TensorShape
{
    /// <summary>Number of elements; 1 for the empty shape (a scalar).</summary>
    public static long Count(ReadOnlySpan<long> shape)
    {
        // A zero anywhere makes the tensor empty, whatever the other dimensions multiply to.
        bool empty = shape.Contains(0);
        long count = 1;
        foreach (long dimension in shape)
        {
            if (dimension < 0) throw new ArgumentOutOfRangeException(nameof(shape), Format(shape), "a dimension is negative");
            try
            {
                count = empty ? 0 : checked(count * dimension);
            }
            catch (OverflowException)
            {
                throw new ArgumentOutOfRangeException(nameof(shape), Format(shape), "the number of elements exceeds 2^63");
            }
        }

        return count;
    }

    /// <summary>
    /// Whether strides, in elements, are those of dense rows. Where a dimension is 1, or nothing is there, they mean nothing.
    /// </summary>
    public static bool IsDense(ReadOnlySpan<long> shape, ReadOnlySpan<long> strides)
    {
        if (shape.Contains(0)) return true;
        long expected = 1;
        for (int i = shape.Length - 1; i >= 0; i--)
        {
            if (shape[i] != 1 && strides[i] != expected) return false;
            expected *= shape[i];
        }

        return true;
    }

    /// <summary>For messages: <c>[32, 64, 7, 7]</c>.</summary>
    public static string Format(ReadOnlySpan<long> shape) => $"[{string.Join(", ", shape.ToArray())}]";
}
