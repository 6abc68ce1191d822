using System.Diagnostics;

namespace Kernels.Study;

/// <summary>Trains one network per recipe and seed on one device. The images are uploaded once and shared by all runs.</summary>
internal sealed class Trainer : IDisposable
{
    private readonly Device _device;
    private readonly StudyData _data;
    private readonly StudySettings _settings;
    private readonly DeviceStream _stream;
    private readonly Evaluator _evaluator;
    private readonly DeviceExamples _train;
    private readonly DeviceExamples _validation;
    private readonly DeviceExamples _test;
    private readonly DeviceExamples _epoch;
    private readonly DeviceTensor<float> _losses;
    private readonly float[] _hostLosses;

    public Trainer(Device device, StudyData data, StudySettings settings)
    {
        _device = device;
        _data = data;
        _settings = settings;
        _stream = device.CreateStream();
        _evaluator = new Evaluator(device, _stream, settings.Widths[^1]);
        _train = new DeviceExamples(device, data.Train);
        _validation = new DeviceExamples(device, data.Validation);
        _test = new DeviceExamples(device, data.Test);
        _epoch = new DeviceExamples(device, data.Train with { Labels = [.. data.Train.Labels] });
        _losses = device.Allocate<float>(data.Train.Count);
        _hostLosses = new float[data.Train.Count];
    }

    public RunResult Run(Recipe recipe, int seed, IStudyProgress progress, CancellationToken cancellation = default)
    {
        Stopwatch clock = Stopwatch.StartNew();
        int rows = Math.Max(_settings.BatchSize, Evaluator.BlockRows);
        using Network network = new(_device, recipe.Network.Layers(_settings), _settings.Widths[0], rows);
        using NetworkOptimizer optimizer = NetworkOptimizer.Create(_device, network, recipe.Optimizer(_settings));
        using ParameterSnapshot<float>? best = recipe.Stopping is null ? null : new(_device, network.State);
        StoppingRule.Run? stopping = recipe.Stopping is { } rule ? new(rule) : null;
        network.Initialize(_stream, StudyRandom.KeyFor(seed, RandomPurpose.InitialWeights));

        List<CurvePoint> curve = [];
        int epoch = 0;
        bool stop = false;
        while (epoch < _settings.Epochs && !stop)
        {
            double batchLoss = TrainEpoch(network, optimizer, recipe, seed, epoch++, cancellation);
            if (stopping is not null)
            {
                stop = stopping.Update(_evaluator.Measure(network, _validation));
                if (stopping.IsBest) best!.Save(_stream);
            }

            bool isPoint = _settings.IsPoint(epoch) || stop || epoch == _settings.Epochs;
            if (isPoint) curve.Add(Measure(network, epoch));
            progress.OnEpoch(new EpochReport(recipe, seed, epoch, _settings.Epochs, batchLoss, isPoint ? curve[^1] : null));
        }

        int bestEpoch = stopping?.BestEpoch ?? epoch;
        CurvePoint final = curve[^1];
        if (bestEpoch != epoch)
        {
            best!.Restore(_stream);
            final = Measure(network, bestEpoch);
        }

        RunResult result = new(
            recipe, seed, epoch, bestEpoch, final, curve, network.ParameterCount, network.ZeroWeights(_stream),
            clock.Elapsed.TotalSeconds);
        progress.OnRunEnd(result);
        return result;
    }

    public void Dispose()
    {
        _losses.Dispose();
        _epoch.Dispose();
        _test.Dispose();
        _validation.Dispose();
        _train.Dispose();
        _evaluator.Dispose();
        _stream.Dispose();
    }

    private CurvePoint Measure(Network network, int epoch) => new(
        epoch, _evaluator.Measure(network, _train), _evaluator.Measure(network, _validation), _evaluator.Measure(network, _test));

    /// <summary>One pass over all training images in an order of this seed and epoch. Returns the mean loss of its batches.</summary>
    private double TrainEpoch(
        Network network, NetworkOptimizer optimizer, Recipe recipe, int seed, int epoch, CancellationToken cancellation)
    {
        int count = _data.Train.Count;
        _epoch.Upload(_stream, _data.Train, StudyRandom.Permutation(StudyRandom.KeyFor(seed, RandomPurpose.BatchOrder, epoch), count));

        long stepsPerEpoch = (count + _settings.BatchSize - 1) / _settings.BatchSize;
        for (long batch = 0; batch < stepsPerEpoch; batch++)
        {
            cancellation.ThrowIfCancellationRequested();
            long start = batch * _settings.BatchSize;
            long rows = Math.Min(_settings.BatchSize, count - start);
            TrainingStep step = new(_stream, seed, (epoch * stepsPerEpoch) + batch);

            DeviceTensor<float> input = _epoch.Images.Slice(start, rows);
            DeviceTensor<float> logits = network.Forward(_stream, input, step);
            CrossEntropy.ForwardBackward(
                _stream, logits, _epoch.Labels.Slice(start, rows), classWeights: null, lossGradient: null, _losses.Slice(start, rows),
                network.LogitGradient(rows), normalizer: null, 1.0 / rows, recipe.Loss);
            network.Backward(step, rows);
            optimizer.Step(_stream, StudySettings.RateShareAt(step.Index, _settings.Epochs * stepsPerEpoch, recipe.WarmUp));
        }

        _stream.Download(_losses, _hostLosses);
        return _hostLosses.Average(loss => (double)loss);
    }
}
