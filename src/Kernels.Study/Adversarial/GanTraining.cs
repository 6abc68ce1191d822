namespace Kernels.Study;

/// <summary>
/// A GAN in training. A step of both networks is one graph; what changes from step to step is copied to where the graph reads it. One
/// stream, and no wait but at the end of an epoch, whose scores set the probability of the next.
/// </summary>
internal sealed class GanTraining : IDisposable
{
    /// <summary>Images that are made at once outside of training.</summary>
    public const int GeneratedRows = 250;

    /// <summary>Batches by which an averaged generator measures its batch statistics anew: what it had keeps 1.5 %.</summary>
    private const int RenewingBatches = 40;

    // Uses of random numbers that no epoch has.
    private const long RenewingUse = 1L << 40;
    private const long SheetUse = 1L << 41;
    private const long ImagesUse = 1L << 42;

    private readonly DeviceStream _stream;
    private readonly GanPlan _plan;
    private readonly int _seed;
    private readonly int _epochs;
    private readonly int _classes;
    private readonly int _batchSize;
    private readonly int _steps;
    private readonly int[] _labels;
    private readonly GanEpochBuffers _epoch;
    private readonly GanBatchBuffers _batch;
    private readonly ScoreAndClassLayer _answer;
    private readonly Network _generator;
    private readonly Network _averaged;
    private readonly Network _discriminator;
    private readonly NetworkOptimizer _generatorOptimizer;
    private readonly NetworkOptimizer _discriminatorOptimizer;
    private readonly DeviceTensor<float> _images;
    private readonly DeviceTensor<ulong> _noSamples;
    private DeviceGraph? _step;

    /// <param name="device">Where it trains.</param>
    /// <param name="stream">Where its work is queued.</param>
    /// <param name="train">Images to learn from, in levels.</param>
    /// <param name="plan">The networks and how they are trained.</param>
    /// <param name="settings">The study's.</param>
    /// <param name="seed">All that is random follows from it.</param>
    public GanTraining(Device device, DeviceStream stream, Examples train, GanPlan plan, StudySettings settings, int seed)
    {
        (_stream, _plan, _seed, _labels, _epochs) = (stream, plan, seed, train.Labels, plan.EpochsOf(settings));
        _classes = settings.Widths[^1];
        _batchSize = Math.Min(plan.BatchSize, train.Count);
        _steps = train.Count / _batchSize;
        int height = settings.ImageHeight, width = train.Features / height, inputs = plan.Latents + _classes;
        _images = device.Upload<float>(ImageLayers.FromLevels(train.Images), train.Count, train.Features);
        _noSamples = device.Allocate<ulong>(0);
        _epoch = new GanEpochBuffers(device, _steps, _batchSize, inputs);
        _batch = new GanBatchBuffers(device, _batchSize, inputs, height, width);
        _answer = new ScoreAndClassLayer(_classes);
        _generator = new Network(device, plan.Generator(height, width), [inputs], _batchSize);
        _averaged = new Network(device, plan.Generator(height, width), [inputs], Math.Max(_batchSize, GeneratedRows));
        _discriminator = new Network(device, plan.Discriminator(_answer), [1, height, width], 2 * _batchSize, needsGradient: true);
        _generator.Initialize(stream, StudyRandom.KeyFor(seed, RandomPurpose.GanWeights));
        _discriminator.Initialize(stream, StudyRandom.KeyFor(seed, RandomPurpose.GanWeights, 1L << 20));
        _generatorOptimizer = Optimizer(device, _generator, plan.GeneratorRate, plan.AverageDecay);
        _discriminatorOptimizer = Optimizer(device, _discriminator, plan.DiscriminatorRate, averageDecay: null);
    }

    /// <summary>The probability of each change in front of the discriminator in the next epoch.</summary>
    public double Probability { get; private set; }

    public long GeneratorParameters => _generator.ParameterCount;

    public long DiscriminatorParameters => _discriminator.ParameterCount;

    private IEnumerable<(string Name, DeviceTensor<float> Values)> Tensors =>
    [
        .. _generator.State.Select((tensor, i) => ($"generator {i}", tensor)),
        .. _discriminator.State.Select((tensor, i) => ($"discriminator {i}", tensor)),
    ];

    /// <summary>Adds all that training changes. Waits for the stream.</summary>
    public void Save(Checkpoint checkpoint)
    {
        foreach ((string name, DeviceTensor<float> values) in Tensors) checkpoint.Set(_stream, name, values);
        _generatorOptimizer.Save(_stream, checkpoint, "generator");
        _discriminatorOptimizer.Save(_stream, checkpoint, "discriminator");
        checkpoint.Set<double>("probability", [Probability]);
    }

    /// <summary>Goes on from what was saved.</summary>
    /// <exception cref="DatasetException">The checkpoint has not what this training changes, which is then of no more use.</exception>
    public void Load(Checkpoint checkpoint)
    {
        foreach ((string name, DeviceTensor<float> values) in Tensors) checkpoint.Load(_stream, name, values);
        _generatorOptimizer.Load(_stream, checkpoint, "generator");
        _discriminatorOptimizer.Load(_stream, checkpoint, "discriminator");
        Probability = checkpoint.Values<double>("probability")[0];
    }

    /// <summary>One pass over the training images, counted from 0. Waits at its end.</summary>
    public GanEpoch TrainEpoch(int epoch)
    {
        double condition = GanPlan.ConditionAt((double)epoch / _epochs);
        FillEpoch(epoch, (float)condition);
        _stream.Upload<float>([(float)Probability], _batch.Probability);
        _stream.Upload<float>([(float)condition], _batch.Condition);
        _step ??= _stream.Capture(Step);
        for (int step = 0; step < _steps; step++)
        {
            (long start, long rows) = ((long)step * _batchSize, _batchSize);
            EmbeddingDropout.Infer(_stream, _epoch.Order.Slice(start, rows), _images, _batch.RealRows);
            _stream.Copy(_epoch.RealLabels.Slice(start, rows), _batch.RealLabels);
            _stream.Copy(_epoch.Labels.Slice(start, rows), _batch.Labels);
            _stream.Copy(_epoch.Latents.Slice(start, rows), _batch.Latents);
            _stream.Copy(_epoch.Keys.Slice(step, 1), _batch.Keys);
            _step.Launch(_stream);
            _stream.Copy(_batch.Measures, _epoch.Measures.Slice(step, 1));
            _stream.Copy(_batch.ClassLosses, _epoch.ClassLosses.Slice(2 * start, 2 * rows));
        }

        return Measure((float)condition);
    }

    /// <summary>
    /// Images of each class in turn, so many of it, made by the averages; always of the same numbers. Levels, an image after the other.
    /// </summary>
    public float[] Sheet(int columns, int epoch) =>
        Generate([.. Enumerable.Range(0, _classes).SelectMany(label => Enumerable.Repeat(label, columns))], SheetUse, epoch);

    /// <summary>Images of these classes from other numbers than those of a sheet, when training has ended.</summary>
    public float[] Images(int[] labels) => Generate(labels, ImagesUse, _epochs);

    public void Dispose()
    {
        _step?.Dispose();
        _discriminatorOptimizer.Dispose();
        _generatorOptimizer.Dispose();
        _discriminator.Dispose();
        _averaged.Dispose();
        _generator.Dispose();
        _batch.Dispose();
        _epoch.Dispose();
        _noSamples.Dispose();
        _images.Dispose();
    }

    private NetworkOptimizer Optimizer(Device device, Network network, double rate, double? averageDecay)
    {
        AdamWOptions options = new() { LearningRate = rate, Beta1 = _plan.Beta1, Beta2 = _plan.Beta2, WeightDecay = 0 };
        NetworkOptimizer optimizer = NetworkOptimizer.Create(device, network, options, averageDecay);
        _stream.Fill(optimizer.Rates, (float)rate);
        return optimizer;
    }

    private void Step()
    {
        TrainingStep step = new(_stream, _batch.Keys, _noSamples, _batch.RealLabels);
        (int rows, DeviceTensor<float> all) = (_batchSize, _batch.Changed);
        DeviceTensor<float> images = _generator.Forward(_stream, _batch.Latents, step);

        // The discriminator: scores of real images up, of generated ones down, and the classes of real ones.
        _stream.Copy(images, _batch.Images.Slice(rows, rows));
        DifferentiableAugment.Forward(
            _stream, _batch.Images, sampleIds: null, _batch.Probability, all, _plan.Augmentation, _batch.DiscriminatorKey);
        DeviceTensor<float> scores = _discriminator.Forward(_stream, all, step), dScores = _discriminator.LogitGradient(2 * rows);
        DeviceTensor<float> dClasses = _answer.ClassGradient(2 * rows);
        GanLoss.Discriminator(
            _stream, scores.Slice(0, rows), scores.Slice(rows, rows), lossGradient: null, _batch.DiscriminatorMeasures,
            dScores.Slice(0, rows), dScores.Slice(rows, rows), gradientScale: 1, _plan.Loss);
        ClassLoss(
            _answer.ClassLogits.Slice(0, rows), _batch.RealLabels, _batch.ClassLosses.Slice(0, rows), dClasses.Slice(0, rows), share: 1);
        _stream.Fill(dClasses.Slice(rows, rows), 0f);
        _discriminator.Backward(step, dScores);
        _discriminatorOptimizer.Step(_stream);

        // The generator: the same images, by the scores of the discriminator as it is now and changed in another way.
        DeviceTensor<float> changed = all.Slice(0, rows);
        DifferentiableAugment.Forward(
            _stream, images, sampleIds: null, _batch.Probability, changed, _plan.Augmentation, _batch.GeneratorKey);
        scores = _discriminator.Forward(_stream, changed, step with { IsFrozen = true });
        GanLoss.Generator(
            _stream, scores, lossGradient: null, _batch.GeneratorMeasures, dScores.Slice(0, rows), gradientScale: 1, _plan.Loss);
        ClassLoss(
            _answer.ClassLogits, _batch.Labels, _batch.ClassLosses.Slice(rows, rows), dClasses.Slice(0, rows), _plan.GeneratorClassShare);
        DeviceTensor<float> dChanged = _discriminator.Backward(step with { IsFrozen = true }, dScores.Slice(0, rows))!;
        DifferentiableAugment.Backward(
            _stream, dChanged, sampleIds: null, _batch.Probability, _batch.ImageGradient, _plan.Augmentation, _batch.GeneratorKey);
        _generator.Backward(step, _batch.ImageGradient);
        _generatorOptimizer.Step(_stream);
    }

    private void ClassLoss(
        DeviceTensor<float> logits, DeviceTensor<int> labels, DeviceTensor<float> losses, DeviceTensor<float> gradient,
        double share) =>
        CrossEntropy.ForwardBackward(
            _stream, logits, labels, classWeights: null, _batch.Condition, losses, gradient, normalizer: null, share / _batchSize);

    private void FillEpoch(int epoch, float condition)
    {
        int images = _steps * _batchSize;
        int[] order = StudyRandom.Permutation(StudyRandom.KeyFor(_seed, RandomPurpose.GanOrder, epoch), _labels.Length)[..images];
        int[] labels = RandomLabels(epoch, images);
        ulong[] keys = new ulong[_steps * GanBatchBuffers.KeyCount * 2];
        for (int i = 0; i < keys.Length / 2; i++)
        {
            long use = ((long)epoch * _steps * GanBatchBuffers.KeyCount) + i;
            RandomKey key = StudyRandom.KeyFor(_seed, RandomPurpose.GanAugmentation, use);
            (keys[2 * i], keys[(2 * i) + 1]) = (key.Seed, key.Offset);
        }

        _stream.Upload<int>(order, _epoch.Order);
        _stream.Upload<int>([.. order.Select(place => _labels[place])], _epoch.RealLabels);
        _stream.Upload<int>(labels, _epoch.Labels);
        _stream.Upload<float>(LatentsOf(epoch, labels, condition), _epoch.Latents);
        _stream.Upload<ulong>(keys, _epoch.Keys);
    }

    private int[] RandomLabels(long use, int count)
    {
        RandomKey key = StudyRandom.KeyFor(_seed, RandomPurpose.GanClasses, use);
        return [.. Enumerable.Range(0, count).Select(i => StudyRandom.Below(_classes, key, (ulong)i))];
    }

    /// <summary>For each label uniform numbers of variance 1, which need no logarithm, and its class as far as it counts.</summary>
    private float[] LatentsOf(long use, int[] labels, float condition)
    {
        RandomKey key = StudyRandom.KeyFor(_seed, RandomPurpose.GanLatents, use);
        int width = _plan.Latents + _classes;
        float[] values = new float[labels.Length * width];
        for (int row = 0; row < labels.Length; row++)
        {
            for (int i = 0; i < _plan.Latents; i++)
                values[(row * width) + i] = (float)(Math.Sqrt(3) * StudyRandom.Symmetric(key, (ulong)((row * _plan.Latents) + i)));
            values[(row * width) + _plan.Latents + labels[row]] = condition;
        }

        return values;
    }

    private GanEpoch Measure(float condition)
    {
        GanMeasures means = _epoch.Means(_stream);
        float probability = (float)Probability;
        double change = _steps * _batchSize / _plan.AdaptationImages;
        Probability = Math.Clamp(
            Probability + (Math.Sign(means.Sign - _plan.TargetSign) * change), 0, _plan.HighestProbability);
        return new GanEpoch(
            means.RealLoss, means.GeneratedLoss, means.GeneratorLoss, means.RealClassLoss, means.GeneratedClassLoss,
            means.Sign, probability, condition);
    }

    private float[] Generate(int[] labels, long use, int epoch)
    {
        float condition = (float)GanPlan.ConditionAt((double)epoch / _epochs);
        Renew(epoch, condition);
        float[] latents = LatentsOf(use, labels, condition), images = new float[labels.Length * _images.Shape[1]];
        int width = latents.Length / labels.Length, pixels = (int)_images.Shape[1];
        for (int start = 0; start < labels.Length; start += GeneratedRows)
        {
            int rows = Math.Min(GeneratedRows, labels.Length - start);
            DeviceTensor<float> input = _batch.Generation(rows);
            _stream.Upload<float>(latents.AsSpan(start * width, rows * width), input);
            _stream.Download(_averaged.Forward(_stream, input), images.AsSpan(start * pixels, rows * pixels));
        }

        return ImageLayers.ToLevels(images);
    }

    /// <summary>
    /// The averaged weights, and the batch statistics that they have: those of the generator itself belong to other weights. Leaves
    /// training as it is.
    /// </summary>
    private void Renew(int epoch, float condition)
    {
        _generatorOptimizer.CopyAverages(_stream, _averaged);
        foreach ((DeviceTensor<float> own, DeviceTensor<float> copy) in _generator.Statistics.Zip(_averaged.Statistics))
            _stream.Copy(own, copy);
        TrainingStep step = new(_stream, _batch.Keys, _noSamples, _batch.RealLabels);
        for (int i = 0; i < RenewingBatches; i++)
        {
            long use = RenewingUse + ((long)epoch * RenewingBatches) + i;
            DeviceTensor<float> input = _batch.Generation(_batchSize);
            _stream.Upload<float>(LatentsOf(use, RandomLabels(use, _batchSize), condition), input);
            _averaged.Forward(_stream, input, step);
        }
    }
}
