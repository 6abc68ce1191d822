namespace Kernels.Benchmarks;

/// <summary>
/// One measurement beside one peer, as <c>kernels bench --json</c> prints it; without a peer the last five are null. Times are medians: <c>milliseconds</c>
/// and all that follows from it with cold caches, the warm ones right after.
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
    double WarmMilliseconds,
    long Bytes,
    double GigabytesPerSecond,
    double CopyMilliseconds,
    double FractionOfCopy,
    long? Flops,
    double? Gflops,
    double? FractionOfPeak,
    string? Peer,
    string? PeerCall,
    double? PeerMilliseconds,
    double? PeerWarmMilliseconds,
    double? Speedup)
{
    /// <summary>A row for each peer that has a time, or one row if none has.</summary>
    /// <param name="device">The device's id.</param>
    /// <param name="m">What was measured.</param>
    /// <param name="peak">The device's multiply-add peak in operations per second.</param>
    public static IEnumerable<BenchRow> From(string device, Measurement m, double peak)
    {
        double milliseconds = m.Time.Cold;
        double? gflops = m.Flops > 0 ? m.Flops / milliseconds / 1e6 : null;
        BenchRow alone = new(
            device, m.Op.Op, m.Problem.Entry, m.Problem.Text, m.DType.ShortName(), "cold", m.Repetitions, milliseconds, m.Time.Warm,
            m.Bytes, m.Bytes / milliseconds / 1e6, m.Copy.Cold, m.Copy.Cold / milliseconds,
            m.Flops > 0 ? m.Flops : null, gflops, 1e9 * gflops / peak,
            Peer: null, PeerCall: null, PeerMilliseconds: null, PeerWarmMilliseconds: null, Speedup: null);
        PeerMeasurement[] timed = [.. m.Peers.Where(peer => peer.Time is not null)];
        return timed.Length == 0 ? [alone] : timed.Select(peer => alone with
        {
            Peer = peer.Peer,
            PeerCall = peer.Call,
            PeerMilliseconds = peer.Time!.Value.Cold,
            PeerWarmMilliseconds = peer.Time.Value.Warm,
            Speedup = peer.Time.Value.Cold / milliseconds,
        });
    }
}
