namespace Kernels.Benchmarks;

/// <summary>All that one run of <c>kernels bench</c> found out.</summary>
/// <param name="DeviceId">The device's id.</param>
/// <param name="DeviceName">Its name.</param>
/// <param name="Machine">Processor and operating system.</param>
/// <param name="Command">The command line that repeats the run.</param>
/// <param name="Date">When it ran.</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="Peak">Multiply-add peak of the device, operations per second.</param>
/// <param name="Measurements">In the order of the case table.</param>
/// <param name="Peers">The peers that were found, short and full names, all different.</param>
/// <param name="MissingPeers">The others, with reasons.</param>
/// <param name="LargeLeftOut">How many large problems were not asked for.</param>
/// <param name="CutOff">How many problems the run was stopped before.</param>
internal sealed record BenchResult(
    string DeviceId,
    string DeviceName,
    string Machine,
    string Command,
    DateTimeOffset Date,
    double Seconds,
    double Peak,
    IReadOnlyList<Measurement> Measurements,
    IReadOnlyList<(string Label, string Name)> Peers,
    IReadOnlyList<string> MissingPeers,
    int LargeLeftOut,
    int CutOff)
{
    /// <summary>Where a peer has no counterpart of more, the empty cells of the tables say it better than a list.</summary>
    private const int MostNames = 8;

    public IEnumerable<BenchRow> Rows => Measurements.SelectMany(measurement => BenchRow.From(DeviceId, measurement, Peak));

    /// <summary>Notes that a reader needs beside the numbers: who is missing, what was left out, and why.</summary>
    public IEnumerable<string> Notes
    {
        get
        {
            int few = Measurements.Count(m => m.Repetitions < RepetitionPlan.PublishedRepetitions);
            if (few > 0)
            {
                yield return $"A first look, not for publication: {few} of {Measurements.Count} cases have fewer than " +
                    $"{RepetitionPlan.PublishedRepetitions} repetitions.";
            }

            if (Peers.Any(peer => peer.Label.EndsWith('*')))
            {
                yield return "PyTorch* runs with a heap that keeps its pages (MALLOC_MMAP_MAX_=0), PyTorch as it comes, " +
                    "in a new process for each op: large results then cost a page fault every 4 KB.";
            }

            foreach (string missing in MissingPeers) yield return $"Without {missing}.";
            if (Peers.Count == 0 && MissingPeers.Count == 0) yield return "No peers were timed.";
            var reasons = Measurements
                .SelectMany(m => m.Peers.Where(peer => peer.Reason is not null).Select(peer => (peer.Peer, peer.Reason, Case: CaseName(m))))
                .GroupBy(entry => (entry.Peer, entry.Reason));
            foreach (var group in reasons)
            {
                string[] names = [.. group.Select(entry => entry.Case).Distinct()];
                string cases = names.Length <= MostNames ? string.Join(", ", names) : $"{names.Length} ops and entries";
                yield return $"{group.Key.Peer} has no time for {cases}: {group.Key.Reason}.";
            }

            if (CutOff > 0) yield return $"The run was stopped before {CutOff} further problems.";
            if (LargeLeftOut > 0) yield return $"--large adds {BenchRun.LargeProblems}: {LargeLeftOut} here.";
        }
    }

    /// <summary>The peers that have a time for anything.</summary>
    public IReadOnlyList<(string Label, string Name)> TimedPeers =>
        [.. Peers.Where(peer => Measurements.Any(m => m.Peers.Any(side => side.Peer == peer.Name && side.Time is not null)))];

    /// <summary>The peers' calls that were timed beside each op, in the peers' terms.</summary>
    public IEnumerable<(string Case, string Peers, string Call)> PeerCalls =>
        from m in Measurements
        from side in m.Peers
        where side.Call is not null
        group side.Label by (Case: CaseName(m), Call: side.Call!) into call
        select (call.Key.Case, string.Join(", ", call.Distinct()), call.Key.Call);

    /// <summary>A measurement's sides in the order of <see cref="TimedPeers"/>.</summary>
    public IEnumerable<PeerMeasurement> Sides(Measurement m) => TimedPeers.Select(peer => m.Peers.Single(side => side.Peer == peer.Name));

    /// <summary>The method of measurement.</summary>
    public string Method =>
        "In each repetition the op, a copy of as many bytes and each peer took a turn. Before each timed run 256 MB were rewritten, so " +
        "that inputs came from memory (cold); warm is the same call right after. GB/s counts the least bytes that the op must move, " +
        $"GFLOP/s its multiplications and additions; the limit is the copy, or {Peak / 1e9:0} GFLOP/s, the multiply-add peak measured in " +
        "this run.";

    /// <summary>An op and its entry: <c>dropout forward</c>.</summary>
    public static string CaseName(Measurement m) => $"{m.Op.Op} {m.Problem.Entry}";
}
