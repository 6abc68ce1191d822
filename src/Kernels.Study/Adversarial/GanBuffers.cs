namespace Kernels.Study;

/// <summary>Means of what the steps of an epoch measured.</summary>
internal readonly record struct GanMeasures(
    float RealLoss, float GeneratedLoss, float GeneratorLoss, float RealClassLoss, float GeneratedClassLoss, float Sign);

/// <summary>What the steps of an epoch read, and what they measured.</summary>
internal sealed class GanEpochBuffers(Device device, int steps, int batchSize, int inputs) : IDisposable
{
    private readonly float[] _measures = new float[steps * GanBatchBuffers.MeasureCount];
    private readonly float[] _classLosses = new float[steps * 2 * batchSize];

    /// <summary>Places of the real images in the order in which they are used.</summary>
    public DeviceTensor<int> Order { get; } = device.Allocate<int>(steps * batchSize);

    public DeviceTensor<int> RealLabels { get; } = device.Allocate<int>(steps * batchSize);

    /// <summary>The classes that are asked of the generator.</summary>
    public DeviceTensor<int> Labels { get; } = device.Allocate<int>(steps * batchSize);

    public DeviceTensor<float> Latents { get; } = device.Allocate<float>(steps * batchSize, inputs);

    public DeviceTensor<ulong> Keys { get; } = device.Allocate<ulong>(steps, GanBatchBuffers.KeyCount * 2);

    public DeviceTensor<float> Measures { get; } = device.Allocate<float>(steps, GanBatchBuffers.MeasureCount);

    public DeviceTensor<float> ClassLosses { get; } = device.Allocate<float>(steps * 2 * batchSize);

    /// <summary>Waits for the stream.</summary>
    public GanMeasures Means(DeviceStream stream)
    {
        stream.Download(Measures, _measures);
        stream.Download(ClassLosses, _classLosses);
        double[] means = [.. Enumerable.Range(0, GanBatchBuffers.MeasureCount).Select(Mean)];
        return new GanMeasures(
            (float)means[0], (float)means[1], (float)means[4], ClassMean(half: 0), ClassMean(half: 1), (float)((2 * means[2]) - 1));

        double Mean(int measure) =>
            Enumerable.Range(0, steps).Average(step => (double)_measures[(step * GanBatchBuffers.MeasureCount) + measure]);

        float ClassMean(int half) =>
            (float)_classLosses.Where((_, i) => i / batchSize % 2 == half).Average(loss => (double)loss);
    }

    public void Dispose()
    {
        Order.Dispose();
        RealLabels.Dispose();
        Labels.Dispose();
        Latents.Dispose();
        Keys.Dispose();
        Measures.Dispose();
        ClassLosses.Dispose();
    }
}

/// <summary>What a captured step reads and writes at fixed places.</summary>
internal sealed class GanBatchBuffers(Device device, int rows, int inputs, int height, int width) : IDisposable
{
    /// <summary>A key for the changes in front of the discriminator in each of the two parts of a step.</summary>
    public const int KeyCount = 2;

    /// <summary>Those of the discriminator, then those of the generator.</summary>
    public const int MeasureCount = OfDiscriminator + OfGenerator;

    private const int OfDiscriminator = 4;
    private const int OfGenerator = 2;

    private readonly DeviceTensor<float> _generation = device.Allocate<float>(Math.Max(rows, GanTraining.GeneratedRows), inputs);

    /// <summary>Real images, then generated ones.</summary>
    public DeviceTensor<float> Images { get; } = device.Allocate<float>(2 * rows, 1, height, width);

    /// <summary>What the discriminator sees of them.</summary>
    public DeviceTensor<float> Changed { get; } = device.Allocate<float>(2 * rows, 1, height, width);

    public DeviceTensor<float> ImageGradient { get; } = device.Allocate<float>(rows, 1, height, width);

    public DeviceTensor<float> Latents { get; } = device.Allocate<float>(rows, inputs);

    public DeviceTensor<int> RealLabels { get; } = device.Allocate<int>(rows);

    public DeviceTensor<int> Labels { get; } = device.Allocate<int>(rows);

    public DeviceTensor<ulong> Keys { get; } = device.Allocate<ulong>(1, KeyCount * 2);

    public DeviceTensor<float> Probability { get; } = device.Allocate<float>(1);

    public DeviceTensor<float> Condition { get; } = device.Allocate<float>(1);

    public DeviceTensor<float> Measures { get; } = device.Allocate<float>(1, MeasureCount);

    /// <summary>Of real images, then of generated ones.</summary>
    public DeviceTensor<float> ClassLosses { get; } = device.Allocate<float>(2 * rows);

    /// <summary>The real images as rows of pixels.</summary>
    public DeviceTensor<float> RealRows => Images.Slice(0, rows).Reshape(rows, (long)height * width);

    public RandomKeySource DiscriminatorKey => Key(0);

    public RandomKeySource GeneratorKey => Key(1);

    public DeviceTensor<float> DiscriminatorMeasures => Measures.Reshape(MeasureCount).Slice(0, OfDiscriminator);

    public DeviceTensor<float> GeneratorMeasures => Measures.Reshape(MeasureCount).Slice(OfDiscriminator, OfGenerator);

    /// <summary>The generator's input outside of training.</summary>
    public DeviceTensor<float> Generation(int count) => _generation.Slice(0, count);

    public void Dispose()
    {
        _generation.Dispose();
        Images.Dispose();
        Changed.Dispose();
        ImageGradient.Dispose();
        Latents.Dispose();
        RealLabels.Dispose();
        Labels.Dispose();
        Keys.Dispose();
        Probability.Dispose();
        Condition.Dispose();
        Measures.Dispose();
        ClassLosses.Dispose();
    }

    private DeviceTensor<ulong> Key(int place) => Keys.Reshape(KeyCount, 2).Slice(place, 1).Reshape(2);
}
