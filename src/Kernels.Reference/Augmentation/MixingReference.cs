namespace Kernels.Reference;

/// <summary>Partners, lambdas and boxes of mixup and CutMix, and what is made of them.</summary>
public static class MixingReference
{
    private const double TwoTo32 = 4294967296.0;
    private const double Units = 16777216.0;

    /// <summary>
    /// A Beta(a, a) number from two random words, to the nearest 2^-24: L. Devroye, "Random variate generation in one line of code", WSC
    /// 1996.
    /// </summary>
    public static double Lambda(uint powerWord, uint angleWord, double alpha)
    {
        // u is a float by definition, as it is for normal numbers.
        float u = (float)(((double)(float)powerWord / TwoTo32) + (0.5 / TwoTo32));
        double p = Math.Pow(u, 1 / alpha), cosine = Math.Cos(2 * Math.PI * angleWord / TwoTo32);
        double q = p / (p + ((1 - p) * cosine * cosine));
        double root = Math.Sqrt(1 - q);
        return Math.Round(Units * (cosine < 0 ? 1 - root : 1 + root) / 2) / Units;
    }

    /// <summary>
    /// Where a keyed permutation of 0 to size - 1 takes an index: eight rounds of a Feistel network, until it is an index.
    /// </summary>
    public static int Permuted(uint[] roundKeys, int size, int index)
    {
        int bits = Math.Max(2, (int)Math.Ceiling(Math.Log2(size)));
        uint lowSize = 1u << (bits / 2), highSize = 1u << (bits - (bits / 2));
        uint place = (uint)index;
        do
        {
            uint high = place / lowSize, low = place % lowSize;
            for (int round = 0; round < 8; round++)
            {
                if (round % 2 == 0)
                    high ^= Mixed(low ^ roundKeys[round]) % highSize;
                else
                    low ^= Mixed(high ^ roundKeys[round]) % lowSize;
            }

            place = (high * lowSize) + low;
        }
        while (place >= size);
        return (int)place;
    }

    /// <summary>Partners and lambdas of a batch.</summary>
    /// <param name="ids">Sample numbers.</param>
    /// <param name="classes">Classes that partners must share; empty where they need not.</param>
    /// <param name="poolRows">Rows of the data set the partners come from, 0 for the batch.</param>
    /// <param name="seed">Seed of the key.</param>
    /// <param name="offset">Offset of the key.</param>
    /// <param name="op">Number of the op.</param>
    /// <param name="alpha">The parameter of Beta(a, a).</param>
    /// <param name="skipProbability">Probability to leave a row as it is.</param>
    /// <param name="ofBatch">One lambda for all.</param>
    /// <param name="pairs">For each row its partner and the row whose partner it is.</param>
    /// <param name="lambdas">For each row its lambda.</param>
    /// <param name="draws">For each row the words its lambda was made of, the last two for a box.</param>
    public static void Draw(
        ulong[] ids, int[] classes, int poolRows, ulong seed, ulong offset, uint op, double alpha, double skipProbability, bool ofBatch,
        int[] pairs, double[] lambdas, uint[][] draws)
    {
        int rows = ids.Length;
        if (rows == 0) return;
        ulong lowest = ids.Min();
        int[] order = [.. Enumerable.Range(0, rows).OrderBy(row => classes.Length > 0 ? classes[row] : 0).ThenBy(row => ids[row])];
        Array.Fill(pairs, -1);
        for (int place = 0; place < rows; place++)
        {
            int row = order[place];
            int[] alike = classes.Length > 0 ? [.. order.Where(other => classes[other] == classes[row])] : order;
            int first = Array.IndexOf(order, alike[0]);
            uint draw = 2 + (2 * (uint)(poolRows > 0 ? 0 : first));
            ulong owner = poolRows > 0 ? ulong.MaxValue : lowest;
            uint[] roundKeys =
            [
                .. AugmentKeyReference.Draw(seed, offset, owner, op, draw), .. AugmentKeyReference.Draw(seed, offset, owner, op, draw + 1),
            ];
            if (poolRows > 0)
            {
                pairs[2 * row] = Permuted(roundKeys, poolRows, (int)ids[row]);
            }
            else
            {
                int partner = alike[Permuted(roundKeys, alike.Length, place - first)];
                pairs[2 * row] = partner;
                pairs[(2 * partner) + 1] = row;
            }

            ulong drawer = ofBatch ? lowest : ids[row];
            draws[row] = AugmentKeyReference.Draw(seed, offset, drawer, op, 0);
            lambdas[row] = Lambda(draws[row][0], draws[row][1], alpha);
            int threshold = DropoutReference.Threshold(skipProbability);
            if (threshold < 65536 && (AugmentKeyReference.Draw(seed, offset, drawer, op, 1)[0] & 0xffff) >= threshold) lambdas[row] = 1;
        }
    }

    /// <summary>The box of CutMix for a lambda, clipped: top, left, bottom, right.</summary>
    public static int[] Box(double lambda, uint rowWord, uint columnWord, int height, int width)
    {
        (int top, int bottom) = Side(lambda, rowWord, height);
        (int left, int right) = Side(lambda, columnWord, width);
        return [top, left, bottom, right];
    }

    /// <summary>What is left of an image's area, to the nearest 2^-24.</summary>
    public static double Share(int[] box, int height, int width)
    {
        double area = (double)(box[2] - box[0]) * (box[3] - box[1]);
        return 1 - (Math.Floor((area / height / width * Units) + 0.5) / Units);
    }

    /// <summary>y[i] = lambda[i] x[i] + (1 - lambda[i]) pool[partner of i]; a term of weight 0 counts for nothing.</summary>
    public static void Mix(double[] x, double[] pool, int[] pairs, double[] lambdas, double[] y)
    {
        int run = lambdas.Length == 0 ? 0 : y.Length / lambdas.Length;
        for (int row = 0; row < lambdas.Length; row++)
        {
            for (int i = 0; i < run; i++)
            {
                int partner = pairs[2 * row];
                double own = lambdas[row] == 0 ? 0 : lambdas[row] * x[(row * run) + i];
                double missing = partner == -1 ? 0 : 1 - lambdas[row];
                y[(row * run) + i] = missing == 0 ? own : lambdas[row] == 0
                    ? missing * pool[(partner * run) + i] : own + (missing * pool[(partner * run) + i]);
            }
        }
    }

    /// <summary>dx[i] = lambda[i] dy[i] + (1 - lambda[j]) dy[j], where i is the partner of j.</summary>
    public static void MixBackward(double[] dy, int[] pairs, double[] lambdas, double[] dx)
    {
        int run = lambdas.Length == 0 ? 0 : dx.Length / lambdas.Length;
        for (int row = 0; row < lambdas.Length; row++)
        {
            int taker = pairs[(2 * row) + 1];
            double missing = taker == -1 ? 0 : 1 - lambdas[taker];
            for (int i = 0; i < run; i++)
            {
                double own = lambdas[row] == 0 ? 0 : lambdas[row] * dy[(row * run) + i];
                dx[(row * run) + i] = missing == 0 ? own : lambdas[row] == 0
                    ? missing * dy[(taker * run) + i] : own + (missing * dy[(taker * run) + i]);
            }
        }
    }

    /// <summary>y = x outside of each image's box, the partner inside.</summary>
    public static void Paste(double[] x, double[] pool, int[] pairs, int[] boxes, double[] y, ImageReference images)
    {
        images.ForEach((index, image, _, row, column) =>
        {
            int partner = pairs[2 * image];
            y[index] = !ImageReference.IsInBox(boxes, image, row, column) ? x[index]
                : partner == -1 ? 0 : pool[index + ((partner - image) * images.Elements)];
        });
    }

    /// <summary>dx = dy outside of the image's box, plus the gradient of what another image took of it.</summary>
    public static void PasteBackward(double[] dy, int[] pairs, int[] boxes, double[] dx, ImageReference images)
    {
        images.ForEach((index, image, _, row, column) =>
        {
            int taker = pairs[(2 * image) + 1];
            bool kept = !ImageReference.IsInBox(boxes, image, row, column);
            bool taken = taker != -1 && ImageReference.IsInBox(boxes, taker, row, column);
            double other = taken ? dy[index + ((taker - image) * images.Elements)] : 0;
            dx[index] = kept ? (taken ? dy[index] + other : dy[index]) : other;
        });
    }

    private static (int Start, int Stop) Side(double lambda, uint word, int length)
    {
        int side = (int)Math.Floor(length * Math.Sqrt(1 - lambda));
        int start = (int)Math.Floor(word / TwoTo32 * length) - (side / 2);
        return (Math.Max(0, start), Math.Min(length, start + side));
    }

    private static uint Mixed(uint x)
    {
        unchecked
        {
            x = (x ^ (x >> 16)) * 0x7feb352d;
            x = (x ^ (x >> 15)) * 0x846ca68b;
            return x ^ (x >> 16);
        }
    }
}
