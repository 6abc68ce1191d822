using Kernels.Devices;

namespace Kernels;

/// <summary>Boxes that are filled, for <see cref="Cutout"/> and <see cref="RandomErase"/>: the launch that fills them.</summary>
internal static unsafe partial class Erasure
{
    private const uint NoiseSwitch = 1;

    private static readonly KernelDefinition<CutoutFillArguments> FillKernel =
        EntryPoints.CutoutFill.Float<CpuFill>(vectorWidths: [1, 8], switches: ["NOISE"]);

    /// <summary>The images, the sample numbers and the result fit each other.</summary>
    public static ImageShape CheckImages<T>(
        string op, DeviceStream stream, DeviceTensor<T> x, string xName, DeviceTensor<ulong>? sampleIds, DeviceTensor<T> y, string yName,
        TensorLayout layout, ulong firstSample)
        where T : unmanaged
    {
        Check.Elementwise(op, stream, x, xName, y, yName);
        ImageShape image = ImageShape.Of(op, x, xName, layout);
        if (sampleIds is null)
        {
            if (firstSample > ulong.MaxValue - (ulong)image.Images)
            {
                throw new ArgumentOutOfRangeException(
                    nameof(firstSample), firstSample, $"{op}: {image.Images} samples from there on exceed 2^64.");
            }

            return image;
        }

        Check.Tensor(op, stream, sampleIds, nameof(sampleIds));
        Check.Shape(op, sampleIds, nameof(sampleIds), image.Images);
        Check.Disjoint(op, sampleIds, nameof(sampleIds), y, yName);
        return image;
    }

    /// <summary>y = x outside of the boxes; inside the value, or normal numbers times it.</summary>
    public static void Fill<T>(
        DeviceStream stream, DeviceTensor<T> x, TensorArgument sampleIds, DeviceTensor<T> y, ImageShape image, TensorArgument boxes,
        long holes, ulong firstSample, uint op, double value, bool noise, KeyArguments key)
        where T : unmanaged
    {
        bool octets = image.HasOctets && x.IsVectorAligned && y.IsVectorAligned;
        stream.Launch(
            FillKernel,
            new KernelVariant(x.DType, octets ? 8 : 1, noise ? NoiseSwitch : 0),
            LaunchShape.Items((x.Length / 8) + 1, FillKernel),
            new CutoutFillArguments
            {
                X = x.Argument,
                Boxes = boxes,
                SampleIds = sampleIds,
                Y = y.Argument,
                Count = (ulong)x.Length,
                Image = image.Arguments,
                Holes = (uint)holes,
                FirstSample = firstSample,
                Op = op,
                Value = value,
                Key = key,
            });
    }
}
