using Kernels.Devices;
using Kernels.Interop;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>Every call of the driver, the compiler and cuBLAS fails once, in every way, wherever the library makes it.</summary>
public sealed class CudaCallSites : CudaScenario
{
    /// <summary>
    /// Calls whose failure hurts nobody: what is released is gone (and if it is the context that could not be made current for it, it goes
    /// with the next release), and an error without its text or its log is still an error. A lost context shows at the next call.
    /// </summary>
    private static readonly string[] MayPassSilently =
    [
        "cuCtxPushCurrent_v2", "cuCtxPopCurrent_v2", "cuDevicePrimaryCtxRelease_v2", "cuMemFree_v2", "cuMemFreeHost", "cuStreamDestroy_v2",
        "cuEventDestroy_v2", "cuModuleUnload", "cuGraphDestroy", "cuGraphExecDestroy", "cuStreamIsCapturing", "cublasDestroy_v2",
        "nvrtcDestroyProgram", "nvrtcGetProgramLogSize", "nvrtcGetProgramLog",
        "cuGetErrorString",
    ];

    /// <summary>Elements of all tensors together.</summary>
    private const long LargestProblem = 2_000;

    /// <summary>More are the same few once for each tensor of a list; every call costs a run.</summary>
    private const long MostCalls = 300;

    private static readonly Fault[] Faults =
    [
        new(CudaStatus.OutOfMemory, IsSticky: false),
        new(CudaStatus.InvalidValue, IsSticky: false),
        new(CudaStatus.LaunchFailed, IsSticky: true),
        new(CudaStatus.IllegalAddress, IsSticky: true),
        new(CudaStatus.EccUncorrectable, IsSticky: true),
        new(CudaStatus.Unknown, IsSticky: true),
    ];

    private readonly SortedSet<string> _failed = new(StringComparer.Ordinal);
    private long _runs;
    private long _errors;

    /// <summary>
    /// Each op, once for each of its entries: out of memory, and for good. What else a status means is decided below the ops.
    /// </summary>
    [Fact(Explicit = true)]
    public void OfEveryOp() => FailOps(OpCase.All);

    /// <summary>For other settings of the library, in which launches and programs take other calls: an op of each kind.</summary>
    [Fact(Explicit = true)]
    public void OfSomeOps() => FailOps(OpCase.All.Where(op => op.Op is "dropout" or "linear" or "embedding-dropout" or "adam"));

    /// <summary>What is no op: transfers, fills, events, borrowed handles, a second stream, a launch. In every way.</summary>
    [Fact(Explicit = true)]
    public void OfStreamsAndMemory()
    {
        FailEveryCall("streams and memory", UseStreamsAndMemory, Faults);
        Report($"{_runs} runs, {_errors} of them with an error; failed at least once: {string.Join(", ", _failed)}");
    }

    /// <summary>A capture with everything in it, two replays, and another stream over the same queue.</summary>
    [Fact(Explicit = true)]
    public void OfGraphs()
    {
        FailEveryCall("graphs", UseGraphs, Faults);
        Report($"{_runs} runs, {_errors} of them with an error; failed at least once: {string.Join(", ", _failed)}");
    }

    /// <summary>Of each entry the problem that makes the most calls, among those small enough to be run hundreds of times.</summary>
    private static IEnumerable<(OpWorkload Workload, long BeforeOp, long AfterOp)> ManyCalls(OpCase op) =>
        from problem in op.Problems
        let length = op.Tensors(problem, DType.Float32, 1).Sum(spec => spec.Length)
        where length <= LargestProblem
        orderby length descending
        let workload = new OpWorkload(op, problem)
        let calls = CountCalls(workload)
        where calls.All <= MostCalls
        group (workload, calls.BeforeOp, calls.AfterOp, calls.All) by problem.Entry into entry
        let most = entry.MaxBy(counted => counted.All)
        select (most.workload, most.BeforeOp, most.AfterOp);

    private static (long BeforeOp, long AfterOp, long All) CountCalls(OpWorkload workload)
    {
        long before = 0, after = 0;
        FakeCuda.Reset();
        using Device device = Device.Open("cuda:0");
        workload.AtOp = isOver => (isOver ? ref after : ref before) = FakeCuda.Calls();
        workload.Run(new FaultPlan(() => null, _ => false), device);
        workload.AtOp = null;
        return (before, after, FakeCuda.Calls());
    }

    private static void UseStreamsAndMemory(FaultPlan plan, Device device)
    {
        float[] values = [.. Enumerable.Range(1, 40)];
        using DeviceStream stream = plan.Step(device.CreateStream);
        using DeviceStream second = plan.Step(device.CreateStream);
        plan.Probe(stream.Synchronize);
        plan.Probe(() => stream.Record());
        using DeviceTensor<float> x = plan.Step(() => device.Upload<float>(values, 40));
        using DeviceTensor<float> y = plan.Step(() => device.Allocate<float>(40));
        using HostBuffer<float> host = plan.Step(() => device.AllocateHost<float>(40));
        plan.Probe(() => stream.Download(y, host));

        plan.Step(() => stream.Upload(host, y));
        plan.Step(() => stream.Copy(x, y));
        using DeviceEvent copied = plan.Step(stream.Record);
        plan.Probe(copied.Wait);
        plan.Step(() => second.WaitFor(copied));
        plan.Step(() => second.Download(y, host));
        using DeviceEvent downloaded = plan.Step(second.Record);
        plan.Step(downloaded.Wait);
        Assert.Equal(values, host.Span.ToArray());
        Assert.True(plan.Step(() => downloaded.IsCompleted));
        Assert.True(plan.Step(() => downloaded.ElapsedSince(copied)) >= TimeSpan.Zero);

        Fill<byte>(7);
        Fill((Half)7);
        Fill(7f);
        Fill(7.1);
        Fill(ulong.MaxValue);

        using DeviceStream borrowed = plan.Step(() => device.WrapStream(stream.NativeHandle));
        plan.Step(borrowed.Synchronize);

        using (ScratchPool.Lease<float> scratch = plan.Step(() => stream.RentScratch<float>(100)))
        {
            // Its memory goes back to the pool, whatever failed meanwhile.
        }

        plan.Step(() => stream.DataErrorSlot("an op", "is reported by nobody").Dispose());
        plan.Step(stream.Synchronize);

        using DeviceTensor<ulong> key = plan.Step(() => device.Upload<ulong>([1, 2], 2));
        plan.Step(() => RandomBits.Advance(stream, key));
        Assert.Equal([1ul, 3], plan.Step(() => key.ToArray(stream)));

        void Fill<T>(T value)
            where T : unmanaged
        {
            using DeviceTensor<T> filled = plan.Step(() => device.Allocate<T>(9));
            plan.Step(() => stream.Fill(filled, value));
            Assert.Equal(Enumerable.Repeat(value, 9), plan.Step(() => filled.ToArray(stream)));
        }
    }

    private static void UseGraphs(FaultPlan plan, Device device)
    {
        using DeviceStream stream = plan.Step(device.CreateStream);
        using DeviceTensor<float> x = plan.Step(() => device.Upload<float>([-1, 2, 3, -4], 2, 2));
        using DeviceTensor<float> y = plan.Step(() => device.Allocate<float>(2, 2));
        using DeviceTensor<int> ids = plan.Step(() => device.Upload<int>([1, 0], 2));
        using DeviceTensor<ulong> key = plan.Step(() => device.Upload<ulong>([1, 2], 2));
        using HostBuffer<float> host = plan.Step(() => device.AllocateHost<float>(4));
        void Work()
        {
            RandomBits.Advance(stream, key);
            stream.Upload([0f, 1f, 2f, 3f], y);
            EmbeddingDropout.Infer(stream, ids, x, y);
            MatMul.Multiply(stream, y, y, x);
            stream.Fill(y, 2f);
            stream.Copy(x, y);
            stream.Download(y, host);
            using (stream.RentScratch<float>(100)) Relu.Forward(stream, x, x);
        }

        plan.Probe(() => stream.Capture(Work));
        using DeviceGraph graph = plan.Step(() => stream.Capture(Work));
        plan.Probe(() => graph.Launch(stream));
        plan.Step(() => graph.Launch(stream));
        plan.Step(stream.Synchronize);
        // Rows exchanged and multiplied by themselves.
        if (plan.Error is null) Assert.Equal([13, -20, -5, 8], host.Span.ToArray());
        using DeviceStream borrowed = plan.Step(() => device.WrapStream(stream.NativeHandle));
        plan.Step(() => graph.Launch(borrowed));
        plan.Step(borrowed.Synchronize);
        if (plan.Error is null) Assert.Equal([1ul, 4], plan.Step(() => key.ToArray(stream)));
    }

    private void FailOps(IEnumerable<OpCase> ops)
    {
        // Every op has its device, stream and tensors made by the same calls, and its results read by the same: once is enough.
        bool isFirst = true;
        foreach ((OpWorkload workload, long before, long after) in ops.SelectMany(ManyCalls))
        {
            FailEveryCall(workload.ToString(), workload.Run, [Faults[0], Faults[^1]], isFirst ? (0, long.MaxValue) : (before, after));
            isFirst = false;
        }

        Report($"{_runs} runs, {_errors} of them with an error; failed at least once: {string.Join(", ", _failed)}");
    }

    private void FailEveryCall(string workload, Action<FaultPlan, Device> run, Fault[] faults) =>
        FailEveryCall(workload, run, faults, (0, long.MaxValue));

    /// <summary>
    /// Runs a workload as often as it has calls between two, failing the next one each time, until a run has none left to fail. Before that
    /// nothing fails, which shows what is right.
    /// </summary>
    private void FailEveryCall(string workload, Action<FaultPlan, Device> run, Fault[] faults, (long After, long Last) calls)
    {
        long call = 0;
        foreach (Fault fault in faults)
        {
            Attempt(workload, run, fault, 0);
            call = calls.After + 1;
            while (call <= calls.Last && Attempt(workload, run, fault, call)) call++;
        }

        Report($"{workload}: {call - 1 - calls.After} calls");
    }

    /// <summary>False when the run was over before the call came that should have failed.</summary>
    private bool Attempt(string workload, Action<FaultPlan, Device> run, Fault fault, long call)
    {
        FakeCuda.Reset();
        FakeCuda.Fail((ulong)call, fault.Status, fault.IsSticky);
        // The compiler has no context to lose.
        FaultPlan plan = new(
            () => FakeCuda.FailedFunction, failed => fault.IsSticky && !failed.StartsWith("nvrtc", StringComparison.Ordinal));
        Step(Situation());
        Device? device = null;
        try
        {
            using Device opened = plan.Step(() => Device.Open("cuda:0"));
            device = opened;
            plan.Probe(() => opened.AllocateBuffer<float>(1));
            plan.Probe(() => opened.CreateStream());
            run(plan, opened);
        }
        catch (ContextLostException)
        {
            // What is wanted after a sticky error.
        }
        catch (Exception e)
        {
            throw new InvalidOperationException(Situation(), e);
        }

        _runs++;
        string? failed = FakeCuda.FailedFunction;
        string situation = Situation();
        if (device is not null) AssertCounters(device, situation);
        if (plan.IsContextLost)
        {
            Assert.True(
                FakeCuda.Violations.Count == 0 && FakeCuda.ContextDepth == 0, $"{situation}: {string.Join("; ", FakeCuda.Violations)}");
        }
        else
        {
            AssertClean(situation);
        }

        if (failed is null) return false;
        _failed.Add(failed);
        if (plan.Error is null)
        {
            bool mayPass = MayPassSilently.Contains(failed) || IsAheadOfARelease(failed, call) || IsTriedAgain(failed, call, fault);
            Assert.True(mayPass, $"{situation}: nothing was thrown");
            return true;
        }

        _errors++;
        AssertTells(plan.Error, failed, call, fault, situation);
        return true;

        string Situation() =>
            $"{workload}, call {call} ({FakeCuda.FailedFunction}) answers {fault.Status}{(fault.IsSticky ? " for good" : "")}";
    }

    /// <summary>
    /// What is released waits for the streams first, and a stream of others is marked by an event. That one of them has failed is for the
    /// next call on it to say.
    /// </summary>
    private static bool IsAheadOfARelease(string failed, long call)
    {
        string[] waits = ["cuStreamSynchronize", "cuEventSynchronize", "cuEventRecord", "cuStreamIsCapturing", "cuCtxSynchronize"];
        string[] releases = ["cuMemFree_v2", "cuMemFreeHost", "cuStreamDestroy_v2", "cuEventDestroy_v2"];
        if (!waits.Contains(failed)) return false;
        IReadOnlyList<string> log = FakeCuda.Log(call - 2);
        return log is ["cuStreamIsCapturing", "cuEventRecord", ..]
            || releases.Contains(log.Skip(1).SkipWhile(waits.Contains).FirstOrDefault());
    }

    /// <summary>Scratch memory that cannot be had is asked for again when the pool has given back what nobody uses.</summary>
    private static bool IsTriedAgain(string failed, long call, Fault fault)
    {
        if (failed != "cuMemAlloc_v2" || fault.Status != CudaStatus.OutOfMemory) return false;
        IReadOnlyList<string> from = FakeCuda.Log(call - 1);
        return from.Skip(1).TakeWhile(name => name != "cuMemAlloc_v2").Contains("cuMemFree_v2") && from.Skip(1).Contains("cuMemAlloc_v2");
    }

    /// <summary>The exception names the call and the status; running out of memory has a type of its own.</summary>
    private static void AssertTells(DeviceException error, string failed, long call, Fault fault, string situation)
    {
        // An error that a lost context shows later comes from a later call.
        bool isLater = MayPassSilently.Contains(failed) || IsAheadOfARelease(failed, call);
        bool isDrivers = failed.StartsWith("cu", StringComparison.Ordinal) && !failed.StartsWith("cublas", StringComparison.Ordinal);
        string function = failed.Replace("_v2", "", StringComparison.Ordinal);
        Assert.True(isLater || error.Message.Contains(function, StringComparison.Ordinal), $"{situation}: {error.Message}");
        bool isOfCall = isLater || error is DeviceNotAvailableException || error.Call!.StartsWith(function, StringComparison.Ordinal);
        Assert.True(isOfCall, $"{situation}: {error.Call}");
        if (failed == "cuLaunchKernel") Assert.False(string.IsNullOrEmpty(error.Op), situation);
        if (!isDrivers) return;
        Assert.True(error.Message.Contains(fault.Status.ToString(), StringComparison.Ordinal), $"{situation}: {error.Message}");
        bool isMemory = fault.Status == CudaStatus.OutOfMemory && !isLater;
        bool hasType = error is OutOfDeviceMemoryException or DeviceNotAvailableException;
        Assert.True(!isMemory || hasType, $"{situation}: {error.GetType().Name} {error.Message}");
    }

    /// <summary>One way a call can fail.</summary>
    /// <param name="Status">What it answers.</param>
    /// <param name="IsSticky">Every later call answers the same: the context is lost.</param>
    private sealed record Fault(CudaStatus Status, bool IsSticky);
}
