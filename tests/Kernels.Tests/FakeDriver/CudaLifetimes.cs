using System.Runtime.CompilerServices;
using Kernels.Interop;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>
/// Everything made is given back, once, however it comes to its end: disposed, forgotten, failed, or raced for by many threads.
/// </summary>
public sealed unsafe class CudaLifetimes : CudaScenario
{
    private const int Threads = 32;

    private static readonly RandomKey Key = new(2026, 1);

    [Fact(Explicit = true)]
    public void AMillionLaunchesLeaveNothing()
    {
        const int Launches = 1_000_000;
        FakeCuda.OnLaunch(null);
        using (Device device = Device.Open("cuda:0"))
        using (DeviceStream stream = device.CreateStream())
        {
            using DeviceTensor<float> x = device.Allocate<float>(64), y = device.Allocate<float>(64), loss = device.Allocate<float>(8);
            using DeviceTensor<int> labels = device.Allocate<int>(8);
            using DeviceTensor<float> logits = x.Reshape(8, 8);
            using Sgd<float> sgd = new(device, [new([x], [y], new SgdOptions { LearningRate = 0.1 })]);
            Launch(1000);
            string alive = FakeCuda.AllLive();
            long blocks = device.Counters.LiveBlocks, bytes = device.Counters.LiveBytes,
                managed = GC.GetTotalMemory(forceFullCollection: true);
            Launch(Launches);
            // Some ops take more than one.
            Assert.True(device.Counters.Launches >= 1000 + Launches, $"{device.Counters.Launches} launches");
            Assert.Equal(device.Counters.Launches, FakeCuda.Calls("cuLaunchKernel"));
            Assert.Equal((alive, blocks, bytes), (FakeCuda.AllLive(), device.Counters.LiveBlocks, device.Counters.LiveBytes));
            long drift = GC.GetTotalMemory(forceFullCollection: true) - managed;
            Assert.True(drift < 1 << 20, $"{drift} bytes of managed memory more after {Launches} launches");
            Report($"{Launches} launches, {drift} bytes of managed drift");

            void Launch(int count)
            {
                for (int i = 0; i < count; i++)
                {
                    if (i % 10_000 == 0) Step($"launch {i}");
                    switch (i % 4)
                    {
                        case 0: Dropout.Forward(stream, x, y, 0.5, Key); break;
                        case 1: Relu.Backward(stream, x, y, y); break;
                        case 2: CrossEntropy.Forward(stream, logits, labels, null, loss, null); break;
                        default: sgd.Step(stream); break;
                    }
                }
            }
        }

        AssertClean();
    }

    [Fact(Explicit = true)]
    public void AHundredThousandLivesEnd()
    {
        const int Cycles = 100_000;
        using (Device device = Device.Open("cuda:0"))
        using (DeviceStream stream = device.CreateStream())
        {
            // The device keeps what belongs to a wrapped queue.
            device.WrapStream(stream.NativeHandle).Dispose();
            string alive = FakeCuda.AllLive();
            for (int i = 0; i < Cycles; i++)
            {
                if (i % 1000 == 0) Step($"cycle {i}");
                switch (i % 8)
                {
                    case 0: device.CreateStream().Dispose(); break;
                    case 1: stream.Record().Dispose(); break;
                    case 2: device.AllocateHost<float>(100).Dispose(); break;
                    case 3: device.WrapStream(stream.NativeHandle).Dispose(); break;
                    case 4: FailToAllocate(device); break;
                    case 5: Forget(device, stream); break;
                    case 6 when i % 800 == 6: Device.Open("cuda:0").Dispose(); break;
                    default: device.Allocate<float>(i % 1000).Dispose(); break;
                }
            }

            Collect();
            stream.Synchronize();
            Assert.Equal(alive, FakeCuda.AllLive());
            AssertCounters(device);
        }

        AssertClean();
        Report($"{Cycles} cycles, {FakeCuda.Calls()} calls of the driver");
    }

    /// <summary>Without any Dispose: what is forgotten is found by the collector, and released by the next calls on the device.</summary>
    [Fact(Explicit = true)]
    public void ForgottenObjectsAreCollected()
    {
        using (Device device = Device.Open("cuda:0"))
        using (DeviceStream stream = device.CreateStream())
        {
            for (int i = 0; i < 1000; i++) Forget(device, stream);
            long calls = FakeCuda.Calls();
            Collect();
            // Finalizers leave the handles in a queue and call nobody.
            Assert.Equal(calls, FakeCuda.Calls());
            stream.Synchronize();
            AssertCounters(device);
            Assert.Equal("1 Context, 1 Stream", FakeCuda.AllLive());
        }

        AssertClean();
    }

    /// <summary>Even the device: with nobody left to call it, its context and all that was made in it go.</summary>
    [Fact(Explicit = true)]
    public void ForgottenDevicesAreCollected()
    {
        for (int i = 0; i < 20; i++) ForgetDevice();
        for (int i = 0; i < 20; i++) ForgetStreamOfDisposedDevice();
        Eventually(
            () =>
            {
                Collect();
                return FakeCuda.AllLive().Length == 0;
            },
            $"left alive: {FakeCuda.AllLive()}");
        AssertClean();
    }

    [Fact(Explicit = true)]
    public void MemoryThatRunsOutComesBack()
    {
        const long Memory = 64 << 20;
        FakeCuda.Configure(memoryBytes: (ulong)Memory);
        using (Device device = Device.Open("cuda:0"))
        using (DeviceStream stream = device.CreateStream())
        {
            List<DeviceTensor<byte>> all = [];
            OutOfDeviceMemoryException error =
                Assert.Throws<OutOfDeviceMemoryException>(() => Forever(() => all.Add(device.Allocate<byte>(1 << 20))));
            Assert.Equal(Memory >> 20, all.Count);
            Assert.Equal(1 << 20, error.RequestedBytes);
            Assert.Equal("OutOfMemory (2)", error.Status);
            Assert.Throws<OutOfDeviceMemoryException>(() => stream.RentScratch<float>(1000));
            all[0].Dispose();
            using (DeviceTensor<float> x = device.Upload<float>([-1, 1], 2))
            {
                Relu.Forward(stream, x, x);
                Assert.Equal([0, 1], x.ToArray(stream));
            }

            all.ForEach(tensor => tensor.Dispose());
            AssertCounters(device);
        }

        FakeCuda.Configure();
        AssertClean();
    }

    /// <summary>
    /// Threads with streams of their own on one device under steady collections; every result is that of one thread alone.
    /// </summary>
    [Fact(Explicit = true)]
    public void ManyThreadsUnderCollection()
    {
        TimeSpan duration = TimeSpan.FromSeconds(5);
        long rounds = 0;
        using (Device device = Device.Open("cuda:0"))
        {
            byte[] expected = Work(device, leak: false);
            long end = Environment.TickCount64 + (long)duration.TotalMilliseconds;
            using CancellationTokenSource done = new();
            Thread collector = new(() =>
            {
                while (!done.IsCancellationRequested)
                {
                    GC.Collect();
                    GC.WaitForPendingFinalizers();
                    Step($"round {Interlocked.Read(ref rounds)}");
                }
            });
            collector.Start();
            RunThreads(_ =>
            {
                while (Environment.TickCount64 < end)
                {
                    bool leak = Interlocked.Increment(ref rounds) % 5 == 0;
                    Assert.Equal(expected, Work(device, leak));
                }
            });
            done.Cancel();
            collector.Join();
            Collect();
            using (DeviceStream stream = device.CreateStream()) stream.Synchronize();
            AssertCounters(device);
        }

        AssertClean();
        Report($"{rounds} rounds on {Threads} threads in {duration.TotalSeconds} s, {GC.CollectionCount(2)} collections");
    }

    /// <summary>
    /// One thread disposes what others use: a call works or says that the object was disposed; the driver sees no dead handle.
    /// </summary>
    [Fact(Explicit = true)]
    public void DisposingUnderUse()
    {
        const int Rounds = 75;
        FakeCuda.OnLaunch(null);
        FakeCuda.SetLatency(1);
        int refused = 0;
        for (int round = 0; round < Rounds; round++)
        {
            Step($"round {round}");
            Device device = Device.Open("cuda:0");
            DeviceStream stream = device.CreateStream(), second = device.CreateStream();
            DeviceTensor<float> x = device.Allocate<float>(64), y = device.Allocate<float>(64);
            HostBuffer<float> host = device.AllocateHost<float>(64);
            DeviceEvent recorded = stream.Record();
            IDisposable[] order = [stream, second, x, y, host, recorded, device];
            new Random(round).Shuffle(order);
            Action[] users =
            [
                () => Dropout.Forward(stream, x, y, 0.5, Key),
                () => stream.Copy(x, y),
                () => stream.Fill(x, 3.5f),
                () => second.WaitFor(recorded),
                () => recorded.Wait(),
                () => second.Record().Dispose(),
                () => second.Download(x, host),
                () => _ = recorded.IsCompleted,
                () => second.Synchronize(),
                () => device.Allocate<float>(3).Dispose(),
                () => device.CreateStream().Dispose(),
                () => MatMul.Multiply(second, x.Reshape(8, 8), x.Reshape(8, 8), y.Reshape(8, 8)),
            ];
            using Barrier start = new(users.Length + 1);
            Thread[] threads = [.. users.Select(use => new Thread(() =>
            {
                start.SignalAndWait(TestContext.Current.CancellationToken);
                try
                {
                    Forever(use);
                }
                catch (ObjectDisposedException)
                {
                    Interlocked.Increment(ref refused);
                }
            }))];
            foreach (Thread thread in threads) thread.Start();
            start.SignalAndWait(TestContext.Current.CancellationToken);
            foreach (IDisposable disposable in order) disposable.Dispose();
            foreach (Thread thread in threads) thread.Join();
            Eventually(
                () =>
                {
                    // A kernel compiled while the device went is found by the collector.
                    if (FakeCuda.AllLive().Length != 0) Collect();
                    return FakeCuda.AllLive().Length == 0;
                },
                $"round {round}: left alive: {FakeCuda.AllLive()}");
            AssertCounters(device);
        }

        FakeCuda.SetLatency(0);
        AssertClean();
        Report($"{Rounds} rounds, {refused} threads ended by ObjectDisposedException");
    }

    /// <summary>A context lost under many threads: all of them are told the same first cause, and nobody waits for ever.</summary>
    [Fact(Explicit = true)]
    public void AllThreadsAreToldTheFirstCause()
    {
        const int Rounds = 100;
        (string Function, int Calls)[] places =
        [
            ("cuCtxPushCurrent_v2", 1000), ("cuCtxPopCurrent_v2", 1000), ("cuLaunchKernel", 1000), ("cuStreamCreate", Threads),
            ("cuModuleLoadDataEx", 1),
        ];
        FakeCuda.OnLaunch(null);
        for (int round = 0; round < Rounds; round++)
        {
            Random random = new(round);
            (string function, int calls) = places[round % places.Length];
            Step($"round {round}: {function}");
            FakeCuda.Reset();
            DeviceException[] errors = new DeviceException[Threads];
            using (Device device = Device.Open("cuda:0"))
            {
                using DeviceTensor<float> x = device.Allocate<float>(8);
                FakeCuda.Fail((ulong)random.Next(1, calls + 1), CudaStatus.IllegalAddress, sticky: true, function);
                RunThreads(index => errors[index] = Assert.ThrowsAny<DeviceException>(() =>
                {
                    using DeviceStream stream = device.CreateStream();
                    Forever(() => Relu.Forward(stream, x, x));
                }));
                DeviceException after = Assert.ThrowsAny<DeviceException>(() => device.CreateStream());
                DeviceException cause = (DeviceException)after.InnerException!;
                Assert.All(errors, error => Assert.True(error == cause || error.InnerException == cause, error.Message));
            }

            Assert.Empty(FakeCuda.Violations);
        }

        Report($"{Rounds} rounds of {Threads} threads");
    }

    /// <summary>Until it throws.</summary>
    private static void Forever(Action action)
    {
        while (true) action();
    }

    private static void RunThreads(Action<int> body)
    {
        Exception? failure = null;
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(index => new Thread(() =>
        {
            try
            {
                body(index);
                Assert.Equal(0, FakeCuda.ContextDepth);
            }
            catch (Exception e)
            {
                Interlocked.CompareExchange(ref failure, e, null);
            }
        }))];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        if (failure is not null) throw new InvalidOperationException("a thread failed", failure);
    }

    /// <summary>
    /// Some of everything; the result depends on nothing but the work itself. With leaks, all objects are left to the collector.
    /// </summary>
    private static byte[] Work(Device device, bool leak)
    {
        float[] values = [.. Enumerable.Range(0, 256).Select(i => (i % 17) - 8f)];
        DeviceStream stream = device.CreateStream();
        DeviceTensor<float> x = device.Upload<float>(values, 16, 16), y = device.Allocate<float>(16, 16),
            z = device.Allocate<float>(16, 16);
        Dropout.Forward(stream, x, y, 0.3, Key);
        Relu.Forward(stream, y, y);
        MatMul.Multiply(stream, x, y, z, new() { TransposeA = true });
        DeviceEvent done = stream.Record();
        done.Wait();
        byte[] result = [.. z.ToArray(stream).SelectMany(BitConverter.GetBytes)];
        if (leak) return result;
        foreach (IDisposable disposable in (IDisposable[])[done, z, y, x, stream]) disposable.Dispose();
        return result;
    }

    private static void FailToAllocate(Device device)
    {
        FakeCuda.Fail(1, CudaStatus.OutOfMemory, sticky: false, "cuMemAlloc_v2");
        Assert.Throws<OutOfDeviceMemoryException>(() => device.Allocate<float>(10));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Forget(Device device, DeviceStream stream)
    {
        _ = device.Allocate<float>(10);
        _ = device.AllocateHost<float>(10);
        _ = stream.Record();
        DeviceStream forgotten = device.CreateStream();
        using DeviceTensor<float> x = device.Allocate<float>(2, 2), y = device.Allocate<float>(2, 2);
        MatMul.Multiply(forgotten, x, x, y);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ForgetDevice()
    {
        Device device = Device.Open("cuda:0");
        Forget(device, device.CreateStream());
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ForgetStreamOfDisposedDevice()
    {
        using Device device = Device.Open("cuda:0");
        Forget(device, device.CreateStream());
    }
}
