using System.Collections.Concurrent;

namespace Kernels;

/// <summary>The rate of <see cref="DropBlock"/>: gives gamma, the probability that a block starts at a position where it fits.</summary>
/// <remarks>
/// Blocks overlap, so the share of dropped cells is less than gamma times the cells of a block. The paper's formula leaves that out and
/// drops less than asked for;
/// <see cref="Exact"/> solves for the gamma that drops what was asked for.
/// </remarks>
public readonly record struct DropBlockRate
{
    private readonly Rule _rule;
    private readonly double _value;

    private DropBlockRate(Rule rule, double value)
    {
        _rule = rule;
        _value = value;
    }

    private enum Rule
    {
        Exact,
        Paper,
        Gamma,
    }

    /// <summary>The expected share of dropped cells is p: 1 - mean over cells of (1 - gamma)^(blocks that cover the cell) = p.</summary>
    /// <exception cref="ArgumentOutOfRangeException">p is NaN or outside [0, 1].</exception>
    public static DropBlockRate Exact(double dropProbability) => new(Rule.Exact, Valid(dropProbability, nameof(dropProbability)));

    /// <summary>
    /// The paper's formula, which torchvision and the authors' code use: gamma = p * cells of the map / (cells of a block * positions), at
    /// most 1; p = 1 drops all.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">p is NaN or outside [0, 1].</exception>
    public static DropBlockRate Paper(double dropProbability) => new(Rule.Paper, Valid(dropProbability, nameof(dropProbability)));

    /// <summary>gamma itself.</summary>
    /// <exception cref="ArgumentOutOfRangeException">gamma is NaN or outside [0, 1].</exception>
    public static DropBlockRate FromGamma(double gamma) => new(Rule.Gamma, Valid(gamma, nameof(gamma)));

    /// <inheritdoc/>
    public override string ToString() => $"{_rule} {_value}";

    internal double GammaFor(in DropBlockGeometry geometry) => _rule switch
    {
        Rule.Exact => DropBlockGamma.Exact(geometry, _value),
        Rule.Paper => DropBlockGamma.Paper(geometry, _value),
        _ => _value,
    };

    private static double Valid(double value, string name) => value is >= 0 and <= 1
        ? value
        : throw new ArgumentOutOfRangeException(name, value, $"DropBlock: {name} lies in [0, 1].");
}

/// <summary>The realised numbers of <see cref="DropBlock"/> for a map, a block and a rate.</summary>
/// <param name="Gamma">The realised probability that a block starts at a position: a multiple of 2^-32.</param>
/// <param name="DropProbability">The expected share of dropped cells under that gamma.</param>
public readonly record struct DropBlockPlan(double Gamma, double DropProbability)
{
    private const double Steps = 4294967296;

    /// <summary>A position starts a block iff its 32 random bits are below this.</summary>
    internal ulong Threshold => (ulong)(Gamma * Steps);

    internal static DropBlockPlan Create(in DropBlockGeometry geometry, DropBlockRate rate)
    {
        double gamma = rate.GammaFor(geometry);
        double threshold = gamma is 0 or 1 ? gamma * Steps : Math.Clamp(Math.Floor((gamma * Steps) + 0.5), 1, Steps - 1);
        return new DropBlockPlan(threshold / Steps, DropBlockGamma.DropProbability(geometry, threshold / Steps));
    }
}

/// <summary>Map, block and the positions where the block fits: three axes each, leading ones 1 where there are fewer.</summary>
internal readonly record struct DropBlockGeometry(long Depth, long Height, long Width, long BlockDepth, long BlockHeight, long BlockWidth)
{
    public long SeedDepth => Depth - BlockDepth + 1;

    public long SeedHeight => Height - BlockHeight + 1;

    public long SeedWidth => Width - BlockWidth + 1;

    public long Cells => Depth * Height * Width;

    public long BlockCells => BlockDepth * BlockHeight * BlockWidth;

    public long Positions => SeedDepth * SeedHeight * SeedWidth;

    /// <summary>The block is clamped to the map; one size serves all axes.</summary>
    public static DropBlockGeometry Create(string op, ReadOnlySpan<long> map, ReadOnlySpan<long> blockSize)
    {
        if (map.Length is < 1 or > 3)
            throw new ArgumentException($"{op}: a map has 1, 2 or 3 axes, not {map.Length}.", nameof(map));
        if (blockSize.Length != 1 && blockSize.Length != map.Length)
        {
            throw new ArgumentException(
                $"{op}: {nameof(blockSize)} has {blockSize.Length} values for {map.Length} axes.", nameof(blockSize));
        }

        Span<long> sizes = [1, 1, 1];
        Span<long> blocks = [1, 1, 1];
        for (int axis = 0; axis < map.Length; axis++)
        {
            long block = blockSize[blockSize.Length == 1 ? 0 : axis];
            if (map[axis] < 1)
                throw new ArgumentOutOfRangeException(nameof(map), map[axis], $"{op}: an axis of a map has at least one cell.");
            if (block < 1) throw new ArgumentOutOfRangeException(nameof(blockSize), block, $"{op}: {nameof(blockSize)} is at least 1.");
            int to = axis + 3 - map.Length;
            sizes[to] = map[axis];
            blocks[to] = Math.Min(block, map[axis]);
        }

        return new DropBlockGeometry(sizes[0], sizes[1], sizes[2], blocks[0], blocks[1], blocks[2]);
    }
}

/// <summary>gamma from the drop probability, and back.</summary>
internal static class DropBlockGamma
{
    /// <summary>The steps in which gamma is realised.</summary>
    private const long Steps = 1L << 32;

    /// <summary>More shapes than any network has; beyond it the cache starts anew.</summary>
    private const int CacheSize = 1024;

    private static readonly ConcurrentDictionary<(DropBlockGeometry, DropBlockRate), DropBlockPlan> Plans = new();

    public static DropBlockPlan Plan(in DropBlockGeometry geometry, DropBlockRate rate)
    {
        if (Plans.TryGetValue((geometry, rate), out DropBlockPlan plan)) return plan;
        if (Plans.Count >= CacheSize) Plans.Clear();
        return Plans[(geometry, rate)] = DropBlockPlan.Create(geometry, rate);
    }

    public static double Paper(in DropBlockGeometry geometry, double dropProbability) =>
        dropProbability == 1 ? 1 : Math.Min(1, dropProbability / geometry.BlockCells * geometry.Cells / geometry.Positions);

    /// <summary>The multiple of 2^-32 whose drop probability is the closest: bisection, as dropping grows with gamma.</summary>
    public static double Exact(in DropBlockGeometry geometry, double dropProbability)
    {
        if (dropProbability is 0 or 1) return dropProbability;
        (double Coverage, double Share)[] coverage = Coverage(geometry);
        long below = 0, above = Steps;
        while (above - below > 1)
        {
            long middle = below + ((above - below) / 2);
            if (DropProbability(coverage, (double)middle / Steps) < dropProbability)
                below = middle;
            else
                above = middle;
        }

        double tooLittle = dropProbability - DropProbability(coverage, (double)below / Steps);
        double tooMuch = DropProbability(coverage, (double)above / Steps) - dropProbability;
        return (double)Math.Clamp(tooMuch <= tooLittle ? above : below, 1, Steps - 1) / Steps;
    }

    /// <summary>1 - mean over cells of (1 - gamma)^(blocks that cover the cell).</summary>
    public static double DropProbability(in DropBlockGeometry geometry, double gamma) => DropProbability(Coverage(geometry), gamma);

    private static double DropProbability((double Coverage, double Share)[] coverage, double gamma)
    {
        double dropped = 0;
        foreach ((double blocks, double share) in coverage) dropped += share * (1 - Math.Pow(1 - gamma, blocks));
        return dropped;
    }

    /// <summary>The number of positions that cover a cell, and the share of the cells covered by as many.</summary>
    private static (double Coverage, double Share)[] Coverage(in DropBlockGeometry geometry)
    {
        Dictionary<long, long> cells = new() { [1] = 1 };
        Multiply(geometry.Depth, geometry.BlockDepth);
        Multiply(geometry.Height, geometry.BlockHeight);
        Multiply(geometry.Width, geometry.BlockWidth);
        double all = geometry.Cells;
        return [.. cells.OrderBy(entry => entry.Key).Select(entry => ((double)entry.Key, entry.Value / all))];

        void Multiply(long size, long block)
        {
            // Starts from max(0, x - block + 1) to min(x, size - block) cover x: 1, 2, ... up to the largest count, many of those, and down
            // again.
            long most = Math.Min(block, size - block + 1);
            Dictionary<long, long> product = [];
            foreach ((long blocks, long number) in cells)
            {
                for (long count = 1; count < most; count++) Add(blocks * count, 2 * number);
                Add(blocks * most, number * (size - (2 * (most - 1))));
            }

            cells = product;

            void Add(long blocks, long number) => product[blocks] = product.GetValueOrDefault(blocks) + number;
        }
    }
}
