using System.Diagnostics;
using Kernels.Verification;

namespace Kernels.Benchmarks;

/// <summary>A request to measure.</summary>
/// <param name="DeviceId">Where.</param>
/// <param name="Ops">Which ops.</param>
/// <param name="DTypes">Short names of the stored types.</param>
/// <param name="Peers">Ids of the peers to look for.</param>
/// <param name="Quick">Fewer repetitions.</param>
/// <param name="Large">Large problems too; null: on GPUs only.</param>
/// <param name="Command">The command line that repeats the run.</param>
internal sealed record BenchRequest(
    string DeviceId,
    IReadOnlyList<OpCase> Ops,
    IReadOnlyCollection<string> DTypes,
    IReadOnlyCollection<string> Peers,
    bool Quick,
    bool? Large,
    string Command);

/// <summary>Measures.</summary>
internal static class BenchRun
{
    /// <summary>The limit of a large problem, for people.</summary>
    public const string LargeProblems = "problems that move more than 512 MB or take more than 20 GFLOP";

    // On a GPU with a cache of 50 MB large problems show the memory alone; on a CPU smaller ones do that as well, in a tenth of the time.
    private const long LargeBytes = 512L << 20;
    private const long LargeFlops = 20_000_000_000;

    /// <summary>Runs until all is measured or <paramref name="stop"/> is requested; what was measured until then is the result.</summary>
    public static BenchResult Run(BenchRequest request, Action<string> progress, CancellationToken stop)
    {
        long started = Stopwatch.GetTimestamp();
        using Device device = Device.Open(request.DeviceId);
        using DeviceStream stream = device.CreateStream();
        progress("peers");
        using PeerSet peers = PeerSet.Find(stream, request.Peers);
        using Benchmark benchmark = new(stream, peers.Found, request.Quick ? RepetitionPlan.Quick : RepetitionPlan.Full);
        progress("multiply-add peak");
        double peak = MultiplyAddPeak.Measure(stream);

        bool large = request.Large ?? device.Kind != DeviceKind.Cpu;
        (OpCase Op, DType DType, Problem Problem)[] all =
        [
            .. from op in request.Ops
               from dtype in op.DTypes
               where request.DTypes.Contains(dtype.ShortName()) && Verifier.Supports(device, dtype)
               from problem in op.BenchProblemsOn(device.Kind)
               select (op, dtype, problem),
        ];
        (OpCase Op, DType DType, Problem Problem)[] chosen = [.. all.Where(row => large || !IsLarge(row.Problem, row.DType))];
        List<Measurement> measurements = [];
        foreach ((OpCase op, DType dtype, Problem problem) in chosen)
        {
            if (stop.IsCancellationRequested) break;
            progress($"{op.Op} {problem.Entry} {problem.Text} {dtype.ShortName()}");
            measurements.Add(benchmark.Run(op, problem, dtype));
        }

        return new BenchResult(
            device.Id, device.Name, Machine.Describe(), request.Command, DateTimeOffset.Now,
            Stopwatch.GetElapsedTime(started).TotalSeconds, peak, measurements,
            [.. peers.Found.Select(peer => (peer.Label, peer.Name))], peers.Missing, all.Length - chosen.Length,
            chosen.Length - measurements.Count);
    }

    private static bool IsLarge(Problem problem, DType dtype) =>
        problem.Bytes(dtype.SizeInBytes()) > LargeBytes || problem.Flops > LargeFlops;
}
