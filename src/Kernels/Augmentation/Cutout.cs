using Kernels.Devices;

namespace Kernels;

/// <summary>Settings of <see cref="Cutout"/>; by default one hole of zeros in every image, channels first.</summary>
public readonly record struct CutoutOptions
{
    /// <summary>Holes in an image beyond the first.</summary>
    public int MoreHoles { get; init; }

    /// <summary>What stands in the holes. The data's mean is 0 where images are normalised.</summary>
    public double Fill { get; init; }

    /// <summary>Probability to leave a sample as it is, in steps of 2^-16.</summary>
    public double SkipProbability { get; init; }

    /// <summary>Where the channels are. The same pixels are cut in either layout.</summary>
    public TensorLayout Layout { get; init; }

    /// <summary>Number of the first image's sample where no sample numbers are given.</summary>
    public ulong FirstSample { get; init; }
}

/// <summary>Cutout: a square of each image, about a uniform pixel and clipped at the borders, becomes a constant.</summary>
/// <remarks>
/// <para>
/// Hole h of a sample covers rows r - side / 2 (rounded down) to r - side / 2 + side - 1 and the columns likewise, where r = word 0 times
/// height / 2^32 and the column word 1 times width / 2^32 of the sample's draw h; all channels alike. It follows from key and sample
/// number alone, so a sample is cut alike in every batch, order and shard, and backward draws it again.
/// </para>
/// <para>
/// NaN and infinities in the holes are gone. Types: float, Half, BFloat16, double; the destination may be the source, which then is
/// written to in the holes only; tensors without elements are a no-op. T. DeVries and G. W. Taylor, "Improved regularization of
/// convolutional neural networks with cutout", 2017.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that do not fit, tensors that overlap in part or live on another device,
/// and <see cref="ArgumentOutOfRangeException"/> for a side or a number of holes below 0, or a probability outside [0, 1].
/// </para>
/// </remarks>
public static unsafe class Cutout
{
    private const int MostHoles = 1 << 15;

    private static readonly KernelDefinition<CutoutDrawArguments> DrawKernel = EntryPoints.CutoutDraw.Fixed(CpuDraw);

    /// <summary>y = x outside of the holes, the filling inside.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images: [batch, channels, height, width] or [batch, height, width, channels].</param>
    /// <param name="sampleIds">
    /// Number of each image's sample, shape [batch]; null: they are numbered from <see cref="CutoutOptions.FirstSample"/> on.
    /// </param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="side">Pixels of a hole's side, at least 0; larger than an image is clipped.</param>
    /// <param name="key">Random key: seed, and the epoch as offset.</param>
    /// <param name="options">Holes, filling, probability to skip, layout, numbers.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<T> y, long side, RandomKeySource key,
        CutoutOptions options = default)
        where T : unmanaged =>
        Apply("Cutout.Forward", stream, x, nameof(x), sampleIds, y, nameof(y), side, key, options);

    /// <summary>Gradient: dx = dy outside of the holes of the forward call that had the same arguments, 0 inside.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="sampleIds">As in forward.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="dy"/>; may be <paramref name="dy"/>.</param>
    /// <param name="side">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<ulong>? sampleIds, DeviceTensor<T> dx, long side, RandomKeySource key,
        CutoutOptions options = default)
        where T : unmanaged =>
        Apply("Cutout.Backward", stream, dy, nameof(dy), sampleIds, dx, nameof(dx), side, key, options with { Fill = 0 });

    private static void Apply<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, string xName, DeviceTensor<ulong>? sampleIds, DeviceTensor<T> y, string yName,
        long side, RandomKeySource key, CutoutOptions options)
        where T : unmanaged
    {
        ImageShape image = Erasure.CheckImages(op, stream, x, xName, sampleIds, y, yName, options.Layout, options.FirstSample);
        if (side < 0) throw new ArgumentOutOfRangeException(nameof(side), side, $"{op}: {nameof(side)} is at least 0.");
        if (options.MoreHoles is < 0 or >= MostHoles)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options), options.MoreHoles, $"{op}: {nameof(options.MoreHoles)} lies in [0, {MostHoles - 1}].");
        }

        Check.Probability(op, options.SkipProbability, nameof(options.SkipProbability));
        Check.Finite(op, options.Fill, nameof(options.Fill));
        Check.Key(op, stream, key, nameof(key));
        if (x.Length == 0) return;
        long holes = 1 + options.MoreHoles;
        using ScratchPool.Lease<int> boxes = stream.RentScratch<int>(4 * image.Images * holes);
        TensorArgument ids = sampleIds?.Argument ?? default;
        stream.Launch(
            DrawKernel,
            new KernelVariant(DType.Float32),
            LaunchShape.Items(image.Images * holes, DrawKernel),
            new CutoutDrawArguments
            {
                SampleIds = ids,
                Boxes = boxes.Argument,
                Count = (ulong)(image.Images * holes),
                Holes = (uint)holes,
                FirstSample = options.FirstSample,
                Op = AugmentKey.Cutout,
                Threshold = KeepThreshold.FromDropProbability(options.SkipProbability).Value,
                Height = (uint)image.Height,
                Width = (uint)image.Width,
                // Twice the longest side reaches from any pixel to every border.
                Side = (uint)Math.Min(side, 2 * MixingDraw.LongestSide),
                Key = key.Argument,
            });
        Erasure.Fill(
            stream, x, ids, y, image, boxes.Argument, holes, options.FirstSample, AugmentKey.Cutout, options.Fill, noise: false,
            key.Argument);
    }

    private static void CpuDraw(in KernelVariant variant, in CutoutDrawArguments a)
    {
        RandomKey key = a.Key.Resolve();
        ulong* ids = a.SampleIds.Pointer<ulong>();
        int* boxes = a.Boxes.Pointer<int>();
        for (ulong i = 0; i < a.Count; i++)
        {
            (ulong sample, ulong hole) = Math.DivRem(i, a.Holes);
            ulong id = ids != null ? ids[sample] : a.FirstSample + sample;
            Span<int> box = new(boxes + (4 * i), 4);
            if (!Erasure.IsChosen(key, id, a.Op, a.Threshold))
            {
                box.Clear();
                continue;
            }

            (uint w0, uint w1, _, _) = AugmentKey.Draw(key, id, a.Op, (uint)hole);
            int top = (int)(((ulong)w0 * a.Height) >> 32) - (int)(a.Side / 2);
            int left = (int)(((ulong)w1 * a.Width) >> 32) - (int)(a.Side / 2);
            Erasure.WriteBox(box, top, left, top + (int)a.Side, left + (int)a.Side, a.Height, a.Width);
        }
    }
}
