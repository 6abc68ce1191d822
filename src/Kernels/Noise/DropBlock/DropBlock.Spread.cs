namespace Kernels;

/// <summary>
/// One pass of the dilation: bits at distances 0 to Span - 1, and of those again Count times along each axis, Pitch bits apart.
/// </summary>
internal readonly partial record struct SpreadArguments
{
    /// <summary>Rows, or planes, that one pass combines; larger boxes are built from such.</summary>
    private const long MostCombined = 8;

    /// <summary>Neighbours that one pass combines within 64 bits.</summary>
    private const long MostNeighbours = 32;

    /// <summary>A pass that leaves bits as they are.</summary>
    public static SpreadArguments Nothing { get; } = new()
    {
        Span = 1,
        CountX = 1,
        PitchX = 1,
        CountY = 1,
        PitchY = 1,
        CountZ = 1,
        PitchZ = 1,
    };

    /// <summary>The distance, in bits, from a bit to its farthest source.</summary>
    public long Reach => (long)(Span - 1 + ((CountX - 1) * PitchX) + ((CountY - 1) * PitchY) + ((CountZ - 1) * PitchZ));

    /// <summary>The passes that together cover a block.</summary>
    public static List<SpreadArguments> For(in DropBlockGeometry geometry)
    {
        List<(long Count, long Step)> x = Factors(geometry.BlockWidth, MostNeighbours);
        List<(long Count, long Step)> y = Factors(geometry.BlockHeight, MostCombined);
        List<(long Count, long Step)> z = Factors(geometry.BlockDepth, MostCombined);
        List<SpreadArguments> passes = [];
        for (int i = 0; i < Math.Max(x.Count, Math.Max(y.Count, z.Count)); i++)
        {
            ((long countX, long stepX), (long countY, long stepY), (long countZ, long stepZ)) = (At(x, i), At(y, i), At(z, i));
            passes.Add(new SpreadArguments
            {
                Span = (ulong)(i == 0 ? countX : 1),
                CountX = (ulong)(i == 0 ? 1 : countX),
                PitchX = (ulong)stepX,
                CountY = (ulong)countY,
                PitchY = (ulong)(stepY * geometry.Width),
                CountZ = (ulong)countZ,
                PitchZ = (ulong)(stepZ * geometry.Width * geometry.Height),
            });
        }

        return passes;

        static (long Count, long Step) At(List<(long Count, long Step)> factors, int index) =>
            index < factors.Count ? factors[index] : (1, 1);
    }

    /// <summary>
    /// A window of <paramref name="size"/> as windows of windows: copies of one that is already there, at most its own size apart.
    /// </summary>
    private static List<(long Count, long Step)> Factors(long size, long most)
    {
        if (size <= most) return [(size, 1)];
        long count = Math.Min(MostCombined, (size + most - 1) / most), step = size / count;
        return [.. Factors(size - ((count - 1) * step), most), (count, step)];
    }
}
