using Kernels.Devices;

namespace Kernels;

/// <summary>The draws that <see cref="Mixup"/> and <see cref="CutMix"/> share.</summary>
internal static unsafe partial class MixingDraw
{
    /// <summary>Rows whose order is counted in 16 bits.</summary>
    private const long MostOrderedRows = ushort.MaxValue;

    /// <summary>Cells of a side of an image, so that an area has 30 bits.</summary>
    public const long LongestSide = 1 << 15;

    private static readonly KernelDefinition<MixupOrderArguments> OrderKernel = EntryPoints.MixupOrder.Fixed(CpuOrder);

    private static readonly KernelDefinition<MixupDrawArguments> DrawKernel =
        new(EntryPoints.MixupDraw, [DType.Float32, DType.Float64], null, null, KernelDefinition.DefaultGroupSize, CpuDraw);

    public static void Launch<TReal>(
        string op, uint number, DeviceStream stream, DeviceTensor<ulong>? sampleIds, DeviceTensor<int>? labels, DeviceTensor<int> pairs,
        DeviceTensor<int>? otherLabels, DeviceTensor<TReal> shares, DeviceTensor<int>? boxes, long height, long width, double alpha,
        RandomKeySource key, MixingOptions options)
        where TReal : unmanaged
    {
        Check.FloatTensor(op, stream, shares, nameof(shares));
        Check.Rank(op, shares, nameof(shares), 1);
        long rows = shares.Length;
        if (shares.DType is not (DType.Float32 or DType.Float64))
            throw new ArgumentException($"{op}: {nameof(shares)} stores {shares.DType.ShortName()}, not float or double.", nameof(shares));
        CheckOptions(op, options, rows, sampleIds is not null);
        CheckInput(op, stream, sampleIds, nameof(sampleIds), rows);
        CheckInput(op, stream, labels, nameof(labels), options.PoolRows > 0 ? options.PoolRows : rows);
        if (labels is null && (otherLabels is not null || options.SameClass))
        {
            throw new ArgumentNullException(
                nameof(labels), $"{op}: {nameof(labels)} is null, which the partners' labels and partners of a class need.");
        }

        CheckOutput(op, stream, pairs, nameof(pairs), sampleIds, labels, rows, 2);
        CheckOutput(op, stream, shares, nameof(shares), sampleIds, labels, rows);
        Check.Disjoint(op, pairs, nameof(pairs), shares, nameof(shares));
        if (otherLabels is not null)
        {
            CheckOutput(op, stream, otherLabels, nameof(otherLabels), sampleIds, labels, rows);
            Check.Disjoint(op, pairs, nameof(pairs), otherLabels, nameof(otherLabels));
            Check.Disjoint(op, shares, nameof(shares), otherLabels, nameof(otherLabels));
        }

        if (boxes is not null)
        {
            CheckOutput(op, stream, boxes, nameof(boxes), sampleIds, labels, rows, 4);
            Check.Disjoint(op, pairs, nameof(pairs), boxes, nameof(boxes));
            Check.Disjoint(op, shares, nameof(shares), boxes, nameof(boxes));
            if (otherLabels is not null) Check.Disjoint(op, otherLabels, nameof(otherLabels), boxes, nameof(boxes));
        }

        if (!(alpha > 0) || double.IsInfinity(alpha))
            throw new ArgumentOutOfRangeException(nameof(alpha), alpha, $"{op}: {nameof(alpha)} is finite and above 0.");
        Check.Key(op, stream, key, nameof(key));
        if (rows == 0) return;

        // Rows that come in the order of their numbers are where they belong.
        bool ofBatch = options.Mode == MixingMode.Batch;
        bool ordered = (sampleIds is not null && (options.PoolRows == 0 || ofBatch)) || options.SameClass;
        if (ordered && rows > MostOrderedRows)
        {
            throw new ArgumentException(
                $"{op}: {nameof(shares)} has the shape {TensorShape.Format(shares.Shape)}; at most {MostOrderedRows} rows are put in the "
                + "order of their sample numbers.", nameof(shares));
        }

        using ScratchPool.Lease<ulong> places = stream.RentScratch<ulong>(ordered ? rows : 0);
        using ScratchPool.Lease<uint> order = stream.RentScratch<uint>(ordered ? rows + 1 : 0);
        if (ordered)
        {
            stream.Launch(
                OrderKernel,
                new KernelVariant(DType.Float32),
                LaunchShape.GroupPerRow(rows),
                new MixupOrderArguments
                {
                    SampleIds = sampleIds?.Argument ?? default,
                    Labels = options.SameClass ? labels!.Argument : default,
                    Places = places.Argument,
                    Order = order.Argument,
                    Rows = (ulong)rows,
                    FirstSample = options.FirstSample,
                });
        }

        using DataErrorSlot error = options.PoolRows == 0
            ? default : stream.DataErrorSlot(op, $"of {nameof(sampleIds)} is none of {options.PoolRows} rows of the data set");
        stream.Launch(
            DrawKernel,
            new KernelVariant(shares.DType),
            LaunchShape.Items(rows, DrawKernel),
            new MixupDrawArguments
            {
                SampleIds = sampleIds?.Argument ?? default,
                Labels = labels?.Argument ?? default,
                Places = ordered ? places.Argument : default,
                Order = ordered ? order.Argument : default,
                Pairs = pairs.Argument,
                OtherLabels = otherLabels?.Argument ?? default,
                Shares = shares.Argument,
                Boxes = boxes?.Argument ?? default,
                Error = error.Argument,
                Rows = (ulong)rows,
                PoolRows = (ulong)options.PoolRows,
                FirstSample = options.FirstSample,
                Op = number,
                OfBatch = ofBatch ? 1u : 0,
                Threshold = KeepThreshold.FromDropProbability(options.SkipProbability).Value,
                Height = (uint)height,
                Width = (uint)width,
                // A float: smaller alphas than it can say give 0 and 1 alone anyway.
                InverseAlpha = Math.Min((float)(1 / alpha), 1e30f),
                Key = key.Argument,
            });
    }

    private static void CheckOptions(string op, MixingOptions options, long rows, bool hasIds)
    {
        Check.Defined(op, options.Mode, nameof(options.Mode));
        Check.Probability(op, options.SkipProbability, nameof(options.SkipProbability));
        if (options.PoolRows is < 0 or > int.MaxValue)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options), options.PoolRows, $"{op}: {nameof(options.PoolRows)} lies in [0, {int.MaxValue}].");
        }

        if (options.PoolRows > 0 && options.SameClass)
            throw new ArgumentException($"{op}: partners of the same class come from the batch, not from a data set.", nameof(options));
        if (rows > int.MaxValue) throw new ArgumentException($"{op}: {rows} rows are more than an int can number.", "shares");
        if (!hasIds && options.FirstSample > ulong.MaxValue - (ulong)rows)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options), options.FirstSample, $"{op}: {rows} samples from {nameof(options.FirstSample)} on exceed 2^64.");
        }
    }

    private static void CheckInput<T>(string op, DeviceStream stream, DeviceTensor<T>? tensor, string name, long rows)
        where T : unmanaged
    {
        if (tensor is null) return;
        Check.Tensor(op, stream, tensor, name);
        Check.Shape(op, tensor, name, rows);
    }

    private static void CheckOutput<T>(
        string op, DeviceStream stream, DeviceTensor<T> tensor, string name, DeviceTensor<ulong>? sampleIds, DeviceTensor<int>? labels,
        params ReadOnlySpan<long> shape)
        where T : unmanaged
    {
        Check.Tensor(op, stream, tensor, name);
        Check.Shape(op, tensor, name, shape);
        if (sampleIds is not null) Check.Disjoint(op, sampleIds, nameof(sampleIds), tensor, name);
        if (labels is not null) Check.Disjoint(op, labels, nameof(labels), tensor, name);
    }
}
