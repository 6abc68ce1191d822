namespace Kernels.Study;

/// <summary>
/// One network in training. A step is captured as a graph, once for each size of a batch; what changes from step to step (the images, their
/// labels, the random keys, the learning rates) is copied to where the graph reads it.
/// </summary>
internal sealed class NetworkTraining : IRunTraining
{
    private readonly Device _device;
    private readonly DeviceStream _stream;
    private readonly TrainingSet _train;
    private readonly Recipe _recipe;
    private readonly int _seed;
    private readonly int _epochs;
    private readonly int _batchSize;
    private readonly int _stepsPerEpoch;
    private readonly Network _network;
    private readonly Network? _averaged;
    private readonly NetworkOptimizer _optimizer;
    private readonly InputLayers _inputs;
    private readonly EpochInputs _epoch;
    private readonly BatchInputs _batch;
    private readonly Dictionary<long, DeviceGraph> _steps = [];

    public NetworkTraining(
        Device device, DeviceStream stream, TrainingSet train, Standardization pixels, Recipe recipe, StudySettings settings, int seed)
    {
        (_device, _stream, _train, _recipe, _seed) = (device, stream, train, recipe, seed);
        (_epochs, _batchSize) = (settings.EpochsOf(recipe), settings.BatchSizeOf(recipe));
        _stepsPerEpoch = (train.Count + _batchSize - 1) / _batchSize;
        int features = settings.Widths[0], rows = Math.Max(_batchSize, Evaluator.BlockRows);
        _network = new Network(device, recipe.Network.Layers(settings), features, rows);
        _network.Initialize(stream, StudyRandom.KeyFor(seed, RandomPurpose.InitialWeights));
        _averaged = recipe.AverageDecay is null ? null : new Network(device, recipe.Network.Layers(settings), features, rows);
        _optimizer = NetworkOptimizer.Create(device, _network, recipe.Optimizer(settings), recipe.AverageDecay);
        _epoch = new EpochInputs(device, train.Count, _stepsPerEpoch);
        _batch = new BatchInputs(device, _batchSize, features);
        int height = settings.ImageHeight;
        _inputs = new InputLayers(recipe.Augmentation, new InputShape(device, _batchSize, height, features / height, pixels));
    }

    /// <summary>The network whose performance counts: that of the averaged weights where there are averages.</summary>
    public Network Evaluated => _averaged ?? _network;

    /// <summary>
    /// One pass over all training images in an order of this seed and epoch, counted from 0. Returns the mean loss of its batches.
    /// </summary>
    public double TrainEpoch(int epoch, CancellationToken cancellation)
    {
        _epoch.Fill(_stream, _train, _seed, epoch, step => _optimizer.FullRate * RateShare(step));
        for (int step = 0; step < _stepsPerEpoch; step++)
        {
            cancellation.ThrowIfCancellationRequested();
            long start = (long)step * _batchSize, rows = Math.Min(_batchSize, _train.Count - start);
            EmbeddingDropout.Infer(_stream, _epoch.Order.Slice(start, rows), _train.Table.Images, _batch.Images.Slice(0, rows));
            _stream.Copy(_epoch.Samples.Slice(start, rows), _batch.Samples.Slice(0, rows));
            _stream.Copy(_epoch.Labels.Slice(start, rows), _batch.Labels.Slice(0, rows));
            _stream.Copy(_epoch.Keys.Slice(step, 1), _batch.Keys);
            _stream.Copy(_epoch.Rates.Slice(step, 1).Reshape(NetworkOptimizer.GroupCount), _optimizer.Rates);
            StepOf(rows).Launch(_stream);
            _stream.Copy(_batch.Losses.Slice(0, rows), _epoch.Losses.Slice(start, rows));
        }

        if (_averaged is not null) CopyAverages(_averaged);
        return _epoch.MeanLoss(_stream);
    }

    public void Dispose()
    {
        foreach (DeviceGraph step in _steps.Values) step.Dispose();
        _inputs.Dispose();
        _batch.Dispose();
        _epoch.Dispose();
        _optimizer.Dispose();
        _averaged?.Dispose();
        _network.Dispose();
    }

    private double RateShare(long step) => StudySettings.RateShareAt(step, (long)_epochs * _stepsPerEpoch, _recipe.WarmUp);

    private DeviceGraph StepOf(long rows)
    {
        if (!_steps.TryGetValue(rows, out DeviceGraph? graph)) _steps[rows] = graph = _stream.Capture(() => Step(rows));
        return graph;
    }

    private void Step(long rows)
    {
        (DeviceTensor<ulong> samples, DeviceTensor<int> labels) = (_batch.Samples.Slice(0, rows), _batch.Labels.Slice(0, rows));
        TrainingStep step = new(_stream, _batch.Keys.Reshape(StepKeys.Count, 2), samples, labels);
        TrainingBatch batch = _inputs.Apply(step, new TrainingBatch(_batch.Images.Slice(0, rows), samples, labels));
        DeviceTensor<float> logits = _network.Forward(_stream, batch.Images, step);
        CrossEntropy.ForwardBackward(
            _stream, logits, batch.Targets, classWeights: null, lossGradient: null, _batch.Losses.Slice(0, rows),
            _network.LogitGradient(rows), normalizer: null, 1.0 / rows, _recipe.Loss);
        _network.Backward(step, rows);
        _optimizer.Step(_stream);
    }

    private void CopyAverages(Network averaged)
    {
        _optimizer.CopyAverages(_stream, averaged);
        foreach ((DeviceTensor<float> own, DeviceTensor<float> copy) in _network.Statistics.Zip(averaged.Statistics))
            _stream.Copy(own, copy);
    }

    /// <summary>What a captured step reads and writes at fixed places, with the learning rates of the optimizer.</summary>
    private sealed class BatchInputs(Device device, int rows, int features) : IDisposable
    {
        public DeviceTensor<float> Images { get; } = device.Allocate<float>(rows, features);

        public DeviceTensor<ulong> Samples { get; } = device.Allocate<ulong>(rows);

        public DeviceTensor<int> Labels { get; } = device.Allocate<int>(rows);

        public DeviceTensor<ulong> Keys { get; } = device.Allocate<ulong>(1, StepKeys.Count * 2);

        public DeviceTensor<float> Losses { get; } = device.Allocate<float>(rows);

        public void Dispose()
        {
            Images.Dispose();
            Samples.Dispose();
            Labels.Dispose();
            Keys.Dispose();
            Losses.Dispose();
        }
    }
}
