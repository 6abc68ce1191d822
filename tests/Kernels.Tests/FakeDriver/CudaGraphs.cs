using Kernels.Tests.Devices;
using Xunit;

namespace Kernels.Tests.FakeDriver;

/// <summary>Graphs of the driver: what the theories demand of every device, on the stand-in, and which calls are made.</summary>
public sealed class CudaGraphs : CudaScenario
{
    [Fact(Explicit = true)]
    public void TrainingStepsAndTransfersReplay()
    {
        using (Device device = Device.Open("cuda:0"))
        using (DeviceStream stream = device.CreateStream())
        {
            GraphTests.CheckTrainingStep<float>(stream);
            GraphTests.CheckTransfers(stream);
        }

        using (Device device = Device.Open("cuda:0")) GraphTests.CheckLifetimes(device);
        using (Device device = Device.Open("cuda:0")) GraphTests.CheckDataErrors(device);
        AssertClean();
    }

    /// <summary>Also on the legacy default stream, which the driver itself cannot capture.</summary>
    [Fact(Explicit = true)]
    public void AReplayIsOneCall()
    {
        using (Device device = Device.Open("cuda:0"))
        using (DeviceStream stream = device.WrapStream(0))
        using (TrainingStep<float> training = new(device))
        using (DeviceGraph graph = stream.Capture(() => training.Run(stream)))
        {
            (long before, long waits, long launches) = (FakeCuda.Calls(), FakeCuda.Waits, device.Counters.Launches);
            graph.Launch(stream);
            Assert.Equal(launches + graph.KernelCount, device.Counters.Launches);
            Assert.Equal(waits, FakeCuda.Waits);
            // The event is for the look at labels out of range.
            Assert.Equal(["cuGraphLaunch", "cuEventCreate", "cuEventRecord"],
                FakeCuda.Log(before).Where(call => !call.StartsWith("cuCtx", StringComparison.Ordinal)));
            stream.Synchronize();
        }

        AssertClean();
    }

    /// <summary>
    /// A capture is the business of its thread: what others allocate, compile and free meanwhile is allowed. What waits for the whole
    /// context, as cuBLAS does when a handle of it goes, would end the captures of all threads.
    /// </summary>
    [Fact(Explicit = true)]
    public void CapturesOnManyThreadsAtOnce()
    {
        const int Rounds = 20;
        FakeCuda.SetLatency(1);
        using (Device device = Device.Open("cuda:0"))
        {
            Exception?[] failures = new Exception?[8];
            Thread[] threads = [.. Enumerable.Range(0, failures.Length)
                .Select(index => new Thread(() => failures[index] = Record.Exception(() =>
            {
                using DeviceStream stream = device.CreateStream();
                for (int round = 0; round < Rounds; round++)
                {
                    Step($"thread {index}, round {round}");
                    using DeviceTensor<ulong> key = device.Upload<ulong>([1, 0], 2);
                    using DeviceTensor<float> x = device.Upload<float>([1, 2, 3, 4], 2, 2), y = device.Allocate<float>(2, 2);
                    using DeviceGraph graph = stream.Capture(() =>
                    {
                        RandomBits.Advance(stream, key);
                        MatMul.Multiply(stream, x, x, y);
                    });
                    for (int i = 0; i < 3; i++) graph.Launch(stream);
                    Assert.Equal([1ul, 3], key.ToArray(stream));
                    Assert.Equal([7, 10, 15, 22], y.ToArray(stream));
                }
            })))];
            foreach (Thread thread in threads) thread.Start();
            foreach (Thread thread in threads) thread.Join();
            Assert.All(failures, Assert.Null);
        }

        FakeCuda.SetLatency(0);
        AssertClean();
    }
}
