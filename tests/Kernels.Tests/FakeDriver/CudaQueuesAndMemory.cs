using Kernels.Devices;
using Kernels.Interop;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>
/// Streams of other libraries, and what memory waits for before it goes. The stand-in puts work off until somebody waits for it.
/// </summary>
public sealed class CudaQueuesAndMemory : CudaScenario
{
    private const nint PerThread = 2;

    /// <summary>Work that is queued uses what its caller disposes next; nothing is freed under it.</summary>
    [Fact(Explicit = true)]
    public void DisposingWaitsForQueuedWork()
    {
        FakeCuda.PutOff();
        using (Device device = Device.Open("cuda:0"))
        {
            DeviceStream stream = device.CreateStream(), other = device.CreateStream();
            DeviceTensor<float> x = device.Upload<float>([-1, 2], 2), y = device.Allocate<float>(2), z = device.Allocate<float>(2);
            HostBuffer<float> host = device.AllocateHost<float>(2);
            ParameterSnapshot<float> snapshot = new(device, [y], SnapshotPlace.Host);
            DeviceGraph graph = other.Capture(() => Relu.Forward(other, x, z));
            Relu.Forward(stream, x, y);
            stream.Upload([5f, 6f], x);
            snapshot.Save(stream);
            stream.Download(y, host);
            using (stream.RentScratch<float>(100)) Relu.Forward(stream, y, y);
            using DeviceEvent done = stream.Record();
            other.WaitFor(done);
            graph.Launch(other);
            Assert.False(done.IsCompleted);
            foreach (IDisposable disposable in (IDisposable[])[snapshot, x, graph, host, y, stream, z, other]) disposable.Dispose();
            Assert.True(done.IsCompleted);
            AssertCounters(device);
        }

        AssertClean();
    }

    /// <summary>
    /// Uploads wait for the stream when it has not come to any of those that the ring holds, and their values are right all the same.
    /// </summary>
    [Fact(Explicit = true)]
    public void StagingWaitsOnlyWhenTheRingIsFull()
    {
        const int Length = 16 << 10, Uploads = 40;
        using (Device device = Device.Open("cuda:0"))
        using (DeviceStream stream = device.CreateStream())
        using (DeviceTensor<byte> bytes = device.Allocate<byte>(Uploads * Length))
        {
            stream.Upload<byte>(new byte[Length], bytes.Slice(0, Length));
            FakeCuda.PutOff();
            long waits = FakeCuda.Waits;
            for (int i = 0; i < Uploads; i++)
            {
                stream.Upload<byte>([.. Enumerable.Repeat((byte)i, Length)], bytes.Slice(i * Length, Length));
                if (i == 10) Assert.Equal(waits, FakeCuda.Waits);
            }

            Assert.InRange(FakeCuda.Waits - waits, 1, Uploads / 4);
            Assert.All(bytes.ToArray(stream).Chunk(Length).Select((chunk, i) => (chunk, i)), at =>
                Assert.All(at.chunk, value => Assert.Equal(at.i, value)));
        }

        AssertClean();
    }

    /// <summary>Awaiting ends when the work does, not before, or when it is cancelled.</summary>
    [Fact(Explicit = true)]
    public async Task AwaitingEndsWithTheWork()
    {
        FakeCuda.PutOff();
        using (Device device = Device.Open("cuda:0"))
        using (DeviceStream stream = device.CreateStream())
        using (DeviceTensor<float> x = device.Allocate<float>(2))
        {
            stream.Fill(x, 1f);
            using CancellationTokenSource cancel = new();
            Task cancelled = stream.SynchronizeAsync(cancel.Token),
                waiting = stream.SynchronizeAsync(TestContext.Current.CancellationToken);
            await Task.Delay(50, TestContext.Current.CancellationToken);
            Assert.False(waiting.IsCompleted);
            await cancel.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);
            Assert.False(waiting.IsCompleted);
            stream.Synchronize();
            await waiting;
        }

        AssertClean();
    }

    [Fact(Explicit = true)]
    public async Task DefaultStreamsCanBeWrapped()
    {
        using (Device device = Device.Open("cuda:0"))
        {
            foreach (nint handle in (nint[])[0, 1, PerThread])
            {
                using DeviceStream stream = device.WrapStream(handle);
                using DeviceTensor<float> x = device.Upload<float>([1, -2, 3, -4], 2, 2), y = device.Allocate<float>(2, 2);
                Relu.Forward(stream, x, x);
                MatMul.Multiply(stream, x, x, y);
                await stream.SynchronizeAsync(TestContext.Current.CancellationToken);
                Assert.Equal([1, 0, 3, 0], y.ToArray(stream));
            }

            // 0 and 1 are two names of one stream; the default streams of two threads are two.
            using DeviceStream legacy = device.WrapStream(0), same = device.WrapStream(1), own = device.WrapStream(PerThread),
                again = device.WrapStream(PerThread);
            Assert.Same(legacy.Queue, same.Queue);
            Assert.Same(own.Queue, again.Queue);
            Assert.NotSame(own.Queue, legacy.Queue);
            using DeviceTensor<float> z = device.Allocate<float>(2);
            Thread thread = new(() =>
            {
                Assert.Throws<InvalidOperationException>(() => own.Fill(z, 1f));
                using DeviceStream others = device.WrapStream(PerThread);
                Assert.NotSame(own.Queue, others.Queue);
                others.Fill(z, 2f);
                others.Synchronize();
            });
            thread.Start();
            thread.Join();
            Assert.Equal([2, 2], z.ToArray(own));

            // What the thread left goes with the next that wraps its own.
            thread = new Thread(() => device.WrapStream(PerThread).Dispose());
            thread.Start();
            thread.Join();
        }

        AssertClean();
    }

    /// <summary>A framework wraps its stream for each call: that waits for nothing, and all wrappers are one stream.</summary>
    [Fact(Explicit = true)]
    public void StreamsOverOneQueueShare()
    {
        using (Device device = Device.Open("cuda:0"))
        using (DeviceStream theirs = device.CreateStream())
        using (DeviceTensor<int> ids = device.Upload<int>([0, 9], 2))
        using (DeviceTensor<float> table = device.Upload<float>([1, 2], 1, 2), y = device.Allocate<float>(2, 2))
        {
            nint handle = theirs.NativeHandle;
            DeviceMemory scratch;
            using (DeviceStream first = device.WrapStream(handle), second = device.WrapStream(handle))
            {
                using (ScratchPool.Lease<float> lease = first.RentScratch<float>(100)) scratch = lease.Argument.Memory!;
                EmbeddingDropout.Infer(first, ids, table, y);
                first.Dispose();
                Assert.Throws<ObjectDisposedException>(() => EmbeddingDropout.Infer(first, ids, table, y));
                Assert.Throws<DeviceDataException>(second.Synchronize);
                second.Synchronize();
            }

            FakeCuda.PutOff();
            long waits = FakeCuda.Waits;
            for (int call = 0; call < 100; call++)
            {
                using DeviceStream wrapped = device.WrapStream(handle);
                using ScratchPool.Lease<float> lease = wrapped.RentScratch<float>(100);
                Assert.Same(scratch, lease.Argument.Memory);
                EmbeddingDropout.Infer(wrapped, ids, table, y);
            }

            Assert.Equal(waits, FakeCuda.Waits);
            using DeviceStream last = device.WrapStream(handle);
            Assert.Throws<DeviceDataException>(last.Synchronize);
        }

        AssertClean();
    }

    /// <summary>
    /// Once the wrapper is disposed the owner may destroy the stream, and memory still waits for the work that was in it.
    /// </summary>
    [Fact(Explicit = true)]
    public void BorrowedStreamsMayGoBeforeTheMemory()
    {
        foreach (bool destroyedFirst in (bool[])[false, true])
        {
            using Device device = Device.Open("cuda:0");
            nint theirs = InContext(device, () => (CudaDriver.cuStreamCreate(out nint stream, CudaStreamFlags.NonBlocking), stream));
            DeviceTensor<float> x = device.Upload<float>([1, -2], 2), y = device.Allocate<float>(2);
            FakeCuda.PutOff();
            using (DeviceStream wrapped = device.WrapStream(theirs)) Relu.Forward(wrapped, x, y);
            Action[] ends = [x.Dispose, () => InContext(device, () => (CudaDriver.cuStreamDestroy_v2(theirs), 0))];
            foreach (Action end in destroyedFirst ? ends.Reverse() : ends) end();
            y.Dispose();
        }

        AssertClean();
    }

    /// <summary>
    /// A stream that another library captures is let be: asking what it has to do would end the capture. What its graph reports is looked
    /// for, although nobody counts its launches.
    /// </summary>
    [Fact(Explicit = true)]
    public void CapturesOfOtherLibrariesGoOn()
    {
        using (Device device = Device.Open("cuda:0"))
        {
            nint theirs = InContext(device, () => (CudaDriver.cuStreamCreate(out nint stream, CudaStreamFlags.NonBlocking), stream));
            using DeviceTensor<int> ids = device.Upload<int>([0, 0], 2);
            using DeviceTensor<float> table = device.Upload<float>([1, 2], 1, 2), y = device.Allocate<float>(2, 2);
            using DeviceStream wrapped = device.WrapStream(theirs);
            EmbeddingDropout.Infer(wrapped, ids, table, y);
            wrapped.Synchronize();

            InContext(device, () => (CudaDriver.cuStreamBeginCapture_v2(theirs, CudaCaptureMode.Relaxed), 0));
            EmbeddingDropout.Infer(wrapped, ids, table, y);
            device.Allocate<float>(3).Dispose();
            device.WrapStream(theirs).Dispose();
            Assert.Throws<InvalidOperationException>(() => wrapped.Upload([1, 2], ids));
            nint graph = InContext(device, () => (CudaDriver.cuStreamEndCapture(theirs, out nint captured), captured));
            nint executable = InContext(device, () => (CudaDriver.cuGraphInstantiateWithFlags(out nint made, graph, 0), made));
            InContext(device, () => (CudaDriver.cuGraphDestroy(graph), 0));
            wrapped.Synchronize();
            for (int replay = 0; replay < 2; replay++)
            {
                wrapped.Upload([0, 7], ids);
                InContext(device, () => (CudaDriver.cuGraphLaunch(executable, theirs), 0));
                Assert.Equal(1, Assert.Throws<DeviceDataException>(wrapped.Synchronize).Index);
                wrapped.Synchronize();
            }

            wrapped.Dispose();
            InContext(device, () => (CudaDriver.cuGraphExecDestroy(executable), 0));
            InContext(device, () => (CudaDriver.cuStreamDestroy_v2(theirs), 0));
        }

        AssertClean();
    }

    /// <summary>A call of the driver as another library makes it.</summary>
    private static T InContext<T>(Device device, Func<(CudaStatus Status, T Result)> call)
    {
        Assert.Equal(CudaStatus.Success, CudaDriver.cuCtxPushCurrent_v2(device.NativeContext));
        (CudaStatus status, T result) = call();
        CudaDriver.cuCtxPopCurrent_v2(out _);
        Assert.Equal(CudaStatus.Success, status);
        return result;
    }
}
