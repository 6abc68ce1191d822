using Kernels.Cpu;
using Kernels.Devices;
using Vector = System.Runtime.Intrinsics.Vector512;

namespace Kernels;

/// <summary>Settings of <see cref="RandomErase"/>; by default one rectangle of zeros in every image, channels first.</summary>
public readonly record struct RandomEraseOptions
{
    /// <summary>Rectangles in an image beyond the first; the area is divided among them.</summary>
    public int MoreBoxes { get; init; }

    /// <summary>What stands in the rectangles. The data's mean is 0 where images are normalised.</summary>
    public double Fill { get; init; }

    /// <summary>
    /// Above 0, normal numbers of this standard deviation stand in the rectangles, one for each element, instead of
    /// <see cref="Fill"/>.
    /// </summary>
    public double NoiseDeviation { get; init; }

    /// <summary>Probability to leave a sample as it is, in steps of 2^-16; the papers use 0.5.</summary>
    public double SkipProbability { get; init; }

    /// <summary>
    /// Whether the first try is taken, its sides cut to the image's, instead of the first of ten whose sides are shorter than the image's.
    /// </summary>
    public bool ClipSides { get; init; }

    /// <summary>Where the channels are. The same pixels are erased in either layout.</summary>
    public TensorLayout Layout { get; init; }

    /// <summary>Number of the first image's sample where no sample numbers are given.</summary>
    public ulong FirstSample { get; init; }
}

/// <summary>Random erasing: a rectangle of each image, of random area and aspect, becomes a constant or noise.</summary>
/// <remarks>
/// <para>
/// Box b of a sample takes the sample's draws 16 b + t for the tries t = 0 to 9: the area is uniform in its range times height times width
/// (word 0), the aspect log-uniform in its range (word 1), the sides are the roots of area times aspect and of area over aspect, to the
/// nearest pixel. The first try whose sides are shorter than the image's is taken, at a uniform place where it fits (words 2 and 3);
/// without one nothing is erased. Everything follows from key and sample number alone, and sides are made of integer roots, so a sample is
/// erased alike in every batch, order and shard, and on every device; backward draws it again.
/// </para>
/// <para>
/// Noise: element i of the sample in memory order takes normal number i mod 4 (see <see cref="GaussianNoise"/>) of the sample's block 9 *
/// 2^32 + 2^16 + i / 4. It has no gradient. NaN and infinities in the rectangles are gone. Types: float, Half, BFloat16, double; the
/// destination may be the source, which then is written to in the rectangles only; tensors without elements are a no-op. Z. Zhong, L.
/// Zheng, G. Kang, S. Li and Y. Yang, "Random erasing data augmentation", AAAI 2020.
/// </para>
/// <para>
/// Every method throws <see cref="ArgumentException"/> for shapes that do not fit, tensors that overlap in part or live on another device,
/// and <see cref="ArgumentOutOfRangeException"/> for a range that is reversed or out of bounds, and a probability outside [0, 1].
/// </para>
/// </remarks>
public static unsafe class RandomErase
{
    private const uint Tries = 10;
    private const uint DrawsOfABox = 16;
    private const int MostBoxes = 1 << 11;

    /// <summary>Aspects from 1 / this to this, so that roots are of numbers below 2^42.</summary>
    private const double MostAspect = 1000;

    private static readonly KernelDefinition<RandomEraseDrawArguments> DrawKernel = EntryPoints.RandomEraseDraw.Fixed(CpuDraw);

    /// <summary>y = x outside of the rectangles, the filling inside.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images: [batch, channels, height, width] or [batch, height, width, channels].</param>
    /// <param name="sampleIds">
    /// Number of each image's sample, shape [batch]; null: they are numbered from <see cref="RandomEraseOptions.FirstSample"/> on.
    /// </param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="area">Share of the image that is erased, in [0, 1]; the paper's is (0.02, 0.4).</param>
    /// <param name="aspect">Height over width of the rectangle, in [0.001, 1000]; the paper's is (0.3, 1 / 0.3).</param>
    /// <param name="key">Random key: seed, and the epoch as offset.</param>
    /// <param name="options">Rectangles, filling, probability to skip, layout, numbers.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<T> y, AugmentRange area, AugmentRange aspect,
        RandomKeySource key, RandomEraseOptions options = default)
        where T : unmanaged =>
        Apply("RandomErase.Forward", stream, x, nameof(x), sampleIds, y, nameof(y), area, aspect, key, options);

    /// <summary>Gradient: dx = dy outside of the rectangles of the forward call that had the same arguments, 0 inside.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="sampleIds">As in forward.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="dy"/>; may be <paramref name="dy"/>.</param>
    /// <param name="area">As in forward.</param>
    /// <param name="aspect">As in forward.</param>
    /// <param name="key">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<ulong>? sampleIds, DeviceTensor<T> dx, AugmentRange area, AugmentRange aspect,
        RandomKeySource key, RandomEraseOptions options = default)
        where T : unmanaged =>
        Apply(
            "RandomErase.Backward", stream, dy, nameof(dy), sampleIds, dx, nameof(dx), area, aspect, key,
            options with { Fill = 0, NoiseDeviation = 0 });

    private static void Apply<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, string xName, DeviceTensor<ulong>? sampleIds, DeviceTensor<T> y, string yName,
        AugmentRange area, AugmentRange aspect, RandomKeySource key, RandomEraseOptions options)
        where T : unmanaged
    {
        ImageShape image = Erasure.CheckImages(op, stream, x, xName, sampleIds, y, yName, options.Layout, options.FirstSample);
        AugmentChecks.Range(op, area, nameof(area), 0, 1);
        AugmentChecks.Range(op, aspect, nameof(aspect), 1 / MostAspect, MostAspect);
        if (options.MoreBoxes is < 0 or >= MostBoxes)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options), options.MoreBoxes, $"{op}: {nameof(options.MoreBoxes)} lies in [0, {MostBoxes - 1}].");
        }

        Check.Probability(op, options.SkipProbability, nameof(options.SkipProbability));
        Check.Finite(op, options.Fill, nameof(options.Fill));
        Check.AtLeast(op, options.NoiseDeviation, nameof(options.NoiseDeviation), 0);
        if (options.Fill != 0 && options.NoiseDeviation != 0)
        {
            throw new ArgumentException(
                $"{op}: {nameof(options.Fill)} is {options.Fill} and {nameof(options.NoiseDeviation)} {options.NoiseDeviation}; a "
                + "rectangle has one filling.", nameof(options));
        }

        Check.Key(op, stream, key, nameof(key));
        if (x.Length == 0) return;
        long boxesOfOne = 1 + options.MoreBoxes;
        using ScratchPool.Lease<int> boxes = stream.RentScratch<int>(4 * image.Images * boxesOfOne);
        TensorArgument ids = sampleIds?.Argument ?? default;
        stream.Launch(
            DrawKernel,
            new KernelVariant(DType.Float32),
            LaunchShape.Items(image.Images * boxesOfOne, DrawKernel),
            new RandomEraseDrawArguments
            {
                SampleIds = ids,
                Boxes = boxes.Argument,
                Count = (ulong)(image.Images * boxesOfOne),
                BoxesOfOne = (uint)boxesOfOne,
                FirstSample = options.FirstSample,
                Op = AugmentKey.RandomErase,
                Threshold = KeepThreshold.FromDropProbability(options.SkipProbability).Value,
                Height = (uint)image.Height,
                Width = (uint)image.Width,
                Clips = options.ClipSides ? 1u : 0,
                LeastArea = area.Low / boxesOfOne,
                MostArea = area.High / boxesOfOne,
                LeastLogAspect = Math.Log(aspect.Low),
                MostLogAspect = Math.Log(aspect.High),
                Key = key.Argument,
            });
        bool noise = options.NoiseDeviation > 0;
        Erasure.Fill(
            stream, x, ids, y, image, boxes.Argument, boxesOfOne, options.FirstSample, AugmentKey.RandomErase,
            noise ? options.NoiseDeviation : options.Fill, noise, key.Argument);
    }

    private static void CpuDraw(in KernelVariant variant, in RandomEraseDrawArguments a)
    {
        RandomKey key = a.Key.Resolve();
        ulong* ids = a.SampleIds.Pointer<ulong>();
        int* boxes = a.Boxes.Pointer<int>();
        for (ulong i = 0; i < a.Count; i++)
        {
            (ulong sample, ulong box) = Math.DivRem(i, a.BoxesOfOne);
            ulong id = ids != null ? ids[sample] : a.FirstSample + sample;
            uint tries = !Erasure.IsChosen(key, id, a.Op, a.Threshold) ? 0 : a.Clips != 0 ? 1 : Tries;
            (int top, int left, int bottom, int right) = (0, 0, 0, 0);
            for (uint attempt = 0; attempt < tries && bottom == 0; attempt++)
            {
                (uint w0, uint w1, uint w2, uint w3) = AugmentKey.Draw(key, id, a.Op, (DrawsOfABox * (uint)box) + attempt);
                float area = AugmentKey.Between(AugmentKey.UnitOf(w0), (float)a.LeastArea, (float)a.MostArea) * (a.Height * a.Width);
                float logAspect = AugmentKey.Between(AugmentKey.UnitOf(w1), (float)a.LeastLogAspect, (float)a.MostLogAspect);
                uint rows = NearestRoot(area * CpuMath.Exp(Vector.Create(logAspect))[0]);
                uint columns = NearestRoot(area * CpuMath.Exp(Vector.Create(-logAspect))[0]);
                if (a.Clips != 0)
                    (rows, columns) = (Math.Min(rows, a.Height), Math.Min(columns, a.Width));
                else if (rows >= a.Height || columns >= a.Width)
                    continue;
                (top, left) = ((int)(((ulong)w2 * (a.Height - rows + 1)) >> 32), (int)(((ulong)w3 * (a.Width - columns + 1)) >> 32));
                (bottom, right) = (top + (int)rows, left + (int)columns);
            }

            Erasure.WriteBox(new Span<int>(boxes + (4 * i), 4), top, left, bottom, right, a.Height, a.Width);
        }
    }

    /// <summary>The root of a number below 2^42, to the nearest integer.</summary>
    private static uint NearestRoot(float square) => (uint)(MixingDraw.IntegerRoot((ulong)(4 * square)) + 1) >> 1;
}
