using Kernels.Cpu;
using Xunit;

namespace Kernels.Tests.Cpu;

/// <summary>The managed matrix product against a plain double loop, for every way a tile, a panel, a slice or a block can end.</summary>
public sealed unsafe class CpuGemmTests
{
    /// <summary>Zero; around the tile heights (4, 6, 8, 12) and panel widths (4 to 32) of all vector sizes; several tiles.</summary>
    private static readonly int[] Sizes = [0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 100, 129, 257];

    /// <summary>What blocking cuts: k around one slice and over several, more rows or columns than a block, a split to threads.</summary>
    private static readonly (int M, int N, int K)[] BlockedShapes =
    [
        (13, 33, 271), (12, 32, 272), (25, 17, 273), (3, 5, 1201), (371, 40, 300), (7, 1100, 280), (365, 530, 9),
        (50, 512, 60), (300, 10, 150),
    ];

    [Fact]
    public void Float_MatchesDoubleLoop() => CheckAllShapes<float>(storageRounding: 0);

    [Fact]
    public void Half_MatchesDoubleLoop() => CheckAllShapes<Half>(storageRounding: 1.0 / (1 << 11));

    [Fact]
    public void BFloat16_MatchesDoubleLoop() => CheckAllShapes<BFloat16>(storageRounding: 1.0 / (1 << 8));

    [Fact]
    public void Double_MatchesDoubleLoop() => CheckAllShapes<double>(storageRounding: 0);

    [Fact]
    public void EmptyDepth_GivesBiasOrZero()
    {
        float[] bias = [1, 2, 3];
        float[] c = [float.NaN, float.NaN, float.NaN, float.NaN, float.NaN, float.NaN];
        fixed (float* pBias = bias, pC = c)
        {
            CpuGemm.Multiply<float>(2, 3, 0, null, 0, 1, null, 3, 1, pBias, pC, 3);
            Assert.Equal([1, 2, 3, 1, 2, 3], c);
            CpuGemm.Multiply<float>(2, 3, 0, null, 0, 1, null, 3, 1, null, pC, 3);
            Assert.Equal([0, 0, 0, 0, 0, 0], c);
        }
    }

    [Fact]
    public void SpecialValues_ReachTheirRowAndColumnOnly()
    {
        const int M = 30, N = 70, K = 300;
        float[] a = Values<float>(M * K, 1), b = Values<float>(K * N, 2), c = new float[M * N];
        a[(7 * K) + 299] = float.NaN;
        b[(150 * N) + 66] = float.PositiveInfinity;
        Multiply(M, N, K, a, b, c);
        for (int row = 0; row < M; row++)
        {
            for (int column = 0; column < N; column++)
            {
                float expected = row == 7 ? float.NaN : column == 66 ? a[(row * K) + 150] * float.PositiveInfinity : 0;
                float actual = c[(row * N) + column];
                Assert.True(expected == 0 ? float.IsFinite(actual) : expected.Equals(actual), $"[{row},{column}] = {actual}");
            }
        }
    }

    /// <summary>The element's arithmetic depends on k alone: not on the tile it falls into, nor on which thread comes first.</summary>
    [Fact]
    public void Elements_HaveTheSameBitsInAnyShapeAndRun()
    {
        const int M = 401, N = 95, K = 290;
        float[] a = Values<float>(M * K, 1), b = Values<float>(K * N, 2), whole = new float[M * N], again = new float[M * N];
        Multiply(M, N, K, a, b, whole);
        Multiply(M, N, K, a, b, again);
        Assert.Equal(whole, again);

        for (int row = 0; row < M; row += 43)
        {
            float[] single = new float[N];
            Multiply(1, N, K, a[(row * K)..((row + 1) * K)], b, single);
            Assert.Equal(whole[(row * N)..((row + 1) * N)], single);
        }
    }

    private static void Multiply(int m, int n, int k, float[] a, float[] b, float[] c)
    {
        fixed (float* pA = a, pB = b, pC = c) CpuGemm.Multiply(m, n, k, pA, k, 1, pB, n, 1, null, pC, n);
    }

    /// <summary>Every size of m with every size of n; k, the layouts and the bias take turns.</summary>
    private static void CheckAllShapes<T>(double storageRounding)
        where T : unmanaged
    {
        int turn = 0;
        for (int i = 0; i < Sizes.Length; i++)
        {
            for (int j = 0; j < Sizes.Length; j++)
            {
                int k = Sizes[((i * 5) + (j * 7)) % Sizes.Length];
                Check<T>(Sizes[i], Sizes[j], k, turn++, storageRounding);
                Check<T>(Sizes[i], k, Sizes[j], turn++ * 5, storageRounding);
            }
        }

        foreach (var (m, n, k) in BlockedShapes)
        {
            for (int layout = 0; layout < 4; layout++) Check<T>(m, n, k, layout + (4 * (turn++ % 4)), storageRounding);
        }
    }

    /// <summary>Options, bit 0: a is transposed; bit 1: b is transposed; bit 2: with bias; bit 3: rows and elements lie apart.</summary>
    private static void Check<T>(int m, int n, int k, int options, double storageRounding)
        where T : unmanaged
    {
        bool apart = (options & 8) != 0;
        int step = apart && m % 2 == 0 ? 2 : 1;
        var (aRow, aColumn) = Strides(m, k, (options & 1) != 0);
        var (bRow, bColumn) = Strides(k, n, (options & 2) != 0);
        int cRow = n + (apart ? 3 : 0);
        T[] a = Values<T>(((m + 1) * aRow) + ((k + 1) * aColumn), 1);
        T[] b = Values<T>(((k + 1) * bRow) + ((n + 1) * bColumn), 2);
        T[] bias = Values<T>(n + 1, 3);
        T[] c = new T[((m + 1) * cRow) + 1];
        Array.Fill(c, CpuElement.FromSingle<T>(float.NaN));

        fixed (T* pA = a, pB = b, pBias = bias, pC = c)
        {
            CpuGemm.Multiply(m, n, k, pA, aRow, aColumn, pB, bRow, bColumn, (options & 4) != 0 ? pBias : null, pC, cRow);
        }

        double[] wideA = Array.ConvertAll(a, CpuElement.ToDouble), wideB = Array.ConvertAll(b, CpuElement.ToDouble);
        double sumRounding = (k + 2) * (typeof(T) == typeof(double) ? Math.Pow(2, -53) : Math.Pow(2, -24));
        for (int row = 0; row < m; row++)
        {
            for (int column = 0; column < n; column++)
            {
                double expected = (options & 4) != 0 ? CpuElement.ToDouble(bias[column]) : 0, magnitude = Math.Abs(expected);
                for (int i = 0; i < k; i++)
                {
                    double product = wideA[(row * aRow) + (i * aColumn)] * wideB[(i * bRow) + (column * bColumn)];
                    expected += product;
                    magnitude += Math.Abs(product);
                }

                double actual = CpuElement.ToDouble(c[(row * cRow) + column]);
                double tolerance = (sumRounding * magnitude) + (storageRounding * (Math.Abs(expected) + 1e-4));
                if (!(Math.Abs(actual - expected) <= tolerance))
                    Assert.Fail($"{typeof(T).Name} [{m},{n},{k}] options {options}: c[{row},{column}] = {actual:R}, expected {expected:R}");
            }
        }

        for (int i = 0; i < c.Length; i++)
        {
            bool outside = i >= m * cRow || i % cRow >= n;
            if (outside && !double.IsNaN(CpuElement.ToDouble(c[i])))
                Assert.Fail($"{typeof(T).Name} [{m},{n},{k}] options {options}: wrote outside the result at {i}");
        }

        (int Row, int Column) Strides(int rows, int columns, bool transposed) => transposed
            ? (step, (rows * step) + (apart ? 3 : 0))
            : ((columns * step) + (apart ? 3 : 0), step);
    }

    private static T[] Values<T>(int count, int seed)
        where T : unmanaged
    {
        var random = new Random(seed);
        var values = new T[count];
        for (int i = 0; i < count; i++) values[i] = CpuElement.FromSingle<T>((random.NextSingle() * 2) - 1);
        return values;
    }
}
