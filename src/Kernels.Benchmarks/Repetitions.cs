using System.Diagnostics;

namespace Kernels.Benchmarks;

/// <summary>The number of turns that contestants take.</summary>
/// <param name="WarmUps">Turns whose times are thrown away.</param>
/// <param name="Minimum">Turns that are measured at least.</param>
/// <param name="Maximum">Turns that are measured at most.</param>
/// <param name="Budget">No new turn after this time, once there are enough.</param>
public sealed record RepetitionPlan(int WarmUps, int Minimum, int Maximum, TimeSpan Budget)
{
    /// <summary>Medians of fewer repetitions are a first look, not for publication.</summary>
    public const int PublishedRepetitions = 7;

    /// <summary>What published numbers are made with: at least <see cref="PublishedRepetitions"/> turns.</summary>
    public static RepetitionPlan Full { get; } = new(2, PublishedRepetitions, 60, TimeSpan.FromSeconds(2));

    /// <summary>A first look.</summary>
    public static RepetitionPlan Quick { get; } = new(1, 3, 20, TimeSpan.FromSeconds(0.3));
}

/// <summary>One of those who take turns: its repetitions so far.</summary>
/// <param name="run">Its turn.</param>
/// <param name="beside">Times from the peer's process that came with a turn.</param>
/// <param name="patience">The longest call that is waited for again.</param>
/// <param name="rest">
/// What the next one waits after a turn: threads of a peer go on looking for work for some milliseconds, on the cores that others need, who
/// could take twice as long.
/// </param>
internal sealed class Contestant(
    Func<Timing> run, Func<BesideTimes?>? beside = null, TimeSpan? patience = null, TimeSpan rest = default)
{
    private readonly List<Timing> _times = [];
    private readonly List<BesideTimes> _beside = [];

    /// <summary>Why it left the race, or null.</summary>
    public string? Failure { get; private set; }

    public int Count => _times.Count;

    /// <summary>Medians of cold and warm times, each of its own.</summary>
    public MedianTiming Medians => Of(_times);

    /// <summary>Medians of the op in the peer's process, or null.</summary>
    public MedianTiming? OursMedians => _beside.Count == 0 ? null : Of([.. _beside.Select(times => times.Ours)]);

    /// <summary>Medians of replays in the peer's process, or null.</summary>
    public GraphTimes<Median>? GraphMedians
    {
        get
        {
            GraphTimes<double>[] graphs = [.. _beside.Select(times => times.Graph).OfType<GraphTimes<double>>()];
            return graphs.Length == 0
                ? null
                : new(Median.Of(graphs.Select(graph => graph.Ours)), Median.Of(graphs.Select(graph => graph.Theirs)));
        }
    }

    /// <summary>Takes a turn. A peer that fails leaves the race; a failure of ours is a defect and goes on up.</summary>
    public void TakeTurn(bool measured)
    {
        if (Failure is not null) return;
        try
        {
            Timing time = run();
            if (rest > TimeSpan.Zero) Thread.Sleep(rest);
            if (!measured)
            {
                if (patience is { } limit && time.Cold > limit.TotalMilliseconds)
                    Failure = $"a call takes {time.Cold / 1000:0} s; the bench waits for {limit.TotalSeconds:0} s";
                return;
            }

            _times.Add(time);
            if (beside?.Invoke() is { } times) _beside.Add(times);
        }
        catch (PeerException e)
        {
            Failure = e.Message;
        }
    }

    private static MedianTiming Of(IReadOnlyCollection<Timing> times) =>
        new(Median.Of(times.Select(time => time.Cold)), Median.Of(times.Select(time => time.Warm)));
}

/// <summary>
/// Repetitions in turns, A B C A B C: clocks, temperature and neighbours drift, and what drifts must meet everyone alike. (Measured one
/// after the other, the same kernel differs from itself by ten percent.)
/// </summary>
internal static class Repetitions
{
    public static void Run(RepetitionPlan plan, params IReadOnlyList<Contestant> contestants)
    {
        long started = Stopwatch.GetTimestamp();
        for (int turn = -plan.WarmUps; turn < plan.Maximum; turn++)
        {
            if (turn == 0) started = Stopwatch.GetTimestamp();
            if (turn >= plan.Minimum && Stopwatch.GetElapsedTime(started) > plan.Budget) break;
            foreach (Contestant contestant in contestants) contestant.TakeTurn(measured: turn >= 0);
        }
    }
}
