using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Devices;

/// <summary>Sixteen threads on one device, each with its own stream, while the collector runs: results as if one had run alone.</summary>
public sealed class ConcurrencyTests(TestDevices devices)
{
    private const int Threads = 16;
    private const int Rounds = 8;
    private const int Length = 10_007;

    public static TheoryData<string> DeviceIds => TestDevices.Rows;

    [Theory]
    [MemberData(nameof(DeviceIds))]
    public void ThreadsDoNotDisturbEachOther(string deviceId)
    {
        using Device device = devices.OpenOwn(deviceId);
        float[] values = [.. Enumerable.Range(0, Length).Select(i => (float)Math.Sin(i))];
        float[][] expected = [.. Enumerable.Range(0, Threads).Select(thread => Work(device, values, thread, round: 0))];
        using DeviceStream observer = device.CreateStream();

        List<string> failures = [];
        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(number => new Thread(() => Run(number)))];
        foreach (Thread thread in threads) thread.Start();
        while (threads.Any(thread => !thread.Join(millisecondsTimeout: 5))) GC.Collect();
        Assert.Empty(failures);

        GC.Collect();
        GC.WaitForPendingFinalizers();
        observer.Synchronize();
        Assert.InRange(device.Counters.Launches, 4L * Threads * (Rounds + 1), long.MaxValue);

        void Run(int number)
        {
            try
            {
                for (int round = 0; round < Rounds; round++)
                {
                    if (!Work(device, values, number, round).AsSpan().SequenceEqual(expected[number]))
                        lock (failures) failures.Add($"thread {number}, round {round}: other values than alone");
                }
            }
            catch (Exception e)
            {
                lock (failures) failures.Add($"thread {number}: {e}");
            }
        }
    }

    /// <summary>A chain of ops whose result depends on the thread, with tensors some of which are left to the collector.</summary>
    private static float[] Work(Device device, float[] values, int thread, int round)
    {
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> x = device.Upload<float>(values, Length);
        DeviceTensor<float> y = device.Allocate<float>(Length);
        RandomKey key = new((ulong)thread, 7);
        Dropout.Forward(stream, x, y, 0.3, key);
        Relu.Forward(stream, y, y);
        Dropout.Forward(stream, y, x, 0.1, key.Next());
        using DeviceTensor<uint> words = device.Allocate<uint>(64);
        RandomBits.Fill(stream, words, key);
        using DeviceEvent done = stream.Record();
        done.Wait();
        if (round % 2 == 0) y.Dispose();
        return [.. x.ToArray(stream), .. words.ToArray(stream).Select(word => (float)word)];
    }
}
