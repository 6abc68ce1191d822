namespace Kernels.Benchmarks;

/// <summary>
/// One measurement beside one peer, as <c>kernels bench --json</c> prints it; without a peer the fields from <c>peer</c> on are null. Times
/// are medians: <c>milliseconds</c> and all that follows from it with cold caches, the warm ones right after. <c>Low</c> and <c>High</c>
/// are the ends of 95 % intervals. Where PyTorch's process could take the op in, <c>besideMilliseconds</c> is its time there, by the same
/// events on the same stream, and the speed-up is to that; <c>graph...</c> are replays of graphs of both, there too.
/// </summary>
internal sealed record BenchRow(
    string Device,
    string Op,
    string Entry,
    string Shape,
    string Dtype,
    string Cache,
    int Repetitions,
    double Milliseconds,
    double MillisecondsLow,
    double MillisecondsHigh,
    double WarmMilliseconds,
    long Bytes,
    double GigabytesPerSecond,
    double CopyMilliseconds,
    double CopyMillisecondsLow,
    double CopyMillisecondsHigh,
    double FractionOfCopy,
    long? Flops,
    double? Gflops,
    double? FractionOfPeak,
    string? Peer,
    string? PeerCall,
    double? PeerMilliseconds,
    double? PeerMillisecondsLow,
    double? PeerMillisecondsHigh,
    double? PeerWarmMilliseconds,
    double? Speedup,
    double? SpeedupLow,
    double? SpeedupHigh,
    double? BesideMilliseconds,
    double? GraphMilliseconds,
    double? PeerGraphMilliseconds,
    double? GraphSpeedup)
{
    /// <summary>A row for each peer that has a time, or one row if none has.</summary>
    /// <param name="device">The device's id.</param>
    /// <param name="m">What was measured.</param>
    /// <param name="peak">The device's multiply-add peak in operations per second.</param>
    public static IEnumerable<BenchRow> From(string device, Measurement m, double peak)
    {
        Median time = m.Time.Cold, copy = m.Copy.Cold;
        double? gflops = m.Flops > 0 ? m.Flops / time.Value / 1e6 : null;
        BenchRow alone = new(
            device, m.Op.Op, m.Problem.Entry, m.Problem.Text, m.DType.ShortName(), "cold", m.Repetitions, time.Value, time.Low, time.High,
            m.Time.Warm.Value, m.Bytes, m.Bytes / time.Value / 1e6, copy.Value, copy.Low, copy.High, copy.Value / time.Value,
            m.Flops > 0 ? m.Flops : null, gflops, 1e9 * gflops / peak,
            Peer: null, PeerCall: null, PeerMilliseconds: null, PeerMillisecondsLow: null, PeerMillisecondsHigh: null,
            PeerWarmMilliseconds: null, Speedup: null, SpeedupLow: null, SpeedupHigh: null, BesideMilliseconds: null,
            GraphMilliseconds: null,
            PeerGraphMilliseconds: null, GraphSpeedup: null);
        PeerMeasurement[] timed = [.. m.Peers.Where(peer => peer.Time is not null)];
        return timed.Length == 0 ? [alone] : timed.Select(peer => Beside(alone, time, peer, peer.Time!.Value));
    }

    private static BenchRow Beside(BenchRow alone, Median ours, PeerMeasurement peer, MedianTiming time)
    {
        Median speedup = time.Cold / (peer.Ours?.Cold ?? ours);
        return alone with
        {
            Peer = peer.Peer,
            PeerCall = peer.Call,
            PeerMilliseconds = time.Cold.Value,
            PeerMillisecondsLow = time.Cold.Low,
            PeerMillisecondsHigh = time.Cold.High,
            PeerWarmMilliseconds = time.Warm.Value,
            Speedup = speedup.Value,
            SpeedupLow = speedup.Low,
            SpeedupHigh = speedup.High,
            BesideMilliseconds = peer.Ours?.Cold.Value,
            GraphMilliseconds = peer.Graph?.Ours.Value,
            PeerGraphMilliseconds = peer.Graph?.Theirs.Value,
            GraphSpeedup = peer.Graph is { } graph ? (graph.Theirs / graph.Ours).Value : null,
        };
    }
}
