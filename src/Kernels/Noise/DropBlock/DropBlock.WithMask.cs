using Kernels.Devices;

namespace Kernels;

/// <content>Calls that keep their mask for backward, where a bit a cell is less than drawing again.</content>
public static unsafe partial class DropBlock
{
    private const string KeptWordsName = "DropBlock.KeptWords";

    /// <summary>Words that a call keeps for backward: a bit for each cell of a mask, and the scales that it counted.</summary>
    /// <param name="shape">Shape of the call's input.</param>
    /// <param name="options">As in forward.</param>
    public static long KeptWords(ReadOnlySpan<long> shape, DropBlockOptions options = default)
    {
        Maps maps = Maps.Of(KeptWordsName, shape, nameof(shape), options);
        return WordsOf(maps, Units.Of(maps, options.Normalization));
    }

    /// <summary>
    /// Training, with a mask that is kept for <see cref="BackwardWithMask"/>: y = m * x * cells / kept cells, as <see cref="Forward"/> makes
    /// it.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">Input: [batch, channels, ...] or [batch, ..., channels] with one to three spatial axes.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="kept">
    /// Output, shape [<see cref="KeptWords"/>], from an even word of its memory on. What is in it is for backward on the same device alone.
    /// </param>
    /// <param name="blockSize">Cells of a block along each spatial axis, or one size for all.</param>
    /// <param name="rate">How much to drop.</param>
    /// <param name="key">Random key; one offset for each call.</param>
    /// <param name="options">Layout, shared channels, normalisation, filling, shard.</param>
    public static void ForwardWithMask<T>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<T> y, DeviceTensor<uint> kept, ReadOnlySpan<long> blockSize,
        DropBlockRate rate, RandomKeySource key, DropBlockOptions options = default)
        where T : unmanaged
    {
        const string Op = "DropBlock.ForwardWithMask";
        Check.Elementwise(Op, stream, x, nameof(x), y, nameof(y));
        Check.Key(Op, stream, key, nameof(key));
        CheckKept(Op, stream, x, nameof(x), y, nameof(y), kept, options);
        Apply(Op, stream, x, y, blockSize, rate, key, options, kept);
    }

    /// <summary>
    /// Gradient with the mask that forward kept: dx = m * dy * cells / kept cells; 0 in the blocks, whatever fills them.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="dy">Gradient of the output.</param>
    /// <param name="kept">That of <see cref="ForwardWithMask"/>.</param>
    /// <param name="dx">Gradient of the input, shape of <paramref name="dy"/>; may be <paramref name="dy"/>.</param>
    /// <param name="blockSize">As in forward.</param>
    /// <param name="rate">As in forward.</param>
    /// <param name="options">As in forward.</param>
    public static void BackwardWithMask<T>(
        DeviceStream stream, DeviceTensor<T> dy, DeviceTensor<uint> kept, DeviceTensor<T> dx, ReadOnlySpan<long> blockSize,
        DropBlockRate rate, DropBlockOptions options = default)
        where T : unmanaged
    {
        const string Op = "DropBlock.BackwardWithMask";
        Check.Elementwise(Op, stream, dy, nameof(dy), dx, nameof(dx));
        CheckKept(Op, stream, dy, nameof(dy), dx, nameof(dx), kept, options);
        DropBlockOptions gradient = options with { Fill = DropBlockFill.Zero };
        Apply(Op, stream, dy, dx, blockSize, rate, default(RandomKey), gradient, kept, draws: false);
    }

    private static void CheckKept<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, string xName, DeviceTensor<T> y, string yName, DeviceTensor<uint> kept,
        DropBlockOptions options)
        where T : unmanaged
    {
        Check.Tensor(op, stream, kept, nameof(kept));
        Maps maps = Maps.Of(op, x.Shape, xName, options);
        Check.Shape(op, kept, nameof(kept), WordsOf(maps, Units.Of(maps, options.Normalization)));
        Check.Disjoint(op, x, xName, kept, nameof(kept));
        Check.Disjoint(op, y, yName, kept, nameof(kept));
        if (kept.Argument.Offset % 2 != 0)
            throw new ArgumentException($"{op}: {nameof(kept)} starts on an odd word of its memory.", nameof(kept));
    }

    /// <summary>A mask, and behind it eight bytes for each scale.</summary>
    private static long WordsOf(in Maps maps, in Units units) => WordsOf(maps.MaskCells) + (2 * units.Count);

    /// <summary>The scales behind a mask, in elements of the arithmetic type.</summary>
    private static TensorArgument ScalesIn<T>(TensorArgument mask, in Maps maps)
        where T : unmanaged
    {
        ulong word = mask.Offset + (ulong)WordsOf(maps.MaskCells);
        return new TensorArgument(mask.Memory, typeof(T) == typeof(double) ? word / 2 : word);
    }
}
