namespace Kernels.Benchmarks;

/// <summary>Says in plain language what the numbers of a run say.</summary>
internal static class BenchReading
{
    public static string Of(BenchResult result) =>
        string.Join(' ', [.. Limits(result), .. result.TimedPeers.SelectMany(peer => Against(result, peer))]);

    private static IEnumerable<string> Limits(BenchResult result)
    {
        // Small problems stay in caches that the copy fills as well; only large ones say something about memory.
        Measurement[] memoryBound = [.. result.Measurements.Where(m => m.Flops == 0 && m.Bytes >= 1 << 24)];
        if (memoryBound.Length == 0) yield break;
        double[] shares = [.. memoryBound.Select(m => m.Copy.Cold.Value / m.Time.Cold.Value)];
        yield return shares.Length == 1
            ? $"{BenchResult.CaseName(memoryBound[0])} runs at {shares[0]:0.00} of the speed of a plain copy of as many bytes."
            : $"Ops bound by memory (16 MB and more) run at {shares.Min():0.00} to {shares.Max():0.00} of the speed of a plain copy of " +
                $"as many bytes, at {Median.Of(shares).Value:0.00} in the middle.";
    }

    private static IEnumerable<string> Against(BenchResult result, (string Label, string Name) peer)
    {
        (Measurement Case, double Ratio)[] cases =
        [
            .. from m in result.Measurements
               from side in m.Peers
               where side.Peer == peer.Name && side.Time is not null
               orderby side.Time!.Value.Cold.Value / (side.Ours ?? m.Time).Cold.Value
               select (m, side.Time!.Value.Cold.Value / (side.Ours ?? m.Time).Cold.Value),
        ];
        if (cases.Length == 0) yield break;
        if (cases.Length == 1)
        {
            yield return $"{Name(cases[0].Case)} takes {peer.Label} {BenchFormat.Speedup(cases[0].Ratio)} our time.";
            yield break;
        }

        double mean = Math.Exp(cases.Average(entry => Math.Log(entry.Ratio)));
        yield return $"{peer.Label} is slower in {cases.Count(entry => entry.Ratio > 1)} of {cases.Length} cases: " +
            $"it takes from {BenchFormat.Speedup(cases[0].Ratio)} our time ({Name(cases[0].Case)}) " +
            $"to {BenchFormat.Speedup(cases[^1].Ratio)} ({Name(cases[^1].Case)}), {BenchFormat.Speedup(mean)} in the geometric mean.";
    }

    private static string Name(Measurement m) => $"{BenchResult.CaseName(m)} {m.Problem.Text}";
}
