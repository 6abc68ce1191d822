using Kernels.Verification;
using Silk.NET.OpenCL;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>Every call of a real OpenCL fails once, in every way, wherever the library makes it.</summary>
public sealed class OpenClCallSites : Scenario
{
    /// <summary>
    /// Calls whose failure hurts nobody: what is released is gone, an error without its log is still an error, and a program that cannot be
    /// had from the cache is compiled.
    /// </summary>
    private static readonly string[] MayPassSilently =
    [
        "clReleaseContext", "clReleaseCommandQueue", "clReleaseMemObject", "clReleaseProgram", "clReleaseKernel", "clReleaseEvent",
        "clGetProgramBuildInfo", "clCreateProgramWithBinary",
    ];

    private static readonly ErrorCodes[] Statuses =
    [
        ErrorCodes.OutOfHostMemory, ErrorCodes.OutOfResources, ErrorCodes.MemObjectAllocationFailure, ErrorCodes.DeviceNotAvailable,
        ErrorCodes.InvalidValue,
    ];

    private readonly SortedSet<string> _failed = new(StringComparer.Ordinal);
    private readonly bool _cached = Environment.GetEnvironmentVariable("KERNELS_CACHE") != "off";
    private long _runs;
    private long _errors;

    public OpenClCallSites()
        : base("KERNELS_LIBOPENCL", StandIns.OpenCl)
    {
    }

    /// <summary>An elementwise op that is compiled in every run; compiling takes time, so it fails in two ways only.</summary>
    [Fact(Explicit = true)]
    public void OfDropoutCompiled()
    {
        OpWorkload workload = Workload("dropout", "forward");
        FailEveryCall(workload.ToString(), workload.Run, ErrorCodes.OutOfHostMemory, ErrorCodes.InvalidValue);
        Report($"{_runs} runs, {_errors} of them with an error; failed at least once: {string.Join(", ", _failed)}");
    }

    /// <summary>The same op, in every way, and one of several launches, with programs from the cache.</summary>
    [Fact(Explicit = true)]
    public void OfDropoutAndLinearCached()
    {
        OpWorkload one = Workload("dropout", "forward"), several = Workload("linear", "backward");
        FailEveryCall(one.ToString(), one.Run, Statuses);
        // What else a status means is decided below the ops.
        FailEveryCall(several.ToString(), several.Run, ErrorCodes.OutOfHostMemory, ErrorCodes.InvalidValue);
        Report($"{_runs} runs, {_errors} of them with an error; failed at least once: {string.Join(", ", _failed)}");
    }

    /// <summary>What is no op: transfers, fills, events, a second queue.</summary>
    [Fact(Explicit = true)]
    public void OfStreamsAndMemory()
    {
        FailEveryCall("streams and memory", UseStreamsAndMemory, Statuses);
        Report($"{_runs} runs, {_errors} of them with an error; failed at least once: {string.Join(", ", _failed)}");
    }

    private static OpWorkload Workload(string name, string entry)
    {
        OpCase op = OpCase.All.Single(op => op.Op == name);
        return new OpWorkload(op,
            op.Problems.Where(problem => problem.Entry == entry).First(problem => problem.Bytes(1) is > 100 and < 10_000));
    }

    private static void UseStreamsAndMemory(FaultPlan plan, Device device)
    {
        float[] values = [.. Enumerable.Range(1, 40)];
        using DeviceStream stream = plan.Step(device.CreateStream);
        using DeviceStream second = plan.Step(device.CreateStream);
        using DeviceTensor<float> x = plan.Step(() => device.Upload<float>(values, 40));
        using DeviceTensor<float> y = plan.Step(() => device.Allocate<float>(40));
        using HostBuffer<float> host = plan.Step(() => device.AllocateHost<float>(40));
        plan.Step(() => stream.Upload(host, y));
        plan.Step(() => stream.Copy(x, y));
        using DeviceEvent copied = plan.Step(stream.Record);
        plan.Step(() => second.WaitFor(copied));
        plan.Step(() => second.Download(y, host));
        using DeviceEvent downloaded = plan.Step(second.Record);
        plan.Step(downloaded.Wait);
        Assert.Equal(values, host.Span.ToArray());
        Assert.True(plan.Step(() => downloaded.IsCompleted));
        plan.Step(() => downloaded.ElapsedSince(copied));
        plan.Step(() => stream.Fill(x, 7f));
        Assert.All(plan.Step(() => x.ToArray(stream)), value => Assert.Equal(7, value));
        using DeviceBuffer<float> lent = plan.Step(() => device.WrapBuffer<float>(y.Buffer.NativeHandle, 40));
        using DeviceStream borrowed = plan.Step(() => device.WrapStream(stream.NativeHandle));
        plan.Step(borrowed.Synchronize);
    }

    /// <summary>Runs a workload as often as it has calls, failing the next one each time, until a run has none left to fail.</summary>
    private void FailEveryCall(string workload, Action<FaultPlan, Device> run, params ErrorCodes[] statuses)
    {
        long calls = 0;
        foreach (ErrorCodes status in statuses)
        {
            for (calls = 0; Attempt(workload, run, status, calls) || calls == 0; calls++)
            {
                // The call after this one is next; call 0 fails nothing, and shows what is right.
            }
        }

        Report($"{workload}: {calls - 1} calls");
    }

    /// <summary>False when the run was over before the call came that should have failed.</summary>
    private bool Attempt(string workload, Action<FaultPlan, Device> run, ErrorCodes status, long call)
    {
        FaultOpenCl.Fail((ulong)call, status);
        FaultPlan plan = new(() => FaultOpenCl.FailedFunction, _ => false);
        Step(Situation());
        Device? device = null;
        try
        {
            using Device opened = plan.Step(() => Device.Open("opencl:0"));
            device = opened;
            run(plan, opened);
        }
        catch (Exception e)
        {
            throw new InvalidOperationException(Situation(), e);
        }

        _runs++;
        string situation = Situation();
        string? failed = FaultOpenCl.FailedFunction;
        FaultOpenCl.Fail(0, ErrorCodes.Success);
        Assert.True(FaultOpenCl.AllLive().Length == 0, $"{situation}: left alive: {FaultOpenCl.AllLive()}");
        Assert.True(FaultOpenCl.Violations == 0, $"{situation}: {FaultOpenCl.Violations} releases too many");
        CudaScenario.AssertCounters(device, situation);
        if (failed is null) return false;
        _failed.Add(failed);
        if (plan.Error is null)
        {
            Assert.True(MayPassSilently.Contains(failed) || (_cached && failed == "clBuildProgram"), $"{situation}: nothing was thrown");
            return true;
        }

        _errors++;
        bool isOfCall = plan.Error is DeviceNotAvailableException || plan.Error.Call!.StartsWith(failed, StringComparison.Ordinal);
        Assert.True(isOfCall, $"{situation}: {plan.Error.Call}");
        Assert.True(plan.Error.Message.Contains(status.ToString(), StringComparison.Ordinal), $"{situation}: {plan.Error.Message}");
        if (failed == "clCreateBuffer" && status is not (ErrorCodes.InvalidValue or ErrorCodes.DeviceNotAvailable))
            Assert.IsType<OutOfDeviceMemoryException>(plan.Error);
        return true;

        string Situation() => $"{workload}, call {call} ({FaultOpenCl.FailedFunction}) answers {status}";
    }
}
