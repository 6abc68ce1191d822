namespace Kernels;

/// <summary>Bounds that a number is drawn between.</summary>
/// <param name="Low">The least.</param>
/// <param name="High">The largest; no less than <paramref name="Low"/>.</param>
public readonly record struct AugmentRange(double Low, double High)
{
    /// <summary>Always this number.</summary>
    public static implicit operator AugmentRange(double value) => new(value, value);

    /// <summary>The least, then the largest.</summary>
    public static implicit operator AugmentRange((double Low, double High) bounds) => new(bounds.Low, bounds.High);

    /// <summary>For messages: <c>[0.5, 2]</c>.</summary>
    public override string ToString() => $"[{Low}, {High}]";
}
