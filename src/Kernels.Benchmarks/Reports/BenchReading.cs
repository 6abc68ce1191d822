namespace Kernels.Benchmarks;

/// <summary>Says in plain language what the numbers of a run say.</summary>
internal static class BenchReading
{
    private const int MostListed = 4;

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
        (Measurement Case, Median Ratio)[] cases =
        [
            .. from m in result.Measurements
               from side in m.Peers
               where side.Peer == peer.Name && side.Time is not null
               let ratio = side.Time!.Value.Cold / (side.Ours ?? m.Time).Cold
               orderby ratio.Value
               select (m, ratio),
        ];
        if (cases.Length == 0) yield break;
        if (cases.Length == 1)
        {
            yield return $"{Name(cases[0].Case)} takes {peer.Label} {BenchFormat.Speedup(cases[0].Ratio.Value)} our time.";
            yield break;
        }

        string[] ahead = [.. cases.Where(entry => entry.Ratio.High < 1).Select(entry => Name(entry.Case))];
        double mean = Math.Exp(cases.Average(entry => Math.Log(entry.Ratio.Value)));
        yield return $"{peer.Label} is slower in {cases.Count(entry => entry.Ratio.Value > 1)} of {cases.Length} cases, and faster by " +
            $"more than the intervals of both leave open in {Listed(ahead)}: it takes from " +
            $"{BenchFormat.Speedup(cases[0].Ratio.Value)} our time ({Name(cases[0].Case)}) to " +
            $"{BenchFormat.Speedup(cases[^1].Ratio.Value)} ({Name(cases[^1].Case)}), {BenchFormat.Speedup(mean)} in the geometric mean.";
    }

    /// <summary>How many there are, and which if they are few.</summary>
    private static string Listed(string[] names) => names.Length switch
    {
        0 => "none",
        <= MostListed => $"{names.Length} ({string.Join("; ", names)})",
        _ => $"{names.Length}",
    };

    private static string Name(Measurement m) => $"{BenchResult.CaseName(m)} {m.Problem.Text}";
}
