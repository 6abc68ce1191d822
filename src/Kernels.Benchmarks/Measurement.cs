using Kernels.Verification;

namespace Kernels.Benchmarks;

/// <summary>Milliseconds of one piece of work, twice in a row.</summary>
/// <param name="Cold">With its inputs in memory, not in a cache.</param>
/// <param name="Warm">Right after: what fits into the caches is there.</param>
public readonly record struct Timing(double Cold, double Warm);

/// <summary>The medians of repetitions, cold and warm each of its own.</summary>
/// <param name="Cold">With inputs in memory.</param>
/// <param name="Warm">Right after.</param>
public readonly record struct MedianTiming(Median Cold, Median Warm);

/// <summary>One measurement of an op, and of every peer that has it.</summary>
/// <param name="Op">The op.</param>
/// <param name="Problem">What was computed.</param>
/// <param name="DType">Stored type.</param>
/// <param name="Time">Medians of the op's device time.</param>
/// <param name="Copy">Medians of a copy that moves as many bytes, measured between the op's own repetitions.</param>
/// <param name="Repetitions">How many repetitions the medians are of.</param>
/// <param name="Peers">The peers' medians, from the same minutes.</param>
public sealed record Measurement(
    OpCase Op, Problem Problem, DType DType, MedianTiming Time, MedianTiming Copy, int Repetitions, IReadOnlyList<PeerMeasurement> Peers)
{
    /// <summary>Least bytes the op must move.</summary>
    public long Bytes => Problem.Bytes(DType.SizeInBytes());

    /// <summary>Multiplications and additions, 0 for memory-bound ops.</summary>
    public long Flops => Problem.Flops;
}

/// <summary>A peer's side of a measurement.</summary>
/// <param name="Label">Short name.</param>
/// <param name="Peer">Name and version.</param>
/// <param name="Call">What was timed, in the peer's own terms; null when nothing was.</param>
/// <param name="Time">Medians, or null when there are none.</param>
/// <param name="Reason">Why there are none, or null.</param>
public sealed record PeerMeasurement(string Label, string Peer, string? Call, MedianTiming? Time, string? Reason)
{
    /// <summary>
    /// Medians of the op where a peer with a process of its own could take it in: in that process, on the peer's stream, by its events, in
    /// turn with it. Null where it could not.
    /// </summary>
    public MedianTiming? Ours { get; init; }

    /// <summary>Medians of both as replays of graphs, without the host's work between launches; null where there are none.</summary>
    public GraphTimes<Median>? Graph { get; init; }
}

/// <summary>Milliseconds of two replays, each with its inputs in memory.</summary>
/// <param name="Ours">Of a graph of the op.</param>
/// <param name="Theirs">Of a graph of the peer's call.</param>
public readonly record struct GraphTimes<T>(T Ours, T Theirs);

/// <summary>What a peer measured beside its own call in its process.</summary>
/// <param name="Ours">The op.</param>
/// <param name="Graph">Replays of both, or null.</param>
internal sealed record BesideTimes(Timing Ours, GraphTimes<double>? Graph);
