namespace Kernels.Reference;

/// <summary>
/// DropBlock as specified, over maps of three axes (leading ones 1 where there are fewer): G. Ghiasi, T.-Y. Lin and Q. V. Le, NeurIPS 2018.
/// Position i, counted over those where the block fits, starts a block iff its 32 random bits are below the threshold; a cell is dropped
/// when a block covers it.
/// </summary>
public static class DropBlockReference
{
    private const double TwoTo32 = 4294967296.0;

    /// <summary>gamma of the paper: the drop probability times cells of the map over cells of all blocks; 1 for p = 1.</summary>
    public static double PaperGamma(ReadOnlySpan<int> map, ReadOnlySpan<int> block, double dropProbability)
    {
        if (dropProbability == 1) return 1;
        double gamma = dropProbability;
        for (int axis = 0; axis < map.Length; axis++) gamma *= (double)map[axis] / block[axis] / (map[axis] - block[axis] + 1);
        return Math.Min(1, gamma);
    }

    /// <summary>
    /// The expected share of dropped cells: the mean over cells of 1 - (1 - gamma)^(positions whose block covers the cell).
    /// </summary>
    public static double DropProbability(ReadOnlySpan<int> map, ReadOnlySpan<int> block, double gamma)
    {
        double dropped = 0;
        for (int z = 0; z < map[0]; z++)
        {
            for (int y = 0; y < map[1]; y++)
            {
                for (int x = 0; x < map[2]; x++)
                {
                    int covering = Covering(z, map[0], block[0]) * Covering(y, map[1], block[1]) * Covering(x, map[2], block[2]);
                    dropped += 1 - Math.Pow(1 - gamma, covering);
                }
            }
        }

        return dropped / (map[0] * map[1] * map[2]);
    }

    /// <summary>The gamma that drops the share asked for, by bisection.</summary>
    public static double ExactGamma(ReadOnlySpan<int> map, ReadOnlySpan<int> block, double dropProbability)
    {
        if (dropProbability is 0 or 1) return dropProbability;
        (double below, double above) = (0, 1);
        for (int step = 0; step < 60; step++)
        {
            double middle = (below + above) / 2;
            if (DropProbability(map, block, middle) < dropProbability)
                below = middle;
            else
                above = middle;
        }

        return below;
    }

    /// <summary>gamma in steps of 2^-32, at least one step from 0 and from 1 unless it is 0 or 1.</summary>
    public static double Threshold(double gamma) =>
        gamma is 0 or 1 ? gamma * TwoTo32 : Math.Clamp(Math.Floor((gamma * TwoTo32) + 0.5), 1, TwoTo32 - 1);

    /// <summary>
    /// True when position <paramref name="unit"/> starts a block. The upper half of its 32 bits is its lane, the lower half the lane of
    /// unit 2^63 + unit.
    /// </summary>
    public static bool StartsBlock(double threshold, ulong seed, ulong offset, ulong unit)
    {
        double upper = PhiloxReference.Lane(seed, offset, unit), lower = PhiloxReference.Lane(seed, offset, (1UL << 63) + unit);
        return (65536 * upper) + lower < threshold;
    }

    /// <summary>The kept cells of a number of maps, in dense order.</summary>
    public static bool[] Keep(
        int maps, ReadOnlySpan<int> map, ReadOnlySpan<int> block, double threshold, ulong seed, ulong offset, ulong firstMap)
    {
        bool[] keep = new bool[maps * map[0] * map[1] * map[2]];
        Array.Fill(keep, true);
        ulong unit = firstMap * (ulong)((map[0] - block[0] + 1) * (map[1] - block[1] + 1) * (map[2] - block[2] + 1));
        for (int m = 0; m < maps; m++)
        {
            for (int z = 0; z + block[0] <= map[0]; z++)
            {
                for (int y = 0; y + block[1] <= map[1]; y++)
                {
                    for (int x = 0; x + block[2] <= map[2]; x++)
                    {
                        if (StartsBlock(threshold, seed, offset, unit++)) Drop(m, z, y, x, map, block);
                    }
                }
            }
        }

        return keep;

        void Drop(int m, int z, int y, int x, ReadOnlySpan<int> map, ReadOnlySpan<int> block)
        {
            for (int dz = 0; dz < block[0]; dz++)
            {
                for (int dy = 0; dy < block[1]; dy++)
                {
                    for (int dx = 0; dx < block[2]; dx++) keep[((((((m * map[0]) + z + dz) * map[1]) + y + dy) * map[2]) + x + dx)] = false;
                }
            }
        }
    }

    /// <summary>
    /// Whether each element is kept, [samples, channels, cells] or [samples, cells, channels]; channels may share a mask.
    /// </summary>
    public static bool[] OfElements(ReadOnlySpan<bool> keep, int samples, int channels, int cells, bool isShared, bool isChannelsLast)
    {
        bool[] elements = new bool[samples * channels * cells];
        for (int n = 0; n < samples; n++)
        {
            for (int c = 0; c < channels; c++)
            {
                for (int cell = 0; cell < cells; cell++)
                {
                    int map = isShared ? n : (n * channels) + c;
                    int i = isChannelsLast ? (((n * cells) + cell) * channels) + c : (((n * channels) + c) * cells) + cell;
                    elements[i] = keep[(map * cells) + cell];
                }
            }
        }

        return elements;
    }

    /// <summary>Cells over kept cells of each unit of <paramref name="unitCells"/> neighbours; 0 where none is kept.</summary>
    public static double[] Scales(ReadOnlySpan<bool> keep, int unitCells)
    {
        double[] scales = new double[keep.Length / unitCells];
        for (int unit = 0; unit < scales.Length; unit++)
        {
            int kept = 0;
            for (int cell = 0; cell < unitCells; cell++) kept += keep[(unit * unitCells) + cell] ? 1 : 0;
            scales[unit] = kept == 0 ? 0 : (double)unitCells / kept;
        }

        return scales;
    }

    /// <summary>The noise in element <paramref name="index"/> of the tensor in memory order.</summary>
    public static double Noise(ulong seed, ulong offset, ulong index) => GaussianReference.Normal(seed, offset, (1UL << 63) + index);

    /// <summary>From max(0, x - block + 1) to min(x, map - block).</summary>
    private static int Covering(int x, int map, int block) => Math.Min(x, map - block) - Math.Max(0, x - block + 1) + 1;
}
