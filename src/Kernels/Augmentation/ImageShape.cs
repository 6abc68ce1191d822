using Kernels.Devices;

namespace Kernels;

/// <summary>Images as <c>kernels/portable/boxes.h</c> sees them: planes of rows, whose pixels are one element or all channels.</summary>
internal readonly record struct ImageShape(long Images, long Channels, long Height, long Width, TensorLayout Layout)
{
    /// <summary>Elements of a row are numbered in 32 bits.</summary>
    private const long LongestRow = int.MaxValue;

    public long Run => Channels * Height * Width;

    /// <summary>Elements of a pixel that lie side by side.</summary>
    public long Pixel => Layout == TensorLayout.ChannelsLast ? Channels : 1;

    /// <summary>Images are whole octets, of two rows at most.</summary>
    public bool HasOctets => Run % 8 == 0 && Width * Pixel >= 8;

    public ImageArguments Arguments
    {
        get
        {
            InvariantDivisor run = InvariantDivisor.Of(Run), row = InvariantDivisor.Of(Width * Pixel), height = InvariantDivisor.Of(Height);
            return new ImageArguments
            {
                Run = run.Value,
                RunInverse = run.Inverse,
                RunShift = run.Shift,
                RowLength = row.Value,
                RowLengthInverse = row.Inverse,
                RowLengthShift = row.Shift,
                Height = height.Value,
                HeightInverse = height.Inverse,
                HeightShift = height.Shift,
                Pixel = (uint)Pixel,
            };
        }
    }

    /// <summary>The shape of a tensor of images, with sides that fit boxes.</summary>
    public static ImageShape Of<T>(string op, DeviceTensor<T> images, string name, TensorLayout layout)
        where T : unmanaged
    {
        Check.Rank(op, images, name, 4);
        Check.Defined(op, layout, nameof(layout));
        ReadOnlySpan<long> shape = images.Shape;
        ImageShape image = layout == TensorLayout.ChannelsFirst
            ? new(shape[0], shape[1], shape[2], shape[3], layout)
            : new(shape[0], shape[3], shape[1], shape[2], layout);
        if (Math.Max(image.Height, image.Width) > MixingDraw.LongestSide || image.Width * (Int128)image.Pixel > LongestRow)
        {
            throw new ArgumentException(
                $"{op}: {name} has the shape {TensorShape.Format(shape)}; images are at most {MixingDraw.LongestSide} pixels high and "
                + $"wide, and their rows have at most {LongestRow} elements.", name);
        }

        return image;
    }
}
