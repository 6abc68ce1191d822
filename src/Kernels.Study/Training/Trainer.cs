using System.Diagnostics;

namespace Kernels.Study;

/// <summary>Trains one network per recipe and seed on one device. The images are uploaded once and shared by all runs.</summary>
internal sealed class Trainer : IDisposable
{
    private readonly Device _device;
    private readonly StudySettings _settings;
    private readonly Standardization _pixels;
    private readonly DeviceStream _stream;
    private readonly Evaluator _evaluator;
    private readonly DeviceExamples _train;
    private readonly DeviceExamples _validation;
    private readonly DeviceExamples _test;

    public Trainer(Device device, StudyData data, StudySettings settings)
    {
        _device = device;
        _settings = settings;
        _pixels = data.Pixels;
        _stream = device.CreateStream();
        _evaluator = new Evaluator(device, _stream, settings.Widths[^1]);
        _train = new DeviceExamples(device, data.Train);
        _validation = new DeviceExamples(device, data.Validation);
        _test = new DeviceExamples(device, data.Test);
    }

    public RunResult Run(Recipe recipe, int seed, IStudyProgress progress, CancellationToken cancellation = default)
    {
        Stopwatch clock = Stopwatch.StartNew();
        using NetworkTraining training = new(_device, _stream, _train, _pixels, recipe, _settings, seed);
        Network network = training.Evaluated;
        using ParameterSnapshot<float>? best = recipe.Stopping is null ? null : new(_device, network.State);
        StoppingRule.Run? stopping = recipe.Stopping is { } rule ? new(rule) : null;

        List<CurvePoint> curve = [];
        int epochs = _settings.EpochsOf(recipe), epoch = 0;
        bool stop = false;
        while (epoch < epochs && !stop)
        {
            double batchLoss = training.TrainEpoch(epoch++, cancellation);
            if (stopping is not null)
            {
                stop = stopping.Update(_evaluator.Measure(network, _validation));
                if (stopping.IsBest) best!.Save(_stream);
            }

            bool isPoint = _settings.IsPoint(epoch) || stop || epoch == epochs;
            if (isPoint) curve.Add(Measure(network, epoch));
            progress.OnEpoch(new EpochReport(recipe, seed, epoch, epochs, batchLoss, isPoint ? curve[^1] : null));
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
        _test.Dispose();
        _validation.Dispose();
        _train.Dispose();
        _evaluator.Dispose();
        _stream.Dispose();
    }

    private CurvePoint Measure(Network network, int epoch) => new(
        epoch, _evaluator.Measure(network, _train), _evaluator.Measure(network, _validation), _evaluator.Measure(network, _test));
}
