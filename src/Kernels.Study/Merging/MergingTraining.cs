namespace Kernels.Study;

/// <summary>
/// A classifier in training that sees images made of two others beside those that others see. A step is one graph for both networks: the
/// gradient of the classifier's loss goes through the made images into the network that makes them.
/// </summary>
internal sealed class MergingTraining : IRunTraining
{
    /// <summary>Rows of a sheet.</summary>
    private const int MostSheetRows = 5;

    private readonly Device _device;
    private readonly DeviceStream _stream;
    private readonly DeviceExamples _train;
    private readonly MergingPlan _plan;
    private readonly Recipe _recipe;
    private readonly Standardization _pixels;
    private readonly int _seed;
    private readonly int _epochs;
    private readonly int _batchSize;
    private readonly int _stepsPerEpoch;
    private readonly int[] _imageShape;
    private readonly ILookup<int, int> _members;
    private readonly Network _classifier;
    private readonly NetworkOptimizer _optimizer;
    private readonly Network? _merger;
    private readonly NetworkOptimizer? _mergerOptimizer;
    private readonly MergingBuffers _buffers;
    private readonly Dictionary<long, DeviceGraph> _steps = [];
    private readonly List<(int Epoch, double Error, float[] Images)> _sheet = [];

    public MergingTraining(
        Device device, DeviceStream stream, DeviceExamples train, Standardization pixels, MergingPlan plan, Recipe recipe,
        StudySettings settings, int seed)
    {
        (_device, _stream, _train, _pixels, _plan, _recipe, _seed) = (device, stream, train, pixels, plan, recipe, seed);
        (_epochs, _batchSize) = (settings.EpochsOf(recipe), settings.BatchSizeOf(recipe));
        _stepsPerEpoch = (train.Count + _batchSize - 1) / _batchSize;
        int features = settings.Widths[0], rows = Math.Max(2 * _batchSize, Evaluator.BlockRows);
        _imageShape = [settings.ImageHeight, features / settings.ImageHeight];
        _members = Enumerable.Range(0, train.Count).ToLookup(i => train.HostLabels[i]);
        _classifier = new Network(
            device, recipe.Network.Layers(settings), [features], rows, needsGradient: plan.Merger == Merger.Network);
        _classifier.Initialize(stream, StudyRandom.KeyFor(seed, RandomPurpose.InitialWeights));
        _optimizer = NetworkOptimizer.Create(device, _classifier, recipe.Optimizer(settings));
        _buffers = new MergingBuffers(device, train.Count, _stepsPerEpoch, _batchSize, features);
        if (!plan.IsNetwork) return;
        _merger = new Network(device, plan.Layers(), [2, .. _imageShape], _batchSize, needsGradient: false);
        _merger.Initialize(stream, StudyRandom.KeyFor(seed, RandomPurpose.Merging, 1L << 40));
        _mergerOptimizer = NetworkOptimizer.Create(device, _merger, new AdamWOptions { LearningRate = plan.Rate, WeightDecay = 0 });
        stream.Fill(_mergerOptimizer.Rates, (float)plan.Rate);
    }

    public Network Evaluated => _classifier;

    public MergingSheet? Sheet => _sheet.Count == 0 ? null : new MergingSheet(
        [.. _sheet.Select(row => row.Epoch)], [.. _sheet.Select(row => row.Error)],
        [.. SheetPairs().Concat(_sheet.SelectMany(row => row.Images)).Select(_pixels.ByteOf)]);

    public double TrainEpoch(int epoch, CancellationToken cancellation)
    {
        FillEpoch(epoch);
        for (int step = 0; step < _stepsPerEpoch; step++)
        {
            cancellation.ThrowIfCancellationRequested();
            long start = (long)step * _batchSize, rows = Math.Min(_batchSize, _train.Count - start);
            _buffers.SelectStep(_stream, step, start, rows);
            _stream.Copy(_buffers.Rates.Slice(step, 1).Reshape(NetworkOptimizer.GroupCount), _optimizer.Rates);
            StepOf(rows).Launch(_stream);
            _buffers.KeepLosses(_stream, step, start, rows);
        }

        (double loss, double error) = _buffers.Means(_stream);
        if (_merger is not null && IsSheetRow(epoch + 1)) _sheet.Add((epoch + 1, error, Merge()));
        return loss;
    }

    public void Dispose()
    {
        foreach (DeviceGraph step in _steps.Values) step.Dispose();
        _buffers.Dispose();
        _mergerOptimizer?.Dispose();
        _merger?.Dispose();
        _optimizer.Dispose();
        _classifier.Dispose();
    }

    /// <summary>The first epoch, the last, and others between, half as far from the begin each time.</summary>
    private bool IsSheetRow(int epoch) => epoch == 1 || Enumerable.Range(0, MostSheetRows - 1).Any(i => epoch == _epochs >> i);

    private DeviceGraph StepOf(long rows)
    {
        if (!_steps.TryGetValue(rows, out DeviceGraph? graph)) _steps[rows] = graph = _stream.Capture(() => Step(rows));
        return graph;
    }

    private void Step(long rows)
    {
        TrainingStep step = new(_stream, _buffers.Keys.Reshape(StepKeys.Count, 2), _buffers.Samples, _buffers.Labels);
        DeviceTensor<float> input = _buffers.Input.Slice(0, 2 * rows);
        DeviceTensor<float> made = input.Slice(0, rows), real = input.Slice(rows, rows);
        long[] shape = [rows, 1, .. _imageShape];
        EmbeddingDropout.Infer(_stream, _buffers.Places.Slice(0, rows), _train.Images, real);
        DeviceTensor<float>? image = null;
        if (_merger is not null)
        {
            DeviceTensor<float> pairs = _buffers.PairImages.Slice(0, rows);
            EmbeddingDropout.Infer(_stream, _buffers.Pairs.Slice(0, rows), _train.Images, pairs);
            image = _merger.Forward(_stream, pairs.Reshape([rows, 2, .. _imageShape]), step);
            _stream.Copy(image.Reshape(made.Shape), made);
        }
        else
        {
            DeviceTensor<float> first = _buffers.FirstImages.Slice(0, rows);
            EmbeddingDropout.Infer(_stream, _buffers.Firsts.Slice(0, rows), _train.Images, first);
            Mixup.Forward(_stream, first, _train.Images, _buffers.Partners.Slice(0, rows), _buffers.Shares.Slice(0, rows), made);
        }

        DeviceTensor<int> labels = _buffers.Labels.Slice(0, 2 * rows);
        DeviceTensor<float> logits = _classifier.Forward(_stream, input, step), losses = _buffers.Losses.Slice(0, 2 * rows);
        CrossEntropy.ForwardBackward(
            _stream, logits, labels, classWeights: null, lossGradient: null, losses, _classifier.LogitGradient(2 * rows),
            normalizer: null, 1.0 / (2 * rows), _recipe.Loss);
        DeviceTensor<float>? dInput = _classifier.Backward(step, _classifier.LogitGradient(2 * rows));
        if (image is not null)
        {
            // The loss of the merging network over the classifier's share in it, which Adam does not see: then that loss keeps its scale.
            bool isDetached = dInput is null;
            DeviceTensor<float> dImage = (dInput?.Reshape([2 * rows, 1, .. _imageShape]) ?? _buffers.ImageGradient.Reshape(
                [_batchSize, 1, .. _imageShape])).Slice(0, rows);
            MeanSquaredError.ForwardBackward(
                _stream, image, real.Reshape(shape), lossGradient: null, _buffers.Error, dImage,
                isDetached ? 1 : _plan.ErrorShare / _plan.ClassifierShare, accumulates: !isDetached);
            _merger!.Backward(step, dImage);
            _mergerOptimizer!.Step(_stream);
        }

        _optimizer.Step(_stream);
    }

    private void FillEpoch(int epoch)
    {
        int[] order = StudyRandom.Permutation(StudyRandom.KeyFor(_seed, RandomPurpose.BatchOrder, epoch), _train.Count);
        RandomKey key = StudyRandom.KeyFor(_seed, RandomPurpose.Merging, epoch);
        (int First, int Second)[] pairs = [.. order.Select((place, i) => PairOf(place, key, i))];
        float[] shares = [.. pairs.Select((_, i) => _plan.Merger == Merger.Mean
            ? 0.5f
            : (float)(0.5 + (0.5 * StudyRandom.Symmetric(key with { Offset = key.Offset + (1UL << 41) }, (ulong)i))))];
        _buffers.Fill(
            _stream, order, pairs, [.. order.Select(place => _train.HostLabels[place])], shares,
            step => StepKeysOf(epoch, step), step => _optimizer.FullRate * RateShare(epoch, step));
    }

    /// <summary>Two further images of the class of an image, and two different ones as far as there are such.</summary>
    private (int First, int Second) PairOf(int place, RandomKey key, int number)
    {
        int[] others = [.. _members[_train.HostLabels[place]].Where(member => member != place)];
        if (others.Length == 0) return (place, place);
        int first = StudyRandom.Below(others.Length, key, (ulong)(2 * number));
        if (others.Length == 1) return (others[0], others[0]);
        int second = StudyRandom.Below(others.Length - 1, key, (ulong)((2 * number) + 1));
        return (others[first], others[second < first ? second : second + 1]);
    }

    private ulong[] StepKeysOf(int epoch, int step)
    {
        ulong[] keys = new ulong[2 * StepKeys.Count];
        StepKeys.Write(_seed, epoch, ((long)epoch * _stepsPerEpoch) + step, keys);
        return keys;
    }

    private double RateShare(int epoch, int step) => StudySettings.RateShareAt(
        ((long)epoch * _stepsPerEpoch) + step, (long)_epochs * _stepsPerEpoch, _recipe.WarmUp);

    /// <summary>The first two images of each class.</summary>
    private IReadOnlyList<(int First, int Second)> FixedPairs() =>
        [.. _members.OrderBy(members => members.Key).Select(members => (members.First(), members.Take(2).Last()))];

    private IEnumerable<float> SheetPairs()
    {
        float[] images = new float[_train.Images.Length];
        _stream.Download(_train.Images, images);
        int pixels = (int)_train.Images.Shape[1];
        IReadOnlyList<(int First, int Second)> pairs = FixedPairs();
        return pairs.Select(pair => pair.First).Concat(pairs.Select(pair => pair.Second))
            .SelectMany(place => images.Skip(place * pixels).Take(pixels));
    }

    /// <summary>What the network makes of the fixed pairs now.</summary>
    private float[] Merge()
    {
        IReadOnlyList<(int First, int Second)> pairs = FixedPairs();
        int pixels = (int)_train.Images.Shape[1];
        float[] images = new float[pairs.Count * pixels];
        using DeviceTensor<int> places = _device.Upload<int>(
            [.. pairs.SelectMany(pair => (int[])[pair.First, pair.Second])], pairs.Count, 2);
        using DeviceTensor<float> input = _device.Allocate<float>(pairs.Count, 2, pixels);
        EmbeddingDropout.Infer(_stream, places, _train.Images, input);
        for (int i = 0; i < pairs.Count; i++)
        {
            // One at a time: a batch may be smaller than the number of classes.
            DeviceTensor<float> image = _merger!.Forward(_stream, input.Slice(i, 1).Reshape([1, 2, .. _imageShape]));
            _stream.Download(image, images.AsSpan(i * pixels, pixels));
        }

        return images;
    }
}
