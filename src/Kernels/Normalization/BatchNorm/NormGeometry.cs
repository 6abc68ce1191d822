using System.Numerics;
using Kernels.Devices;

namespace Kernels;

/// <summary>
/// A tensor as normalization sees it: [sets, outer, channels, inner]. A channel of a set is a unit, which has mean and variance of its own.
/// </summary>
internal readonly record struct NormGeometry(long Sets, long Outer, long Channels, long Inner)
{
    /// <summary>Places of a sample: elements of a plane, or rows where channels come last.</summary>
    public long Places { get; init; } = Inner;

    /// <summary>How many places of each sample count; absent where all do.</summary>
    public TensorArgument Lengths { get; init; }

    public long Units => Sets * Channels;

    /// <summary>Elements of a unit.</summary>
    public long Count => Outer * Inner;

    /// <summary>Elements of a row where rows are samples, or places of samples whose channels come last.</summary>
    public long Columns => Channels * Inner;

    /// <summary>True where neighbours in memory are of one channel.</summary>
    public bool HasPlanes => Inner > 1;

    public NormShapeArguments Argument =>
        new() { Sets = (ulong)Sets, Outer = (ulong)Outer, Channels = (ulong)Channels, Inner = (ulong)Inner };

    public NormLengthsArguments LengthsArgument
    {
        get
        {
            InvariantDivisor places = InvariantDivisor.Of(Math.Max(1, Places));
            return new NormLengthsArguments
            {
                Lengths = Lengths,
                Places = (ulong)Places,
                Inverse = places.Inverse,
                InverseShift = places.Shift,
            };
        }
    }

    /// <summary>What an int can number together with what lies beside it in its blocks of eight.</summary>
    private const long LongestRun = int.MaxValue - 15;

    /// <summary>The samples in sets of <paramref name="ghostSize"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">That is no number of samples that divides the batch.</exception>
    public NormGeometry InGhosts(string op, ReadOnlySpan<long> shape, long ghostSize)
    {
        if (ghostSize < 1 || shape[0] % ghostSize != 0)
        {
            throw new ArgumentOutOfRangeException(
                nameof(ghostSize), ghostSize, $"{op}: {nameof(ghostSize)} divides the batch of {TensorShape.Format(shape)}.");
        }

        long sets = shape[0] / ghostSize;
        return this with { Sets = sets, Outer = sets == 0 ? 0 : Outer / sets };
    }

    /// <summary>All samples as one set.</summary>
    /// <exception cref="ArgumentException">The shape has fewer than two dimensions or more than five, or an axis is too long.</exception>
    public static NormGeometry Of(string op, ReadOnlySpan<long> shape, string name, TensorLayout layout)
    {
        if (shape.Length is < 2 or > 5)
        {
            throw new ArgumentException(
                $"{op}: {name} has the shape {TensorShape.Format(shape)}, expected batch, channels and up to three spatial axes.", name);
        }

        bool hasPlanes = layout == TensorLayout.ChannelsFirst;
        if ((hasPlanes ? TensorShape.Count(shape[2..]) : shape[^1]) > LongestRun)
        {
            throw new ArgumentException(
                $"{op}: {name} has the shape {TensorShape.Format(shape)}; planes, or rows of channels, have at most {LongestRun} elements.",
                name);
        }

        return hasPlanes
            ? new NormGeometry(1, shape[0], shape[1], TensorShape.Count(shape[2..]))
            : new NormGeometry(1, TensorShape.Count(shape[..^1]), shape[^1], 1) { Places = TensorShape.Count(shape[1..^1]) };
    }
}

/// <summary>
/// How the planes of a unit are shared out: in parts of <paramref name="Share"/> places, a place being a block of eight elements of a
/// plane, <paramref name="Width"/> of which cover it wherever it begins.
/// </summary>
internal readonly record struct PlaneParts(long Width, long Splits, long Share)
{
    /// <summary>What an item adds up before sums are merged, in blocks: few enough elements that no digit is lost.</summary>
    private const long MostBlocks = 16;
    private const long FewestBlocks = 4;

    /// <summary>Blocks that cover so many neighbours wherever they begin; whole blocks begin with one.</summary>
    public static long BlocksOf(long elements) => elements % 8 == 0 ? elements / 8 : (elements + 14) / 8;

    public static PlaneParts Of(in NormGeometry geometry)
    {
        const long Group = KernelDefinition.DefaultGroupSize;
        long width = BlocksOf(geometry.Inner);
        long places = geometry.Outer * width;
        long splits = NormParts.Splits(places, geometry.Units, FewestBlocks * Group, MostBlocks * Group);
        long share = NormParts.CeilingOf(NormParts.CeilingOf(places, splits), Group) * Group;
        return new PlaneParts(width, NormParts.CeilingOf(places, share), share);
    }
}

/// <summary>
/// How rows of columns are shared out: tiles of 8 * <paramref name="Wide"/> columns, and parts of <paramref name="Share"/> rows of a set.
/// </summary>
internal readonly record struct ColumnParts(uint Wide, long Tiles, long Splits, long Share)
{
    /// <summary>The same 512 columns as in the kernels' text, and as many as fill a warp.</summary>
    private const long MostWide = 64, UsualWide = 32;

    /// <summary>What an item adds up before sums are merged, in rows.</summary>
    private const long MostRows = 128;
    private const long FewestRows = 8;

    public static ColumnParts Of(in NormGeometry geometry, bool sums)
    {
        const long Group = KernelDefinition.DefaultGroupSize;
        long blocks = NormParts.CeilingOf(geometry.Columns, 8);

        // Wider than a warp only where there are too few rows for what would be deep.
        long mostWide = Math.Clamp(Group / PowerOfTwo(geometry.Outer), UsualWide, MostWide);
        long wide = Math.Min(PowerOfTwo(blocks), mostWide), deep = Group / wide;
        long tiles = NormParts.CeilingOf(blocks, wide);
        long splits = NormParts.Splits(geometry.Outer, geometry.Sets * tiles, FewestRows * deep, sums ? MostRows * deep : long.MaxValue);
        long share = NormParts.CeilingOf(NormParts.CeilingOf(geometry.Outer, splits), deep) * deep;
        return new ColumnParts((uint)wide, tiles, NormParts.CeilingOf(geometry.Outer, share), share);
    }

    /// <summary>On the CPU: whole rows, and as many of them as are worth a hand-over and the merging of their sums.</summary>
    public static ColumnParts OfCores(in NormGeometry geometry)
    {
        const long FewestElements = 1 << 16, Rows = 64;
        long share = NormParts.CeilingOf(NormParts.CeilingOf(FewestElements, geometry.Columns), Rows) * Rows;
        return new ColumnParts(1, 1, NormParts.CeilingOf(geometry.Outer, share), share);
    }

    public long Jobs(in NormGeometry geometry) => geometry.Sets * Splits * Tiles;

    private static long PowerOfTwo(long count) => (long)BitOperations.RoundUpToPowerOf2((ulong)Math.Clamp(count, 1, 1 << 20));
}

/// <summary>Arithmetic of parts.</summary>
internal static class NormParts
{
    /// <summary>Jobs that keep a large GPU busy: eight groups for each of its multiprocessors, twice over.</summary>
    private const long Jobs = 2048;

    /// <summary>As many parts as fill a large GPU, of <paramref name="fewest"/> to <paramref name="most"/> pieces each.</summary>
    public static long Splits(long pieces, long others, long fewest, long most) =>
        Math.Clamp(CeilingOf(Jobs, others), CeilingOf(pieces, most), Math.Max(CeilingOf(pieces, most), CeilingOf(pieces, fewest)));

    public static long CeilingOf(long count, long size) => ((count - 1) / size) + 1;
}
