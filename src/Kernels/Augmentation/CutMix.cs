using Kernels.Devices;

namespace Kernels;

/// <summary>CutMix: a box of each image comes from its partner, and the loss is mixed by what is left of the area.</summary>
/// <remarks>
/// <code>
/// CutMix.Draw(stream, sampleIds, labels, pairs, otherLabels, shares, boxes, height, width, alpha: 1, key);
/// CutMix.Forward(stream, x, pairs, boxes, mixed);
/// CrossEntropy.Forward(stream, logits, CrossEntropyTargets.Mixed(labels, otherLabels, shares), ...);
/// </code>
/// <para>
/// Partners and lambda are drawn as in <see cref="Mixup"/>, by draws of their own. The box has floor(H sqrt(1 - lambda)) rows and floor(W
/// sqrt(1 - lambda)) columns about a uniform pixel, rows from centre - rows / 2 on (rounded down), and is clipped at the borders; the share
/// is 1 - area / (H W) of what is left of it, to the nearest 2^-24. A box without rows or columns leaves the image as it is, share 1.
/// </para>
/// <para>
/// Elements are copied, bit for bit; what is not copied is not read. Types: float, Half, BFloat16, double; images up to 32,768 pixels high
/// and wide, in either layout; tensors without elements are a no-op.
/// </para>
/// <para>
/// S. Yun, D. Han, S. J. Oh, S. Chun, J. Choe and Y. Yoo, "CutMix: regularization strategy to train strong classifiers with localizable
/// features", ICCV 2019. Errors are those of <see cref="Mixup"/>.
/// </para>
/// </remarks>
public static unsafe partial class CutMix
{
    private const string DrawName = "CutMix.Draw";
    private const string ForwardName = "CutMix.Forward";
    private const string BackwardName = "CutMix.Backward";

    private static readonly KernelDefinition<CutmixApplyArguments> ApplyKernel =
        EntryPoints.CutmixApply.Float<CpuApply>(vectorWidths: [1, 8]);

    /// <summary>Draws partners, boxes and shares for the images of a batch.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="sampleIds">
    /// Number of each image's sample, shape [rows]; null: the samples are numbered from <see cref="MixingOptions.FirstSample"/> on.
    /// </param>
    /// <param name="labels">
    /// Classes, shape [rows], or of the data set, [pool rows]; null where neither the partners' labels nor partners of a class are wanted.
    /// </param>
    /// <param name="pairs">Output [rows, 2]: each image's partner, and the one whose partner it is (-1 with a data set).</param>
    /// <param name="otherLabels">Output [rows], the partners' labels; null where they are not wanted.</param>
    /// <param name="shares">Output [rows], the share of the image's own area: float or double.</param>
    /// <param name="boxes">Output [rows, 4]: top, left, bottom and right in pixels, the last two exclusive.</param>
    /// <param name="height">Rows of an image, 1 to 32,768.</param>
    /// <param name="width">Columns of an image, 1 to 32,768.</param>
    /// <param name="alpha">The parameter a of Beta(a, a), above 0.</param>
    /// <param name="key">Random key: seed, and the epoch as offset.</param>
    /// <param name="options">Mode, probability to skip, classes, data set, numbers.</param>
    public static void Draw<TReal>(
        DeviceStream stream, DeviceTensor<ulong>? sampleIds, DeviceTensor<int>? labels, DeviceTensor<int> pairs,
        DeviceTensor<int>? otherLabels, DeviceTensor<TReal> shares, DeviceTensor<int> boxes, long height, long width, double alpha,
        RandomKeySource key, MixingOptions options = default)
        where TReal : unmanaged
    {
        Check.Tensor(DrawName, stream, boxes, nameof(boxes));
        CheckSide(height, nameof(height));
        CheckSide(width, nameof(width));
        MixingDraw.Launch(
            DrawName, AugmentKey.CutMix, stream, sampleIds, labels, pairs, otherLabels, shares, boxes, height, width, alpha, key, options);
    }

    /// <summary>y[i] = x[partner of i] inside of box i, x[i] outside.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images: [batch, channels, height, width] or [batch, height, width, channels].</param>
    /// <param name="pairs">Partners, from <see cref="Draw{TReal}"/>: [batch, 2]. A partner of -1 leaves zeros in the box.</param>
    /// <param name="boxes">Boxes, from <see cref="Draw{TReal}"/>: [batch, 4]. What reaches beyond the image is clipped.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>.</param>
    /// <param name="layout">Where the channels are.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<int> pairs, DeviceTensor<int> boxes, DeviceTensor<T> y,
        TensorLayout layout = TensorLayout.ChannelsFirst)
        where T : unmanaged => Apply(ForwardName, stream, x, nameof(x), x, pairs, boxes, y, nameof(y), layout, backward: false);

    /// <summary>y[i] = pool[partner of i] inside of box i, x[i] outside.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Images: [batch, channels, height, width] or [batch, height, width, channels].</param>
    /// <param name="pool">Where the partners are: a data set, or the whole batch of which x is a shard.</param>
    /// <param name="pairs">Partners, from <see cref="Draw{TReal}"/> or a slice of them: [batch, 2].</param>
    /// <param name="boxes">Boxes, from <see cref="Draw{TReal}"/> or a slice of them: [batch, 4].</param>
    /// <param name="y">Output, shape of <paramref name="x"/>.</param>
    /// <param name="layout">Where the channels are.</param>
    public static void Forward<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> pool, DeviceTensor<int> pairs, DeviceTensor<int> boxes, DeviceTensor<T> y,
        TensorLayout layout = TensorLayout.ChannelsFirst)
        where T : unmanaged => Apply(ForwardName, stream, x, nameof(x), pool, pairs, boxes, y, nameof(y), layout, backward: false);

    /// <summary>
    /// Gradient within a batch: dx[i] = dy[i] outside of box i, plus dy[j] inside of box j, where j is the image whose partner i is.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="pairs">As in forward.</param>
    /// <param name="boxes">As in forward.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="dy"/>.</param>
    /// <param name="layout">As in forward.</param>
    public static void Backward<T>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<int> pairs, DeviceTensor<int> boxes, DeviceTensor<T> dx,
        TensorLayout layout = TensorLayout.ChannelsFirst)
        where T : unmanaged => Apply(BackwardName, stream, dy, nameof(dy), dy, pairs, boxes, dx, nameof(dx), layout, backward: true);

    private static void Apply<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, string xName, DeviceTensor<T> pool, DeviceTensor<int> pairs,
        DeviceTensor<int> boxes, DeviceTensor<T> y, string yName, TensorLayout layout, bool backward)
        where T : unmanaged
    {
        long poolRows = PairedRows.Check(op, stream, x, xName, pool, pairs, y, yName);
        ImageShape image = ImageShape.Of(op, x, xName, layout);
        Check.Tensor(op, stream, boxes, nameof(boxes));
        Check.Shape(op, boxes, nameof(boxes), image.Images, 4);
        Check.Disjoint(op, boxes, nameof(boxes), y, yName);
        if (x.Length == 0) return;
        bool octets = image.HasOctets && x.IsVectorAligned && pool.IsVectorAligned && y.IsVectorAligned;
        using DataErrorSlot error = stream.DataErrorSlot(op, $"of {nameof(pairs)} is neither -1 nor one of {poolRows} images");
        stream.Launch(
            ApplyKernel,
            new KernelVariant(x.DType, octets ? 8 : 1),
            LaunchShape.Items((x.Length / 8) + 1, ApplyKernel),
            new CutmixApplyArguments
            {
                X = x.Argument,
                Pool = pool.Argument,
                Pairs = pairs.Argument,
                Boxes = boxes.Argument,
                Y = y.Argument,
                Error = error.Argument,
                Count = (ulong)x.Length,
                Image = image.Arguments,
                PoolRows = (ulong)poolRows,
                Backward = backward ? 1u : 0,
            });
    }

    private static void CheckSide(long length, string name)
    {
        if (length is < 1 or > MixingDraw.LongestSide)
            throw new ArgumentOutOfRangeException(name, length, $"{DrawName}: {name} lies in [1, {MixingDraw.LongestSide}].");
    }
}
