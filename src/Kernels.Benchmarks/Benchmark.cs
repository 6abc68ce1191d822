using Kernels.Verification;

namespace Kernels.Benchmarks;

/// <summary>
/// Times the cases' bench problems. In each repetition the op, a copy of as many bytes and every peer take one turn, so that all see the
/// same machine; medians are reported.
/// </summary>
public sealed class Benchmark : IDisposable
{
    private readonly DeviceStream _stream;
    private readonly IReadOnlyList<Peer> _peers;
    private readonly RepetitionPlan _plan;
    private readonly DeviceTimer _timer;
    private readonly HashSet<(string Op, string Entry, DType DType)> _compiled = [];

    /// <param name="stream">Where the ops run.</param>
    /// <param name="peers">Who else is timed. They stay the caller's.</param>
    /// <param name="plan">How often.</param>
    public Benchmark(DeviceStream stream, IReadOnlyList<Peer>? peers = null, RepetitionPlan? plan = null)
    {
        _stream = stream;
        _peers = peers ?? [];
        _plan = plan ?? RepetitionPlan.Full;
        _timer = new DeviceTimer(stream);
    }

    /// <summary>Times one problem.</summary>
    public Measurement Run(OpCase op, Problem problem, DType dtype)
    {
        using GuardedTensors tensors = new(_stream, op.Tensors(problem, dtype, Verifier.DefaultSeed));
        long half = Math.Max(64, problem.Bytes(dtype.SizeInBytes()) / 2);
        using DeviceTensor<byte> source = _stream.Device.Allocate<byte>(half);
        using DeviceTensor<byte> target = _stream.Device.Allocate<byte>(half);
        _stream.Fill(source, (byte)1);

        using PreparedCall prepared = op.Prepare(_stream, problem, dtype, tensors);
        void Compute() => prepared.Invoke();
        void CopyBytes() => _stream.Copy(source, target);
        FinishCompilation(Compute, isNew: _compiled.Add((op.Op, problem.Entry, dtype)));

        List<PeerSide> peers = [.. _peers.Select(peer => PeerSide.Prepare(peer, op, problem, dtype, tensors, _timer))];
        try
        {
            Contestant ours = new(() => _timer.Time(Compute)), copy = new(() => _timer.Time(CopyBytes));
            Repetitions.Run(_plan, [ours, copy, .. peers.Select(peer => peer.Contestant).OfType<Contestant>()]);
            return new Measurement(op, problem, dtype, ours.Medians, copy.Medians, ours.Count, [.. peers.Select(peer => peer.Result)]);
        }
        finally
        {
            foreach (PeerSide peer in peers) peer.Call?.Dispose();
        }
    }

    public void Dispose() => _timer.Dispose();

    /// <summary>
    /// Lets the runtime's tiered compilation come to its end. It replaces a method after some thirty calls and a quiet tenth of a second,
    /// and does so twice; a small problem is ten times slower before than after. Problems of the same entry may still differ in the loop
    /// that they take, a layout or an option, so each gets its time, though less than the first. On a GPU the runtime's code only queues
    /// launches, ahead of the device, whose time is what counts: once for an entry is enough.
    /// </summary>
    private void FinishCompilation(Action work, bool isNew)
    {
        bool isCpu = _stream.Device.Kind == DeviceKind.Cpu;
        (int tiers, double seconds) = isNew ? (isCpu ? 3 : 1, 0.5) : (isCpu ? 2 : 0, 0.2);
        for (int tier = 0; tier < tiers; tier++)
        {
            long started = System.Diagnostics.Stopwatch.GetTimestamp();
            for (int call = 0; call < 40 && System.Diagnostics.Stopwatch.GetElapsedTime(started).TotalSeconds < seconds; call++) work();
            _stream.Synchronize();
            Thread.Sleep(150);
        }
    }

    /// <summary>A peer in one measurement: its prepared call, or why there is none.</summary>
    private sealed record PeerSide(Peer Peer, PeerCall? Call, Contestant? Contestant, string? Reason)
    {
        /// <summary>
        /// A peer that has no fast way to do something may take minutes for a call, as oneDNN's reference implementations do.
        /// </summary>
        private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

        /// <summary>On a CPU, several times as long as threads of OpenMP look for work before they sleep.</summary>
        private static readonly TimeSpan Rest = TimeSpan.FromMilliseconds(15);

        public PeerMeasurement Result => Contestant is { Failure: null }
            ? new PeerMeasurement(Peer.Label, Peer.Name, Call!.Name, Contestant.Medians, Reason: null)
            {
                Ours = Contestant.OursMedians,
                Graph = Contestant.GraphMedians,
            }
            : new PeerMeasurement(Peer.Label, Peer.Name, Call: null, Time: null, Contestant?.Failure ?? Reason);

        public static PeerSide Prepare(Peer peer, OpCase op, Problem problem, DType dtype, DeviceTensors tensors, DeviceTimer timer)
        {
            try
            {
                PeerCall call = PeerException.Guard(() => peer.Prepare(op, problem, dtype, tensors));
                TimeSpan rest = timer.Stream.Device.Kind == DeviceKind.Cpu ? Rest : TimeSpan.Zero;
                Contestant contestant = new(() => PeerException.Guard(() => call.Time(timer)), () => call.Beside, Patience, rest);
                return new PeerSide(peer, call, contestant, Reason: null);
            }
            catch (PeerException e)
            {
                return new PeerSide(peer, Call: null, Contestant: null, e.Message);
            }
        }
    }
}
