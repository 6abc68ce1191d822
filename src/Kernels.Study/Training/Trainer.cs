using System.Diagnostics;

namespace Kernels.Study;

/// <summary>Trains one network per recipe and seed on one device. The images are uploaded once and shared by all runs.</summary>
internal sealed class Trainer : IDisposable
{
    private readonly Device _device;
    private readonly StudyData _data;
    private readonly ImageSources _sources;
    private readonly StudySettings _settings;
    private readonly Standardization _pixels;
    private readonly DeviceStream _stream;
    private readonly Evaluator _evaluator;
    private readonly DeviceExamples _train;
    private readonly DeviceExamples _validation;
    private readonly DeviceExamples _test;

    public Trainer(Device device, StudyData data, StudySettings settings, ImageSources? sources = null)
    {
        (_device, _data, _sources) = (device, data, sources ?? new ImageSources(device, data, settings));
        _settings = settings;
        _pixels = data.Pixels;
        _stream = device.CreateStream();
        _evaluator = new Evaluator(device, _stream, settings.Widths[^1]);
        _train = new DeviceExamples(device, data.Train);
        _validation = new DeviceExamples(device, data.Validation);
        _test = new DeviceExamples(device, data.Test);
    }

    /// <exception cref="NoImagesException">The recipe trains on made images, and there are none.</exception>
    public RunResult Run(Recipe recipe, int seed, IStudyProgress progress, CancellationToken cancellation = default)
    {
        // What makes images serves several runs: its time is its own.
        using DeviceExamples? table = recipe.Generated is { } generated ? WithImages(generated, seed, progress, cancellation) : null;
        Stopwatch clock = Stopwatch.StartNew();
        TrainingSet set = table is null ? new(_train) : new(table, _train.Count, recipe.Generated!.Share);
        using IRunTraining training = recipe.Merging is { } merging
            ? new MergingTraining(_device, _stream, _train, _pixels, merging, recipe, _settings, seed)
            : new NetworkTraining(_device, _stream, set, _pixels, recipe, _settings, seed);
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
            clock.Elapsed.TotalSeconds)
        {
            Merging = training.Sheet,
        };
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

    /// <summary>The training images and behind them those that were made.</summary>
    private DeviceExamples WithImages(GeneratedImages generated, int seed, IStudyProgress progress, CancellationToken cancellation) =>
        new(_device, _data.Train.Then(_sources.Of(generated, seed, progress, cancellation)));

    private CurvePoint Measure(Network network, int epoch) => new(
        epoch, _evaluator.Measure(network, _train), _evaluator.Measure(network, _validation), _evaluator.Measure(network, _test));
}
