namespace Kernels.Study;

/// <summary>
/// One network in training on many ranks. Every rank has the whole training set, and computes its shards of each batch; parameters,
/// optimizer and statistics are the same on all, by the same sums.
/// </summary>
/// <remarks>
/// What is random counts by places in the whole batch or by numbers of samples, and so does not know of shards. Penalties, decay and
/// averages are the optimizer's, which moves the weights once, by the sums.
/// </remarks>
internal sealed class RankTraining : IDisposable
{
    private readonly DeviceStream _stream;
    private readonly RankLink _link;
    private readonly DeviceExamples _train;
    private readonly Recipe _recipe;
    private readonly int _seed;
    private readonly int _epochs;
    private readonly int _batchSize;
    private readonly Network _network;
    private readonly Network? _averaged;
    private readonly ShardedNetwork _shards;
    private readonly ShardedLoss _loss;
    private readonly NetworkOptimizer _optimizer;
    private readonly InputLayers _inputs;
    private readonly EpochInputs _epoch;
    private readonly DeviceTensor<float> _batch;
    private readonly DeviceTensor<float> _images;

    public RankTraining(
        RankSetup setup, DeviceExamples train, Standardization pixels, Recipe recipe, StudySettings settings, int seed)
    {
        Device device = setup.Device;
        (_stream, _link, _train, _recipe, _seed) = (setup.Stream, setup.Link, train, recipe, seed);
        (_epochs, _batchSize) = (settings.EpochsOf(recipe), settings.BatchSizeOf(recipe));
        Steps = (train.Count + _batchSize - 1) / _batchSize;
        int features = settings.Widths[0], height = settings.ImageHeight;
        ShardSetup shards = new(device, _link, _link.Plan.MostRows(_batchSize));
        _network = new Network(device, recipe.Network.Layers(settings), features, Evaluator.BlockRows);
        _network.Initialize(_stream, StudyRandom.KeyFor(seed, RandomPurpose.InitialWeights));
        _averaged = recipe.AverageDecay is null
            ? null : new Network(device, recipe.Network.Layers(settings), features, Evaluator.BlockRows);
        _shards = new ShardedNetwork(shards, _network, () => recipe.Network.Layers(settings), features, setup.Mode, setup.BucketBytes);
        _loss = new ShardedLoss(device, _link, setup.Mode, recipe.Loss);
        _optimizer = NetworkOptimizer.Create(device, _network, recipe.Optimizer(settings), recipe.AverageDecay);
        _inputs = new InputLayers(recipe.Augmentation, new InputShape(device, _batchSize, height, features / height, pixels));
        _epoch = new EpochInputs(device, train.Count, Steps);
        _batch = device.Allocate<float>(_inputs.ChangeImages ? _batchSize : 0, features);
        _images = device.Allocate<float>(_link.Plan.Count, shards.MaximumRows, features);
    }

    /// <summary>Steps of an epoch.</summary>
    public int Steps { get; }

    /// <summary>The network whose performance counts: that of the averaged weights where there are averages.</summary>
    public Network Evaluated => _averaged ?? _network;

    /// <summary>The mean loss of each batch of the epoch that has ended.</summary>
    public IReadOnlyList<double> StepLosses => _epoch.StepLosses(_batchSize);

    /// <summary>Makes ready for the steps of an epoch, counted from 0.</summary>
    public void Begin(int epoch)
    {
        _epoch.Fill(
            _stream, new TrainingSet(_train), _seed, epoch,
            step => _optimizer.FullRate * StudySettings.RateShareAt(step, (long)_epochs * Steps, _recipe.WarmUp));
        _stream.Fill(_epoch.Losses, 0);
    }

    /// <summary>A step of the epoch.</summary>
    public void Train(int step)
    {
        long start = (long)step * _batchSize, rows = Math.Min(_batchSize, _train.Count - start);
        DeviceTensor<ulong> keys = _epoch.Keys.Slice(step, 1).Reshape(StepKeys.Count, 2);
        TrainingBatch? changed = _inputs.ChangeImages ? ChangeImages(keys, start, rows) : null;
        long firstChanged = _inputs.MixImages ? 0 : _link.Plan.OwnRows(rows).First;
        TrainingBatch?[] batches = new TrainingBatch?[_link.Plan.Count];
        TrainingStep?[] steps = new TrainingStep?[batches.Length];
        DeviceTensor<float>?[] x = new DeviceTensor<float>?[batches.Length];
        for (int i = 0; i < batches.Length; i++)
        {
            (long first, long count) = _link.Plan.RowsOf(_link.Plan.First + i, rows);
            if (count == 0) continue;
            x[i] = _images.Slice(i, 1).Reshape(_images.Shape[1..]).Slice(0, count);
            TrainingBatch batch = changed is { } some ? some.Slice(first - firstChanged, count) : BatchOf(start + first, count, x[i]!);
            if (changed is not null) _stream.Copy(batch.Images, x[i]!);
            batches[i] = batch;
            steps[i] = new TrainingStep(_stream, keys, batch.Samples, batch.Labels) { FirstRow = (ulong)first };
        }

        ShardStep shards = new(_stream, steps, rows, _epoch.Labels.Slice(start, rows));
        _shards.Forward(shards, x);
        ShardRows?[] losses = new ShardRows?[x.Length];
        for (int i = 0; i < x.Length; i++)
        {
            if (x[i] is not { } logits) continue;
            (long first, long count) = _link.Plan.RowsOf(_link.Plan.First + i, rows);
            losses[i] = new ShardRows(
                logits, batches[i]!.Value.Targets, _epoch.Losses.Slice(start + first, count), _shards.LogitGradient(i, count));
        }

        _loss.Run(_stream, losses, rows);
        _shards.Backward(shards);
        _stream.Copy(_epoch.Rates.Slice(step, 1).Reshape(NetworkOptimizer.GroupCount), _optimizer.Rates);
        _optimizer.Step(_stream);
    }

    /// <summary>The epoch is over: averages are in place. Returns the mean loss of its batches.</summary>
    public double End()
    {
        ShareLosses();
        CopyAverages();
        return _epoch.MeanLoss(_stream);
    }

    /// <summary>Within an epoch: the first rank gets the losses so far of all, and keeps them for all, as after a load.</summary>
    public void CollectLosses()
    {
        ShareLosses();
        if (!_link.IsRoot) _stream.Fill(_epoch.Losses, 0);
    }

    /// <summary>All that this run has come to; so many steps of an epoch are done.</summary>
    public void Save(Checkpoint checkpoint, int stepsDone)
    {
        checkpoint.Set(_stream, "losses", _epoch.Losses.Slice(0, Math.Min((long)stepsDone * _batchSize, _train.Count)));
        ForEachTensor((name, tensor) => checkpoint.Set(_stream, name, tensor));
        _optimizer.Save(_stream, checkpoint, "optimizer");
    }

    /// <summary>Goes on from what was saved: parameters, statistics, optimizer and averages.</summary>
    public void Load(Checkpoint checkpoint)
    {
        ForEachTensor((name, tensor) => checkpoint.Load(_stream, name, tensor));
        _optimizer.Load(_stream, checkpoint, "optimizer");
        CopyAverages();
    }

    /// <summary>The losses of the steps of this epoch that were done before.</summary>
    public void LoadLosses(Checkpoint checkpoint)
    {
        float[] losses = checkpoint.Values<float>("losses");
        if (_link.IsRoot) _stream.Upload<float>(losses, _epoch.Losses.Slice(0, losses.Length));
    }

    public void Dispose()
    {
        _images.Dispose();
        _batch.Dispose();
        _epoch.Dispose();
        _inputs.Dispose();
        _optimizer.Dispose();
        _loss.Dispose();
        _shards.Dispose();
        _averaged?.Dispose();
        _network.Dispose();
    }

    /// <summary>
    /// Augmented images: those of this rank's rows, which do not depend on others, or the whole batch where images are mixed, on each rank.
    /// </summary>
    private TrainingBatch? ChangeImages(DeviceTensor<ulong> keys, long start, long rows)
    {
        (long first, long count) = _inputs.MixImages ? new RowRange(0, rows) : _link.Plan.OwnRows(rows);
        if (count == 0) return null;
        TrainingBatch batch = BatchOf(start + first, count, _batch.Slice(0, count));
        return _inputs.Apply(new TrainingStep(_stream, keys, batch.Samples, batch.Labels), batch);
    }

    /// <summary>Images of the epoch's order from a place on, in a buffer.</summary>
    private TrainingBatch BatchOf(long start, long count, DeviceTensor<float> images)
    {
        EmbeddingDropout.Infer(_stream, _epoch.Order.Slice(start, count), _train.Images, images);
        return new TrainingBatch(images, _epoch.Samples.Slice(start, count), _epoch.Labels.Slice(start, count));
    }

    /// <summary>Each rank knows the losses of its own rows, and 0 for others: sums of these are exact.</summary>
    private void ShareLosses() => _link.Call(_stream, call => _link.Collective.AllReduce(call, _epoch.Losses, _epoch.Losses, "losses"));

    private void CopyAverages()
    {
        if (_averaged is null) return;
        _optimizer.CopyAverages(_stream, _averaged);
        foreach ((DeviceTensor<float> own, DeviceTensor<float> copy) in _network.Statistics.Zip(_averaged.Statistics))
            _stream.Copy(own, copy);
    }

    private void ForEachTensor(Action<string, DeviceTensor<float>> use)
    {
        for (int i = 0; i < _network.Parameters.Count; i++) use($"parameter {i}", _network.Parameters[i].Value);
        for (int i = 0; i < _network.Statistics.Count; i++) use($"statistic {i}", _network.Statistics[i]);
    }
}

/// <summary>A rank of a study: where it computes, its way to the others, and how sums are made.</summary>
internal sealed record RankSetup(Device Device, DeviceStream Stream, RankLink Link, SumMode Mode, long BucketBytes);
