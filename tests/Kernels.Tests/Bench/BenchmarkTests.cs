using Kernels.Benchmarks;
using Kernels.Verification;
using Kernels.Verification.Cases;
using Xunit;

namespace Kernels.Tests.Bench;

public sealed class BenchmarkTests
{
    private static readonly RepetitionPlan Short = new(0, 2, 2, TimeSpan.Zero);

    [Fact]
    public void MeasuresOursTheCopyAndEveryPeer()
    {
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        using FakePeer quick = new("Quick 1.0", () => new QueuedCall("quick_call", () => { }));
        using FakePeer poor = new("Poor 1.0", () => throw new PeerException("no counterpart"));
        using FakePeer broken = new("Broken 1.0", () => throw new EntryPointNotFoundException("no such function"));
        using FakePeer failing = new("Failing 1.0", () => new QueuedCall("failing_call", () => throw new DeviceException("out of luck")));
        using Benchmark benchmark = new(stream, [quick, poor, broken, failing], Short);

        Measurement m = benchmark.Run(Op("relu"), new ReluProblem("forward", [1000], ""), DType.Float32);

        Assert.Equal(2, m.Repetitions);
        Assert.True(m.Time is { Cold.Low: > 0, Warm.Low: > 0 });
        Assert.True(m.Copy is { Cold.Low: > 0, Warm.Low: > 0 });
        Assert.Equal(8000, m.Bytes);
        Assert.Equal(["Quick 1.0", "Poor 1.0", "Broken 1.0", "Failing 1.0"], m.Peers.Select(peer => peer.Peer));
        Assert.Equal("quick_call", m.Peers[0].Call);
        Assert.NotNull(m.Peers[0].Time);
        Assert.Equal([null, "no counterpart", "no such function", "out of luck"], m.Peers.Select(peer => peer.Reason));
        Assert.All(m.Peers.Skip(1), peer => Assert.Null(peer.Time));
    }

    [Fact]
    public void OneDnnComputesWhatWeCompute()
    {
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        using PeerSet peers = PeerSet.Find(stream, ["onednn"]);
        Assert.SkipWhen(peers.Found.Count == 0, string.Join(' ', peers.Missing));
        (OpCase Op, Problem Problem)[] problems =
        [
            .. from op in new[] { Op("matmul"), Op("linear"), Op("relu"), Op("conv2d") }
               from problem in op.Problems
               where peers.Found[0].Reject(op, problem, DType.Float32) is null
               where op.Tensors(problem, DType.Float32, Verifier.DefaultSeed).All(spec => spec.Length > 0)
               select (op, problem),
        ];

        HashSet<string> reordersIn = [];
        foreach ((OpCase op, Problem problem) in problems)
        {
            Trial trial = new(op, problem, DType.Float32);
            using GuardedTensors tensors = new(stream, trial.Specs);
            if (Prepared(op, problem, tensors) is not { } call) continue;
            using (call) ((QueuedCall)call).Queue();
            if (problem is Conv2dProblem { ChannelsLast: true }) reordersIn.Add(problem.Entry);

            foreach (TensorSpec spec in trial.Results)
            {
                double[] actual = Elements.FromBytes(spec.DType, tensors.Read(spec.Name)), expected = trial.Expected[spec.Name];
                for (int i = 0; i < actual.Length; i++)
                {
                    double error = spec.Tolerance.Error(actual[i], expected[i], spec.DType);
                    Assert.True(error <= spec.Tolerance.Limit(spec.DType), $"{op.Op} {problem}: {spec.Name}[{i}] is off by {error}");
                }
            }
        }

        // Filters of channels last come and go in another order than ours.
        Assert.Equal(["backward data", "backward filter", "forward"], reordersIn.Order(StringComparer.Ordinal));

        PeerCall? Prepared(OpCase op, Problem problem, DeviceTensors tensors)
        {
            try
            {
                return peers.Found[0].Prepare(op, problem, DType.Float32, tensors);
            }
            catch (PeerException e) when (op.Op == "conv2d" && e.Message.Contains("reference implementation", StringComparison.Ordinal))
            {
                return null;
            }
        }
    }

    [Fact]
    public void PyTorchTimesTheOpsItHas()
    {
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        using PeerSet peers = PeerSet.Find(stream, ["pytorch"]);
        Assert.SkipWhen(peers.Found.Count == 0, string.Join(' ', peers.Missing));
        // The one that keeps its heap stays one process; the other starts afresh for each op, which takes longer than all else here.
        Peer pytorch = peers.Found[^1];
        Assert.StartsWith("PyTorch ", pytorch.Name, StringComparison.Ordinal);
        using DeviceTimer timer = new(stream);
        using GuardedTensors none = new(stream, []);
        HashSet<string> timed = [];

        // Every problem of the case table, so that the script keeps up with it: a setting that it misnames is no refusal but a defect.
        foreach (OpCase op in OpCase.All)
        {
            foreach (Problem problem in op.Problems.Where(problem => problem.Bytes(4) is > 0 and < 1 << 20))
            {
                try
                {
                    using PeerCall call = pytorch.Prepare(op, problem, DType.Float32, none);
                    if (!timed.Add($"{op.Op} {problem.Entry}")) continue;
                    Timing time = call.Time(timer);
                    Assert.True(time is { Cold: > 0, Warm: > 0 }, $"{op.Op} {problem}");
                }
                catch (PeerException e)
                {
                    string[] defects = ["KeyError", "TypeError", "NameError", "AttributeError", "SyntaxError", "process ended"];
                    Assert.DoesNotContain(defects, defect => e.Message.Contains(defect, StringComparison.Ordinal));
                }
            }
        }

        string[] expected =
        [
            "cross-entropy backward", "cross-entropy forward", "dropout backward", "dropout forward", "linear backward", "linear forward",
            "matmul multiply", "random fill", "relu backward", "relu forward", "sgd step",
        ];
        Assert.Empty(expected.Except(timed));

        // A refusal has a reason, and the conversation goes on.
        DropoutProblem original = new("forward", [1000], "", 0.1) { Scaling = DropoutScaling.Original };
        Assert.NotEmpty(Assert.Throws<PeerException>(() => pytorch.Prepare(Op("dropout"), original, DType.Float32, none)).Message);
        pytorch.Prepare(Op("relu"), new ReluProblem("forward", [5], ""), DType.Float64, none).Dispose();
        foreach (Problem problem in SmallAugmentations()) pytorch.Prepare(Op("augment"), problem, DType.Float32, none).Dispose();
    }

    [Fact]
    public void OpenCvTimesAugment()
    {
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        using PeerSet peers = PeerSet.Find(stream, ["opencv"]);
        Assert.SkipWhen(peers.Found.Count == 0, string.Join(' ', peers.Missing));
        Assert.StartsWith("OpenCV ", peers.Found[0].Name, StringComparison.Ordinal);
        using DeviceTimer timer = new(stream);
        using GuardedTensors none = new(stream, []);
        foreach (Problem problem in SmallAugmentations())
        {
            using PeerCall call = peers.Found[0].Prepare(Op("augment"), problem, DType.Float32, none);
            Assert.True(call.Time(timer) is { Cold: > 0, Warm: > 0 }, problem.Text);
        }

        AugmentProblem turned = SmallAugmentations().First() with { Policy = new AugmentPolicy { VerticalFlip = 0.5 } };
        Assert.NotEmpty(Assert.Throws<PeerException>(() => peers.Found[0].Prepare(Op("augment"), turned, DType.Float32, none)).Message);
    }

    /// <summary>What is timed of the fused op, which peers have for no other problem, of few pixels.</summary>
    private static IEnumerable<AugmentProblem> SmallAugmentations() =>
        Op("augment").BenchProblems.Cast<AugmentProblem>().Select(problem => problem with { Shape = [3, 3, 20, 30], Out = (20, 30) });

    private static OpCase Op(string name) => OpCase.All.Single(op => op.Op == name);

    private sealed class FakePeer(string name, Func<PeerCall> prepare) : Peer
    {
        public override string Name => name;

        public override PeerCall Prepare(OpCase op, Problem problem, DType dtype, DeviceTensors tensors) => prepare();
    }
}
