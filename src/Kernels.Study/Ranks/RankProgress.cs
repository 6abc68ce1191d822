namespace Kernels.Study;

/// <summary>How far a run has come, and what decides when it ends: the same on all ranks.</summary>
internal sealed class RankProgress : IDisposable
{
    private const int Scores = 3;

    private readonly DeviceStream _stream;
    private readonly Network _network;
    private readonly StoppingRule? _rule;
    private readonly ParameterSnapshot<float>? _best;
    private StoppingRule.Run? _stopping;

    public RankProgress(RankSetup setup, Network network, Recipe recipe)
    {
        (_stream, _network, _rule) = (setup.Stream, network, recipe.Stopping);
        if (_rule is null) return;
        _best = new ParameterSnapshot<float>(setup.Device, network.State);
        _stopping = new StoppingRule.Run(_rule);
    }

    /// <summary>Epochs that are done.</summary>
    public int Epoch { get; private set; }

    /// <summary>Steps of the next epoch that are done.</summary>
    public int Step { get; set; }

    public double Seconds { get; set; }

    public List<CurvePoint> Curve { get; } = [];

    /// <summary>Whether training has ended early.</summary>
    public bool HasStopped { get; private set; }

    public bool HasRule => _rule is not null;

    public int BestEpoch => _stopping?.BestEpoch ?? Epoch;

    /// <summary>An epoch is done; where there is a rule, with this score.</summary>
    public void EndEpoch(Func<Score> validation)
    {
        (Epoch, Step) = (Epoch + 1, 0);
        if (_stopping is null) return;
        HasStopped = _stopping.Update(validation());
        if (_stopping.IsBest) _best!.Save(_stream);
    }

    /// <summary>Puts the best parameters back in place.</summary>
    public void RestoreBest() => _best!.Restore(_stream);

    public void Save(Checkpoint checkpoint)
    {
        checkpoint.Set<int>("place", [Epoch, Step, HasStopped ? 1 : 0]);
        checkpoint.Set<double>("seconds", [Seconds]);
        checkpoint.Set<double>("curve", [.. Curve.SelectMany(Numbers)], Curve.Count, 1 + (2 * Scores));
        if (_stopping is null) return;
        checkpoint.Set("stopping", _stopping.State.ToJson());
        checkpoint.Set<double>("stopping last", [.. _stopping.Last]);
        if (_stopping.BestEpoch is null) return;
        for (int i = 0; i < _network.State.Count; i++) checkpoint.Set(_stream, $"best {i}", _best!.GetSaved(i));
    }

    /// <summary>Before anything else of the checkpoint is loaded: the best parameters pass through the network.</summary>
    public void Load(Checkpoint checkpoint)
    {
        int[] place = checkpoint.Values<int>("place");
        (Epoch, Step, HasStopped) = (place[0], place[1], place[2] != 0);
        Seconds = checkpoint.Values<double>("seconds")[0];
        Curve.Clear();
        Curve.AddRange(checkpoint.Values<double>("curve").Chunk(1 + (2 * Scores)).Select(Point));
        if (_rule is null) return;
        _stopping = new StoppingRule.Run(
            _rule, EarlyStoppingState.FromJson(checkpoint.Text("stopping")), checkpoint.Values<double>("stopping last"));
        if (_stopping.BestEpoch is null) return;
        for (int i = 0; i < _network.State.Count; i++) checkpoint.Load(_stream, $"best {i}", _network.State[i]);
        _best!.Save(_stream);
    }

    public void Dispose() => _best?.Dispose();

    private static IEnumerable<double> Numbers(CurvePoint point) =>
        [point.Epoch, .. ((Score[])[point.Train, point.Validation, point.Test]).SelectMany(s => (double[])[s.Accuracy, s.Loss])];

    private static CurvePoint Point(double[] numbers) =>
        new((int)numbers[0], new Score(numbers[1], numbers[2]), new Score(numbers[3], numbers[4]), new Score(numbers[5], numbers[6]));
}
