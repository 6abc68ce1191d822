using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Noise in feature space: y = x + gamma sigma z, with z standard normal and sigma the standard deviation of the feature within the row's
/// class, or over all rows.
/// </summary>
/// <remarks>
/// <para>
/// Feature j of a row takes normal number j mod 4 (see <see cref="GaussianNoise"/>) of block 12 * 2^32 + 2^16 + j / 4 of the key of the
/// row's sample, so a sample gets the same noise in every batch, order and shard. The noise is float also for double tensors. The gradient
/// of the input is that of the output. Types: float, Half, BFloat16, double; tensors without elements are a no-op.
/// </para>
/// <para>
/// T. DeVries and G. W. Taylor, "Dataset augmentation in feature space", ICLR workshop 2017, whose gamma is 0.5. Every method throws
/// <see cref="ArgumentException"/> for shapes that do not fit, tensors that overlap in part or live on another device, and
/// <see cref="ArgumentOutOfRangeException"/> for a factor that is negative or not finite; a label outside the classes throws
/// <see cref="DeviceDataException"/> at the next synchronisation.
/// </para>
/// </remarks>
public static unsafe partial class FeatureNoise
{
    private const string DeviationsName = "FeatureNoise.Deviations";
    private const string ForwardName = "FeatureNoise.Forward";

    private static readonly KernelDefinition<FeatureDeviationsArguments> DeviationsKernel =
        EntryPoints.FeatureDeviations.Float<CpuDeviations>();

    /// <summary>What an item of the kernel takes of a row: four times four features.</summary>
    private const long ItemFeatures = 16;

    private static readonly KernelDefinition<FeatureNoiseArguments> NoiseKernel =
        EntryPoints.FeatureNoise.Float<CpuNoise>(vectorWidths: [1, 8]);

    /// <summary>
    /// Standard deviations of the features of each class, over the rows of that class (divided by their number); 0 for less than two rows.
    /// Rows with labels outside the classes are left out.
    /// </summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="features">[rows, features].</param>
    /// <param name="labels">Classes, [rows]; null: all rows are of class 0.</param>
    /// <param name="deviations">Output [classes, features]: float, or double for double features.</param>
    public static void Deviations<T, TReal>(
        DeviceStream stream, DeviceTensor<T> features, DeviceTensor<int>? labels, DeviceTensor<TReal> deviations)
        where T : unmanaged
        where TReal : unmanaged
    {
        (long rows, long run, long classes) = CheckClasses(DeviationsName, stream, features, nameof(features), labels, deviations);
        Check.Disjoint(DeviationsName, features, nameof(features), deviations, nameof(deviations));
        if (labels is not null) Check.Disjoint(DeviationsName, labels, nameof(labels), deviations, nameof(deviations));
        if (deviations.Length == 0) return;
        stream.Launch(
            DeviationsKernel,
            new KernelVariant(features.DType),
            LaunchShape.Items(deviations.Length, DeviationsKernel),
            new FeatureDeviationsArguments
            {
                Features = features.Argument,
                Labels = labels?.Argument ?? default,
                Deviations = deviations.Argument,
                Rows = (ulong)rows,
                Run = (ulong)run,
                Classes = (ulong)classes,
            });
    }

    /// <summary>y = x + factor sigma z.</summary>
    /// <param name="stream">Queue to run in.</param>
    /// <param name="x">[rows, features].</param>
    /// <param name="sampleIds">Number of each row's sample, [rows]; null: they are numbered from <paramref name="firstSample"/> on.</param>
    /// <param name="labels">Classes, [rows]; null: all rows are of class 0.</param>
    /// <param name="deviations">sigma, [classes, features]: float, or double for double features.</param>
    /// <param name="y">Output, shape of <paramref name="x"/>; may be <paramref name="x"/>.</param>
    /// <param name="factor">gamma, finite and at least 0.</param>
    /// <param name="key">Random key: seed, and the epoch as offset.</param>
    /// <param name="firstSample">Number of the first row's sample where no sample numbers are given.</param>
    public static void Forward<T, TReal>(
        DeviceStream stream, DeviceTensor<T> x, DeviceTensor<ulong>? sampleIds, DeviceTensor<int>? labels, DeviceTensor<TReal> deviations,
        DeviceTensor<T> y, double factor, RandomKeySource key, ulong firstSample = 0)
        where T : unmanaged
        where TReal : unmanaged
    {
        Check.Elementwise(ForwardName, stream, x, nameof(x), y, nameof(y));
        (long rows, long run, long classes) = CheckClasses(ForwardName, stream, x, nameof(x), labels, deviations);
        FeatureSamples.Check(ForwardName, stream, sampleIds, y, rows, firstSample);
        Check.Disjoint(ForwardName, deviations, nameof(deviations), y, nameof(y));
        if (labels is not null) Check.Disjoint(ForwardName, labels, nameof(labels), y, nameof(y));
        Check.AtLeast(ForwardName, factor, nameof(factor), 0);
        Check.Key(ForwardName, stream, key, nameof(key));
        if (x.Length == 0) return;
        InvariantDivisor items = InvariantDivisor.Of((run + ItemFeatures - 1) / ItemFeatures);
        bool wide = run % 4 == 0 && x.IsVectorAligned && y.IsVectorAligned && deviations.IsVectorAligned;
        using DataErrorSlot error = stream.DataErrorSlot(ForwardName, $"of {nameof(labels)} is none of {classes} classes");
        stream.Launch(
            NoiseKernel,
            new KernelVariant(x.DType, wide ? 8 : 1),
            LaunchShape.Items(rows * (long)items.Value, NoiseKernel),
            new FeatureNoiseArguments
            {
                X = x.Argument,
                SampleIds = sampleIds?.Argument ?? default,
                Labels = labels?.Argument ?? default,
                Deviations = deviations.Argument,
                Y = y.Argument,
                Error = error.Argument,
                Rows = (ulong)rows,
                Run = (ulong)run,
                Items = items.Value,
                ItemsInverse = items.Inverse,
                ItemsShift = items.Shift,
                Classes = (ulong)classes,
                FirstSample = firstSample,
                Op = AugmentKey.FeatureNoise,
                Factor = factor,
                Key = key.Argument,
            });
    }

    private static (long Rows, long Run, long Classes) CheckClasses<T, TReal>(
        string op, DeviceStream stream, DeviceTensor<T> features, string name, DeviceTensor<int>? labels, DeviceTensor<TReal> deviations)
        where T : unmanaged
        where TReal : unmanaged
    {
        Check.FloatTensor(op, stream, features, name);
        Check.Rank(op, features, name, 2);
        Check.Tensor(op, stream, deviations, nameof(deviations));
        Check.Rank(op, deviations, nameof(deviations), 2);
        Check.Shape(op, deviations, nameof(deviations), deviations.Shape[0], features.Shape[1]);
        if (labels is null && deviations.Shape[0] != 1)
        {
            throw new ArgumentException(
                $"{op}: {nameof(labels)} is null, which makes one class, and {nameof(deviations)} has the shape "
                + $"{TensorShape.Format(deviations.Shape)}.", nameof(labels));
        }

        DType expected = features.DType == DType.Float64 ? DType.Float64 : DType.Float32;
        if (deviations.DType != expected)
        {
            throw new ArgumentException(
                $"{op}: {nameof(deviations)} stores {deviations.DType.ShortName()}, expected {expected.ShortName()} for "
                + $"{features.DType.ShortName()}.", nameof(deviations));
        }

        if (labels is not null)
        {
            Check.Tensor(op, stream, labels, nameof(labels));
            Check.Shape(op, labels, nameof(labels), features.Shape[0]);
        }

        return (features.Shape[0], features.Shape[1], deviations.Shape[0]);
    }
}

/// <summary>The samples that the rows of features belong to.</summary>
internal static class FeatureSamples
{
    public static void Check<T>(
        string op, DeviceStream stream, DeviceTensor<ulong>? sampleIds, DeviceTensor<T> y, long rows, ulong firstSample)
        where T : unmanaged
    {
        if (sampleIds is null)
        {
            if (firstSample > ulong.MaxValue - (ulong)rows)
                throw new ArgumentOutOfRangeException(nameof(firstSample), firstSample, $"{op}: {rows} samples from there on exceed 2^64.");
            return;
        }

        Devices.Check.Tensor(op, stream, sampleIds, nameof(sampleIds));
        Devices.Check.Shape(op, sampleIds, nameof(sampleIds), rows);
        Devices.Check.Disjoint(op, sampleIds, nameof(sampleIds), y, nameof(y));
    }
}
