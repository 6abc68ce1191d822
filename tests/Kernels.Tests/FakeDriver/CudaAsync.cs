using Kernels.Interop;
using Xunit;
using static Kernels.Interop.CudaDriver;
using static Kernels.Tests.FakeDriver.GatedKernels;

namespace Kernels.Tests.FakeDriver;

/// <summary>
/// Streams that do their work on threads of their own, as a GPU does: what is queued runs later and side by side. What a caller does wrong
/// is then seen, as here by callers who are wrong on purpose.
/// </summary>
public sealed unsafe class CudaAsync : CudaScenario
{
    public CudaAsync() => FakeCuda.SetAsync();

    /// <summary>Five kernels in two streams, each waiting for a word that the one before it writes, in the other stream.</summary>
    [Fact(Explicit = true)]
    public void StreamsRunSideBySide()
    {
        using (GatedKernels kernels = new())
        {
            nint[] streams = [CreateStream(), CreateStream()];
            foreach (int parity in (int[])[1, 0])
            {
                for (int turn = parity; turn < 5; turn += 2)
                    kernels.Pass(streams[parity], kernels.Words, (uint)turn, kernels.Words, (uint)turn + 1);
            }

            Succeed(cuCtxSynchronize());
            Assert.Equal(5u, Read(kernels.Words));
            Assert.All(streams, stream => Succeed(cuStreamDestroy_v2(stream)));
        }

        AssertClean();
    }

    /// <summary>Without a wait, a stream reads what another has not written yet.</summary>
    [Fact(Explicit = true)]
    public void AMissingWaitIsSeen()
    {
        using (GatedKernels kernels = new())
        {
            (nint writer, nint reader) = (CreateStream(), CreateStream());
            kernels.Write(writer, kernels.Words, 7);
            nint start = Record(reader), written = Record(writer);
            kernels.Fetch(reader, kernels.Words, 1);
            Succeed(cuStreamSynchronize(reader));
            Assert.Equal(0u, kernels.Host[1]);

            Succeed(cuStreamWaitEvent(reader, written, 0));
            kernels.Fetch(reader, kernels.Words, 1);
            Assert.Equal((CudaStatus.NotReady, CudaStatus.NotReady), (cuStreamQuery(reader), cuEventQuery(written)));
            Assert.Equal(CudaStatus.NotReady, cuEventElapsedTime(out _, start, written));
            kernels.Open();
            Succeed(cuStreamSynchronize(reader));
            Assert.Equal(7u, kernels.Host[1]);
            Assert.Equal((CudaStatus.Success, CudaStatus.Success), (cuStreamQuery(reader), cuEventQuery(written)));
            Succeed(cuEventElapsedTime(out float milliseconds, start, written));
            Assert.True(milliseconds > 0);
            Assert.All([start, written], made => Succeed(cuEventDestroy_v2(made)));
            Assert.All([writer, reader], stream => Succeed(cuStreamDestroy_v2(stream)));
        }

        AssertClean();
    }

    /// <summary>Pageable memory is read before the call returns, page-locked memory when the stream comes to it.</summary>
    [Fact(Explicit = true)]
    public void PageLockedMemoryIsReadLater()
    {
        using (GatedKernels kernels = new())
        {
            nint stream = CreateStream();
            kernels.Write(stream, kernels.Words, 1);
            uint pageable = 7;
            kernels.Host[1] = 7;
            Succeed(cuMemcpyHtoDAsync_v2(kernels.Words + 4, &pageable, sizeof(uint), stream));
            Succeed(cuMemcpyHtoDAsync_v2(kernels.Words + 8, (void*)kernels.HostAddress(1), sizeof(uint), stream));
            pageable = kernels.Host[1] = 9;
            kernels.Open();
            Succeed(cuStreamSynchronize(stream));
            Assert.Equal((7u, 9u), (Read(kernels.Words + 4), Read(kernels.Words + 8)));
            Succeed(cuStreamDestroy_v2(stream));
        }

        AssertClean();
    }

    /// <summary>The launch succeeds; who waits for it learns what it did, and so does everybody after that.</summary>
    [Fact(Explicit = true)]
    public void ErrorsComeLater()
    {
        GatedKernels kernels = new();
        nint stream = CreateStream();
        kernels.Write(stream, kernels.Words + Bytes, 1);
        kernels.Write(stream, kernels.Words, 2);
        Assert.Equal(CudaStatus.NotReady, cuStreamQuery(stream));
        kernels.Open();
        Assert.Equal(CudaStatus.IllegalAddress, cuStreamSynchronize(stream));
        Assert.Equal(CudaStatus.IllegalAddress, cuMemAlloc_v2(out _, 4));
        Assert.Contains("pass, gate.cl:1", Assert.Single(FakeCuda.Violations), StringComparison.Ordinal);
        FakeCuda.Reset();
        AssertClean();
    }

    /// <summary>Whose wrong callers are reported, and what they free goes when the work is done.</summary>
    [Fact(Explicit = true)]
    public void WhatGoesUnderQueuedWorkIsReported()
    {
        foreach ((string call, Func<GatedKernels, nuint, CudaStatus> free) in
            ((string, Func<GatedKernels, nuint, CudaStatus>)[])
            [
                ("cuMemFree", (_, memory) => cuMemFree_v2(memory)),
                ("cuModuleUnload", (kernels, _) => cuModuleUnload(kernels.Module)),
            ])
        {
            foreach (bool waits in (bool[])[true, false])
            {
                Step($"{call}, {(waits ? "after" : "without")} a wait");
                GatedKernels kernels = new();
                nuint memory = Allocate();
                nint stream = CreateStream();
                kernels.Write(stream, memory, 1);
                Thread opener = new(() =>
                {
                    if (!waits) Eventually(() => FakeCuda.Violations.Count > 0, $"{call} is not reported");
                    kernels.Open();
                });
                opener.Start();
                if (waits) Succeed(cuStreamSynchronize(stream));
                Succeed(free(kernels, memory));
                Assert.Equal(CudaStatus.Success, cuStreamQuery(stream));
                opener.Join();
                if (waits)
                    Assert.Empty(FakeCuda.Violations);
                else
                    Assert.Matches($"^{call}: 0x[0-9a-f]+ is used by work that is queued in stream", Assert.Single(FakeCuda.Violations));
                FakeCuda.Reset();
            }
        }

        AssertClean();
    }

    /// <summary>The legacy default stream waits for streams that block, and they for it; others go their own way.</summary>
    [Fact(Explicit = true)]
    public void TheLegacyStreamTakesTurns()
    {
        using (GatedKernels kernels = new())
        {
            (nint blocking, nint free) = (CreateStream(CudaStreamFlags.Default), CreateStream());
            kernels.Write(blocking, kernels.Words, 1);
            Succeed(cuMemsetD32Async(kernels.Words + 4, 2, 1, 0));
            Succeed(cuMemsetD32Async(kernels.Words + 8, 3, 1, free));
            Succeed(cuStreamSynchronize(free));
            Assert.Equal((CudaStatus.NotReady, CudaStatus.NotReady), (cuStreamQuery(blocking), cuStreamQuery(0)));
            kernels.Open();
            Succeed(cuStreamSynchronize(0));
            Assert.Equal(CudaStatus.Success, cuStreamQuery(blocking));

            kernels.Shut();
            kernels.Write(0, kernels.Words, 4);
            kernels.Fetch(blocking, kernels.Words, 1);
            kernels.Fetch(free, kernels.Words, 2);
            Succeed(cuStreamSynchronize(free));
            Assert.Equal(CudaStatus.NotReady, cuStreamQuery(blocking));
            kernels.Open();
            Succeed(cuStreamSynchronize(blocking));
            Assert.Equal((4u, 1u), (kernels.Host[1], kernels.Host[2]));
            Assert.All([blocking, free], stream => Succeed(cuStreamDestroy_v2(stream)));
        }

        AssertClean();
    }

    /// <summary>Streams, events and graphs go at once, and what they were to do is still done.</summary>
    [Fact(Explicit = true)]
    public void WhatIsDestroyedIsStillDone()
    {
        using (GatedKernels kernels = new())
        {
            (nint stream, nint other) = (CreateStream(), CreateStream());
            Succeed(cuStreamBeginCapture_v2(stream, CudaCaptureMode.Relaxed));
            kernels.Write(stream, kernels.Words, 5);
            kernels.Fetch(stream, kernels.Words, 1);
            Succeed(cuStreamEndCapture(stream, out nint graph));
            Succeed(cuGraphInstantiateWithFlags(out nint executable, graph, 0));
            Succeed(cuGraphDestroy(graph));
            Succeed(cuGraphLaunch(executable, stream));
            Succeed(cuGraphExecDestroy(executable));
            nint launched = Record(stream);
            Succeed(cuStreamDestroy_v2(stream));
            Succeed(cuStreamWaitEvent(other, launched, 0));
            Succeed(cuEventDestroy_v2(launched));
            kernels.Fetch(other, kernels.Words, 2);
            Assert.Equal((CudaStatus.NotReady, 0u), (cuStreamQuery(other), kernels.Host[1]));
            kernels.Open();
            Succeed(cuStreamSynchronize(other));
            Assert.Equal((5u, 5u), (kernels.Host[1], kernels.Host[2]));
            Succeed(cuStreamDestroy_v2(other));
        }

        AssertClean();
    }
}
