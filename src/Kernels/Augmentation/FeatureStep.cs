using Kernels.Devices;

namespace Kernels;

/// <summary>A step towards a neighbour in feature space, or away from it.</summary>
internal static unsafe class FeatureStep
{
    private static readonly KernelDefinition<FeatureDrawArguments> DrawKernel =
        new(EntryPoints.FeatureDraw, [DType.Float32, DType.Float64], null, null, KernelDefinition.DefaultGroupSize, CpuDraw);

    /// <param name="op">What exceptions call the op.</param>
    /// <param name="number">Whose draws these are.</param>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Rows.</param>
    /// <param name="sampleIds">Their samples.</param>
    /// <param name="pool">Where the neighbours are.</param>
    /// <param name="neighbours">Which they are.</param>
    /// <param name="y">The result.</param>
    /// <param name="step">The range of the step's length.</param>
    /// <param name="mostStep">The most it may be.</param>
    /// <param name="direction">1 towards the neighbour, -1 away from it.</param>
    /// <param name="key">Random key.</param>
    /// <param name="firstSample">The first sample where there are no numbers.</param>
    public static void Apply<T>(
        string op, uint number, DeviceStream stream, DeviceTensor<T> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<T> pool,
        DeviceTensor<int> neighbours, DeviceTensor<T> y, AugmentRange step, double mostStep, int direction, RandomKeySource key,
        ulong firstSample)
        where T : unmanaged
    {
        Check.Tensor(op, stream, neighbours, nameof(neighbours));
        Check.Rank(op, neighbours, nameof(neighbours), 2);
        long poolRows = PairedRows.CheckRows(op, stream, x, nameof(x), pool, y, nameof(y));
        long rows = x.Shape[0], most = neighbours.Shape[1];
        if (neighbours.Shape[0] != rows || most is < 1 or > int.MaxValue)
        {
            throw new ArgumentException(
                $"{op}: {nameof(neighbours)} has the shape {TensorShape.Format(neighbours.Shape)}, expected {rows} rows of one or more.",
                nameof(neighbours));
        }

        Check.Disjoint(op, neighbours, nameof(neighbours), y, nameof(y));
        FeatureSamples.Check(op, stream, sampleIds, y, rows, firstSample);
        AugmentChecks.Range(op, step, nameof(step), 0, mostStep);
        Check.Key(op, stream, key, nameof(key));
        if (x.Length == 0) return;
        using ScratchPool.Lease<int> pairs = stream.RentScratch<int>(2 * rows);
        using ScratchPool.Lease<T> shares = RealBuffer<T>.RentScratch(stream, rows);
        stream.Launch(
            DrawKernel,
            new KernelVariant(x.DType == DType.Float64 ? DType.Float64 : DType.Float32),
            LaunchShape.Items(rows, DrawKernel),
            new FeatureDrawArguments
            {
                SampleIds = sampleIds?.Argument ?? default,
                Neighbours = neighbours.Argument,
                Pairs = pairs.Argument,
                Shares = shares.Argument,
                Rows = (ulong)rows,
                Most = (uint)most,
                FirstSample = firstSample,
                Op = number,
                LeastStep = direction * step.Low,
                MostStep = direction * step.High,
                Key = key.Argument,
            });
        using DataErrorSlot error = stream.DataErrorSlot(op, $"has a neighbour that is neither -1 nor one of {poolRows} rows");
        Mixup.Launch(stream, x, pool, pairs.Argument, shares.Argument, y, error, poolRows, backward: false);
    }

    private static void CpuDraw(in KernelVariant variant, in FeatureDrawArguments a)
    {
        RandomKey key = a.Key.Resolve();
        ulong* ids = a.SampleIds.Pointer<ulong>();
        int* neighbours = a.Neighbours.Pointer<int>();
        int* pairs = a.Pairs.Pointer<int>();
        for (ulong row = 0; row < a.Rows; row++)
        {
            int* own = neighbours + (row * a.Most);
            uint count = 0;
            while (count < a.Most && own[count] != -1) count++;
            (uint w0, uint w1, _, _) = AugmentKey.Draw(key, ids != null ? ids[row] : a.FirstSample + row, a.Op, 0);
            pairs[2 * row] = count == 0 ? -1 : own[((ulong)w0 * count) >> 32];
            pairs[(2 * row) + 1] = -1;
            float step = AugmentKey.Between(AugmentKey.UnitOf(w1), (float)a.LeastStep, (float)a.MostStep);
            if (variant.DType == DType.Float64)
                a.Shares.Pointer<double>()[row] = count == 0 ? 1 : 1 - (double)step;
            else
                a.Shares.Pointer<float>()[row] = count == 0 ? 1 : 1 - step;
        }
    }
}
