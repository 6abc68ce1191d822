using System.Diagnostics;

namespace Kernels.Study;

/// <summary>One rank of a study: trains its part of each network, in step with the other ranks.</summary>
internal sealed class RankTrainer : IDisposable
{
    /// <summary>Ranks ask each other every so many steps whether to stop, which costs a call.</summary>
    private const int StepsPerLook = 8;

    private readonly RankSetup _setup;
    private readonly RankSettings _ranks;
    private readonly StudySettings _settings;
    private readonly Standardization _pixels;
    private readonly RankEvaluator _evaluator;
    private readonly RankTalk _talk;
    private readonly DeviceExamples _train;
    private readonly DeviceExamples _validation;
    private readonly DeviceExamples _test;

    public RankTrainer(ICollective collective, Device device, StudyData data, StudySettings settings, RankSettings ranks)
    {
        RankLink link = new(collective, device, ranks.ShardsOf(collective.RankCount));
        _setup = new RankSetup(device, device.CreateStream(), link, ranks.Mode, ranks.BucketBytes);
        (_ranks, _settings, _pixels) = (ranks, settings, data.Pixels);
        _evaluator = new RankEvaluator(_setup, settings.Widths[^1]);
        _talk = new RankTalk(_setup);
        _train = new DeviceExamples(device, data.Train);
        _validation = new DeviceExamples(device, data.Validation);
        _test = new DeviceExamples(device, data.Test);
    }

    public RankTalk Talk => _talk;

    /// <summary>The result, on every rank.</summary>
    /// <param name="recipe">How to train.</param>
    /// <param name="seed">Of all random numbers.</param>
    /// <param name="conditions">All that the run depends on besides, in words.</param>
    /// <param name="progress">Told how it goes on.</param>
    /// <param name="wantsToStop">When it is true on one rank, all end at the same step, and keep where they are.</param>
    /// <exception cref="OperationCanceledException">A rank wanted to stop.</exception>
    /// <exception cref="DatasetException">The run's checkpoint is damaged, or of another run.</exception>
    public RunResult Run(Recipe recipe, int seed, string conditions, IStudyProgress progress, Func<bool> wantsToStop)
    {
        using RankTraining training = new(_setup, _train, _pixels, recipe, _settings, seed);
        Network network = training.Evaluated;
        using RankProgress state = new(_setup, network, recipe);
        RankCheckpoint checkpoint = new(_setup, _talk, _ranks, $"{conditions}, {recipe.Name} {recipe.Setting}, seed {seed}", recipe, seed);
        Checkpoint? earlier = checkpoint.Find(training, state);
        Stopwatch clock = Stopwatch.StartNew();
        RankMeter meter = new(_setup.Link);
        double before = state.Seconds;
        int epochs = _settings.EpochsOf(recipe);
        while (state.Epoch < epochs && !state.HasStopped)
        {
            training.Begin(state.Epoch);
            if (state.Step > 0) training.LoadLosses(earlier!);
            meter.Start();
            for (; state.Step < training.Steps; state.Step++)
            {
                if (state.Step % StepsPerLook == 0 && _talk.AnyWants(wantsToStop(), "stop"))
                {
                    state.Seconds = before + clock.Elapsed.TotalSeconds;
                    checkpoint.Write(training, state);
                    throw new OperationCanceledException("A rank was stopped.");
                }

                training.Train(state.Step);
            }

            double batchLoss = training.End();
            meter.Stop(training.Steps);
            state.EndEpoch(() => _evaluator.Measure(network, _validation));
            bool isPoint = _settings.IsPoint(state.Epoch) || state.HasStopped || state.Epoch == epochs;
            if (isPoint) state.Curve.Add(Measure(network, state.Epoch));
            progress.OnEpoch(new EpochReport(recipe, seed, state.Epoch, epochs, batchLoss, isPoint ? state.Curve[^1] : null)
            {
                StepLosses = training.StepLosses,
            });
            state.Seconds = before + clock.Elapsed.TotalSeconds;
            checkpoint.Write(training, state);
        }

        CurvePoint final = state.Curve[^1];
        if (state.BestEpoch != state.Epoch)
        {
            state.RestoreBest();
            final = Measure(network, state.BestEpoch);
        }

        RunResult result = new(
            recipe, seed, state.Epoch, state.BestEpoch, final, state.Curve, network.ParameterCount, network.ZeroWeights(_setup.Stream),
            before + clock.Elapsed.TotalSeconds)
        {
            Ranks = meter.Use(_ranks.Mode),
        };
        progress.OnRunEnd(result);
        checkpoint.Delete();
        return result;
    }

    public void Dispose()
    {
        _test.Dispose();
        _validation.Dispose();
        _train.Dispose();
        _talk.Dispose();
        _evaluator.Dispose();
        _setup.Link.Dispose();
        _setup.Stream.Dispose();
    }

    private CurvePoint Measure(Network network, int epoch) => new(
        epoch, _evaluator.Measure(network, _train), _evaluator.Measure(network, _validation), _evaluator.Measure(network, _test));
}

/// <summary>Measures the steps of training on this rank.</summary>
internal sealed class RankMeter(RankLink link)
{
    private long _start;
    private long _calls;
    private long _bytes;
    private TimeSpan _waited;
    private (long Steps, double Seconds, double Waited, long Calls, long Bytes) _sum;

    public void Start() => (_start, _calls, _bytes, _waited) =
        (Stopwatch.GetTimestamp(), link.Collective.Counters.Calls, link.Collective.Counters.BytesSent, link.Waited);

    public void Stop(int steps)
    {
        _sum.Steps += steps;
        _sum.Seconds += Stopwatch.GetElapsedTime(_start).TotalSeconds;
        _sum.Waited += (link.Waited - _waited).TotalSeconds;
        _sum.Calls += link.Collective.Counters.Calls - _calls;
        _sum.Bytes += link.Collective.Counters.BytesSent - _bytes;
    }

    /// <summary>The means of a step; null where none was made.</summary>
    public RankUse? Use(SumMode mode) => _sum.Steps == 0
        ? null
        : new RankUse(
            link.Plan.Ranks, link.Plan.Shards, mode, link.Collective.Transport, _sum.Steps, _sum.Seconds / _sum.Steps,
            _sum.Waited / _sum.Steps, (double)_sum.Calls / _sum.Steps, (double)_sum.Bytes / _sum.Steps);
}
