namespace Kernels.Reference;

/// <summary>Augmentation in feature space.</summary>
public static class FeatureReference
{
    /// <summary>For each row the nearest others of its class, the lower row first at the same distance, then -1.</summary>
    public static int[] Neighbours(double[] features, int[] labels, int wanted)
    {
        int rows = labels.Length, run = rows == 0 ? 0 : features.Length / rows;
        int[] neighbours = new int[rows * wanted];
        Array.Fill(neighbours, -1);
        for (int row = 0; row < rows; row++)
        {
            int[] nearest = [.. Enumerable.Range(0, rows).Where(other => other != row && labels[other] == labels[row])
                .OrderBy(other => Distance(features, row, other, run)).Take(wanted)];
            nearest.CopyTo(neighbours, row * wanted);
        }

        return neighbours;
    }

    /// <summary>Standard deviations of each feature over the rows of each class, 0 for less than two.</summary>
    public static void Deviations(double[] features, int[] labels, int classes, double[] deviations)
    {
        int run = classes == 0 ? 0 : deviations.Length / classes, rows = labels.Length;
        for (int own = 0; own < classes; own++)
        {
            int[] members = [.. Enumerable.Range(0, rows).Where(row => labels[row] == own)];
            for (int feature = 0; feature < run; feature++)
            {
                if (members.Length < 2) continue;
                double mean = members.Average(row => features[(row * run) + feature]);
                double variance = members.Average(row => Math.Pow(features[(row * run) + feature] - mean, 2));
                deviations[(own * run) + feature] = Math.Sqrt(variance);
            }
        }
    }

    /// <summary>y = x + factor sigma z with each sample's own normal numbers; a row without a class is copied.</summary>
    public static void Noise(
        double[] x, ulong[] ids, int[] labels, double[] deviations, double[] y, double factor, ulong seed, ulong offset, uint op)
    {
        int run = ids.Length == 0 ? 0 : x.Length / ids.Length, classes = run == 0 ? 0 : deviations.Length / run;
        for (int row = 0; row < ids.Length; row++)
        {
            uint[] own = PhiloxReference.Block(seed, ~offset, ids[row]);
            ulong sampleSeed = own[0] + (own[1] * 4294967296UL), first = 4 * ((op * 4294967296UL) + 65536);
            for (int feature = 0; feature < run; feature++)
            {
                double deviation = labels[row] >= 0 && labels[row] < classes ? factor * deviations[(labels[row] * run) + feature] : 0;
                double noise = deviation == 0 ? 0 : deviation * GaussianReference.Normal(sampleSeed, offset, first + (ulong)feature);
                y[(row * run) + feature] = x[(row * run) + feature] + noise;
            }
        }
    }

    /// <summary>y = (1 - l) x + l neighbour; negative steps go away from it. A row without neighbours is copied.</summary>
    public static void Step(
        double[] x, double[] pool, ulong[] ids, int[] neighbours, double[] y, double least, double most, ulong seed, ulong offset, uint op)
    {
        int rows = ids.Length, run = rows == 0 ? 0 : x.Length / rows, kept = rows == 0 ? 0 : neighbours.Length / rows;
        for (int row = 0; row < rows; row++)
        {
            int[] own = [.. neighbours.Skip(row * kept).Take(kept).TakeWhile(neighbour => neighbour != -1)];
            uint[] words = AugmentKeyReference.Draw(seed, offset, ids[row], op, 0);
            double step = least + (AugmentKeyReference.Unit(words[1]) * (most - least));
            for (int feature = 0; feature < run; feature++)
            {
                double value = x[(row * run) + feature];
                if (own.Length > 0 && step != 0)
                {
                    int neighbour = own[(int)(words[0] / 4294967296.0 * own.Length)];
                    double other = step * pool[(neighbour * run) + feature];
                    value = step == 1 ? other : ((1 - step) * value) + other;
                }

                y[(row * run) + feature] = value;
            }
        }
    }

    private static double Distance(double[] features, int row, int other, int run)
    {
        double sum = 0;
        for (int i = 0; i < run; i++) sum += Math.Pow(features[(row * run) + i] - features[(other * run) + i], 2);
        return double.IsNaN(sum) ? double.PositiveInfinity : (float)sum;
    }
}
