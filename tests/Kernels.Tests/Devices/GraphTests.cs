using Kernels.Devices;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Devices;

/// <summary>Work that is captured once gives, launched again and again, what the calls would have given, and owns all it needs.</summary>
public sealed class GraphTests(TestDevices devices)
{
    private static readonly RandomKey Key = new(3, 4);

    public static TheoryData<string> DeviceIds => TestDevices.Rows;

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void TrainingStepReplaysBitForBit(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        CheckTrainingStep<float>(stream);
        CheckTrainingStep<BFloat16>(stream);
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void EveryTransferIsCaptured(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        CheckTransfers(stream);
    }

    /// <summary>All that a graph uses may be disposed before it; what it used is freed with it.</summary>
    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void GraphOutlivesWhatItUses(string deviceId)
    {
        using Device device = devices.OpenOwn(deviceId);
        CheckLifetimes(device);
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void WhatCannotBeCapturedThrowsAndLeavesTheCapture(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        Device device = stream.Device;
        using DeviceTensor<float> x = device.Upload<float>([1, 2, 3], 3);
        using DeviceEvent recorded = stream.Record();
        using DeviceGraph other = stream.Capture(() => stream.Fill(x, 7f));
        (string What, Action Call)[] calls =
        [
            ("Synchronize", stream.Synchronize),
            ("Record", () => stream.Record()),
            ("WaitFor", () => stream.WaitFor(recorded)),
            ("Download", () => x.ToArray(stream)),
            ("NativeHandle", () => _ = stream.NativeHandle),
            ("DeviceGraph.Launch", () => other.Launch(stream)),
            ("Capture", () => stream.Capture(() => stream.Fill(x, 0f))),
        ];
        using DeviceGraph graph = stream.Capture(() =>
        {
            stream.Fill(x, 5f);
            foreach ((string what, Action call) in calls)
                Assert.Contains(what, Assert.Throws<InvalidOperationException>(call).Message, StringComparison.Ordinal);
            Assert.Throws<ArgumentException>(() => stream.Copy(x, x.Slice(0, 2)));
            Assert.IsType<InvalidOperationException>(OnAnotherThread(() => stream.Fill(x, 0f)));
            Relu.Forward(stream, x, x);
        });
        Assert.Equal(1, graph.KernelCount);
        Assert.Equal([1, 2, 3], x.ToArray(stream));
        graph.Launch(stream);
        Assert.Equal([5, 5, 5], x.ToArray(stream));
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void FailedCaptureLeavesNothing(string deviceId)
    {
        using Device device = devices.OpenOwn(deviceId);
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> x = device.Upload<float>([-1, 2], 2);
        long blocks = device.Counters.LiveBlocks;
        Assert.Throws<TimeoutException>(() => stream.Capture(() =>
        {
            using (stream.RentScratch<float>(100)) stream.Upload([5f, 6f], x);
            throw new TimeoutException("the caller's own");
        }));
        Assert.Equal(blocks, device.Counters.LiveBlocks);
        Relu.Forward(stream, x, x);
        Assert.Equal([0, 2], x.ToArray(stream));
        Assert.Throws<ArgumentNullException>(() => stream.Capture(null!));
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void DisposedAndForeignThrow(string deviceId)
    {
        Device device = devices.OpenOwn(deviceId);
        DeviceStream stream = device.CreateStream(), second = device.CreateStream();
        using Device otherDevice = Device.Open("cpu");
        using DeviceStream foreign = otherDevice.CreateStream();
        using DeviceTensor<float> x = device.Allocate<float>(3);
        DeviceGraph disposed = stream.Capture(() => stream.Fill(x, 1f));
        using DeviceGraph graph = stream.Capture(() => stream.Fill(x, 1f));
        disposed.Dispose();
        disposed.Dispose();
        Assert.Throws<ObjectDisposedException>(() => disposed.Launch(stream));
        Assert.Throws<ArgumentException>(() => graph.Launch(foreign));
        Assert.Throws<ArgumentNullException>(() => graph.Launch(null!));
        stream.Dispose();
        Assert.Throws<ObjectDisposedException>(() => graph.Launch(stream));
        Assert.Throws<ObjectDisposedException>(() => stream.Capture(() => { }));
        graph.Launch(second);
        device.Dispose();
        Assert.Throws<ObjectDisposedException>(() => graph.Launch(second));
        second.Dispose();
    }

    /// <summary>Scratch memory of a graph is nobody else's while it lives: a replay finds it at the same address.</summary>
    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void ScratchOfAGraphIsItsOwn(string deviceId)
    {
        using Device device = devices.OpenOwn(deviceId);
        using DeviceStream stream = device.CreateStream();
        using (stream.RentScratch<float>(1000))
        {
            // Lies in the pool of the stream from here on.
        }

        DeviceMemory? own = null, large = null;
        using (DeviceGraph graph = stream.Capture(() =>
        {
            using (ScratchPool.Lease<float> lease = stream.RentScratch<float>(1000)) own = lease.Argument.Memory;
            using (ScratchPool.Lease<float> lease = stream.RentScratch<float>(1000)) Assert.Same(own, lease.Argument.Memory);
            using (ScratchPool.Lease<byte> lease = stream.RentScratch<byte>((64 << 20) + 1)) large = lease.Argument.Memory;
        }))
        {
            using ScratchPool.Lease<float> eager = stream.RentScratch<float>(1000), next = stream.RentScratch<float>(1000);
            Assert.NotSame(own, eager.Argument.Memory);
            Assert.NotSame(own, next.Argument.Memory);
            stream.Synchronize();
            Assert.False(own!.IsDisposed || large!.IsDisposed);
        }

        Assert.True(own.IsDisposed && large.IsDisposed);
    }

    /// <summary>Replays run one after the other, whatever streams they are launched on.</summary>
    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void ReplaysOnTwoStreamsKeepTheirOrder(string deviceId)
    {
        using DeviceStream first = devices.CreateStream(deviceId);
        Device device = first.Device;
        using DeviceStream second = device.CreateStream();
        using DeviceTensor<ulong> key = device.Upload<ulong>([5, 0], 2);
        using DeviceGraph graph = first.Capture(() =>
        {
            for (int i = 0; i < 10; i++) RandomBits.Advance(first, key);
        });
        for (int i = 0; i < 20; i++) graph.Launch(i % 3 == 0 ? first : second);
        first.Synchronize();
        Assert.Equal([5ul, 200], key.ToArray(second));
    }

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void DataErrorsAreReportedUnderReplay(string deviceId)
    {
        using Device device = devices.OpenOwn(deviceId);
        CheckDataErrors(device);
    }

    /// <summary>Preparing compiles and runs nothing; the first call then finds its kernels.</summary>
    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void PreparingCompilesAndRunsNothing(string deviceId)
    {
        using Device device = devices.OpenOwn(deviceId);
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> x = device.Upload<float>([-1, 2, -3], 3);
        device.Prepare(prepared =>
        {
            Relu.Forward(prepared, x, x);
            prepared.Fill(x, 9f);
        });
        (long launches, long compilations) = (device.Counters.Launches, device.Counters.Compilations);
        Assert.Equal(0, launches);
        Assert.Equal([-1, 2, -3], x.ToArray(stream));
        Relu.Forward(stream, x, x);
        Assert.Equal([0, 2, 0], x.ToArray(stream));
        Assert.Equal((1, compilations), (device.Counters.Launches, device.Counters.Compilations));
        Assert.Throws<ArgumentNullException>(() => device.Prepare(null!));
        Assert.Throws<InvalidOperationException>(() => device.Prepare(prepared => prepared.Synchronize()));
    }

    /// <summary>Twenty replays of a training step are twenty steps, and each draws a mask of its own.</summary>
    internal static void CheckTrainingStep<T>(DeviceStream stream)
        where T : unmanaged
    {
        const int Steps = 20;
        using TrainingStep<T> eager = new(stream.Device), graphed = new(stream.Device);
        using DeviceGraph graph = stream.Capture(() => graphed.Run(stream));
        HashSet<string> masks = [];
        float firstLoss = 0;
        for (int step = 0; step < Steps; step++)
        {
            eager.Schedule(stream, step);
            eager.Run(stream);
            graphed.Schedule(stream, step);
            graph.Launch(stream);
            Assert.Equal(eager.State(stream), graphed.State(stream));
            masks.Add(Convert.ToHexString([.. graphed.Dropped(stream).Select(value => (byte)(value == 0 ? 0 : 1))]));
            if (step == 0) firstLoss = graphed.Loss(stream);
        }

        Assert.Equal(Steps, masks.Count);
        Assert.True(graphed.Loss(stream) < firstLoss, $"the loss went from {firstLoss} to {graphed.Loss(stream)}");
    }

    internal static void CheckTransfers(DeviceStream stream)
    {
        Device device = stream.Device;
        using DeviceTensor<double> fromSpan = device.Allocate<double>(2), fromHost = device.Allocate<double>(3),
            copied = device.Allocate<double>(3);
        using DeviceTensor<double> filled = device.Allocate<double>(5);
        using HostBuffer<double> source = device.AllocateHost<double>(3), result = device.AllocateHost<double>(3);
        double[] span = [1.5, 2.5];
        using DeviceGraph graph = stream.Capture(() =>
        {
            stream.Upload(span.AsSpan(), fromSpan);
            stream.Upload(source, fromHost);
            stream.Copy(fromHost, copied);
            stream.Fill(filled, 0.1);
            stream.Download(copied, result);
        });
        // Of a span the values at the capture count, of a host buffer those at the replay.
        span[0] = 99;
        for (int replay = 1; replay <= 3; replay++)
        {
            stream.Fill(fromSpan, -1);
            stream.Fill(filled, -1);
            stream.Synchronize();
            double[] values = [replay, 2 * replay, 3 * replay];
            values.CopyTo(source.Span);
            result.Span.Clear();
            graph.Launch(stream);
            stream.Synchronize();
            Assert.Equal([1.5, 2.5], fromSpan.ToArray(stream));
            Assert.Equal(values, result.Span.ToArray());
            Assert.All(filled.ToArray(stream), value => Assert.Equal(0.1, value));
        }
    }

    internal static void CheckLifetimes(Device device)
    {
        DeviceStream captured = device.CreateStream(), launching = device.CreateStream();
        DeviceTensor<float> x = device.Upload<float>([-1, 2, -3, 4], 4), y = device.Allocate<float>(4),
            gradient = device.Upload<float>([1, 1, 1, 1], 4);
        using DeviceTensor<float> z = device.Allocate<float>(4);
        HostBuffer<float> host = device.AllocateHost<float>(4);
        Sgd<float> sgd = new(device, [new([z], [gradient], new SgdOptions { LearningRate = 0.5 })]);
        new float[] { 5, -6, 7, -8 }.CopyTo(host.Span);
        DeviceGraph graph = captured.Capture(() =>
        {
            Dropout.Forward(captured, x, y, 0, Key);
            Relu.Forward(captured, y, z);
            sgd.Step(captured);
            captured.Upload(host, y);
        });
        foreach (IDisposable disposable in (IDisposable[])[captured, x, y, host, sgd, gradient]) disposable.Dispose();
        Assert.Throws<ObjectDisposedException>(() => Relu.Forward(launching, x, z));
        for (int replay = 0; replay < 3; replay++)
        {
            launching.Fill(z, 0f);
            graph.Launch(launching);
            Assert.Equal([-0.5f, 1.5f, -0.5f, 3.5f], z.ToArray(launching));
        }

        graph.Launch(launching);
        graph.Dispose();
        launching.Dispose();
        z.Dispose();
        Assert.Equal((0, 0), (device.Counters.LiveBytes, device.Counters.LiveBlocks));
    }

    internal static void CheckDataErrors(Device device)
    {
        using DeviceStream first = device.CreateStream(), second = device.CreateStream();
        using DeviceTensor<int> ids = device.Upload<int>([0, 1], 2);
        using DeviceTensor<float> table = device.Upload<float>([1, 2, 3, 4], 2, 2), y = device.Allocate<float>(2, 2);
        // What a stream keeps for uploads is no part of the count.
        foreach (DeviceStream stream in (DeviceStream[])[first, second]) stream.Upload([0, 1], ids);
        second.Synchronize();
        long blocks = device.Counters.LiveBlocks;
        DeviceGraph graph = first.Capture(() => EmbeddingDropout.Infer(first, ids, table, y));
        graph.Launch(first);
        first.Synchronize();

        // Each replay that meets bad data is reported, once, by the stream that it was launched on.
        for (int replay = 0; replay < 4; replay++)
        {
            DeviceStream launching = replay % 2 == 0 ? first : second;
            launching.Upload([0, 5 + replay], ids);
            graph.Launch(launching);
            DeviceDataException error = Assert.Throws<DeviceDataException>(launching.Synchronize);
            Assert.Equal(("EmbeddingDropout.Infer", 1L), (error.Op, error.Index));
            launching.Synchronize();
        }

        // Also when the graph has gone meanwhile.
        graph.Launch(second);
        graph.Dispose();
        Assert.Throws<DeviceDataException>(second.Synchronize);
        second.Synchronize();
        Assert.Equal(blocks, device.Counters.LiveBlocks);
    }

    private static Exception? OnAnotherThread(Action call)
    {
        Exception? thrown = null;
        Thread thread = new(() => thrown = Record.Exception(call));
        thread.Start();
        thread.Join();
        return thrown;
    }
}
