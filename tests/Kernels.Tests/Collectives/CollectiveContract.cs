using Kernels.Cpu;
using Kernels.Tests.Support;

namespace Kernels.Tests.Collectives;

/// <summary>
/// What every transport does alike; run by each rank of a group, as a thread or as a process. Values are small whole numbers, whose sums
/// are exact in all types, and differ by rank and place.
/// </summary>
internal static class CollectiveContract
{
    /// <summary>None; one; a prime, so that shares differ; whole vectors.</summary>
    private static readonly int[] Lengths = [0, 1, 1009, 2048];

    /// <summary>Calls everything with every type.</summary>
    public static void Run(ICollective collective, Device device)
    {
        using DeviceStream stream = device.CreateStream();
        Sums<float>(collective, stream);
        Sums<Half>(collective, stream);
        Sums<BFloat16>(collective, stream);
        if (device.SupportsFloat64) Sums<double>(collective, stream);
        Moves<float>(collective, stream);
        Moves<Half>(collective, stream);
        Moves<byte>(collective, stream);
        Moves<ulong>(collective, stream);
        collective.Barrier("the end of the contract");
        collective.Synchronize(stream);
    }

    /// <summary>The same bits as on one rank that holds all shards.</summary>
    public static void SumsOfShards<T>(ICollective collective, Device device, int shardCount, int length)
        where T : unmanaged
    {
        using ICollective alone = Kernels.Collectives.CreateInProcess(1)[0];
        Bits.AssertEqual<T>(
            SumOfShards<T>(alone, device, shardCount, length), SumOfShards<T>(collective, device, shardCount, length),
            $"{collective}: {shardCount} shards of {typeof(T).Name}[{length}]");
    }

    private static T[] SumOfShards<T>(ICollective collective, Device device, int shardCount, int length)
        where T : unmanaged
    {
        using DeviceStream stream = device.CreateStream();
        using FixedOrderSum<T> sum = new(collective, device, shardCount, length, "shards");
        for (int part = 0; part < sum.PartCount; part++)
        {
            using DeviceTensor<T> values = device.Upload<T>(Bits.Uniform<T>(length, (ulong)(sum.FirstShard + part)), length);
            stream.Copy(values, sum.Part(part));
        }

        sum.AllReduce(stream);
        collective.Synchronize(stream);
        return sum.Sum.ToArray(stream);
    }

    private static void Sums<T>(ICollective collective, DeviceStream stream)
        where T : unmanaged
    {
        int ranks = collective.RankCount;
        foreach (int length in Lengths)
        {
            T[] expected = [.. Enumerable.Range(0, length).Select(i => Of<T>(Enumerable.Range(0, ranks).Sum(rank => Number(rank, i))))];
            // Off alignment, into another tensor and in place.
            using DeviceBuffer<T> buffer = stream.Device.AllocateBuffer<T>(2 * (length + 1));
            DeviceTensor<T> source = buffer.View(1, length), destination = buffer.View(length + 2, length);
            stream.Upload<T>(Values<T>(collective.Rank, length), source);
            collective.AllReduce(stream, source, destination, "to another");
            Bits.AssertEqual<T>(expected, destination.ToArray(stream), $"{collective}: all-reduce of {length}");
            collective.AllReduce(stream, source, source);
            Bits.AssertEqual<T>(expected, source.ToArray(stream), $"{collective}: all-reduce of {length} in place");

            T[] sums = [.. Enumerable.Range(0, ranks * length)
                .Select(i => Of<T>(Enumerable.Range(0, ranks).Sum(rank => Number(rank, i))))];
            using DeviceTensor<T> whole = stream.Device.Allocate<T>(ranks * length), part = stream.Device.Allocate<T>(length);
            stream.Upload<T>(Values<T>(collective.Rank, ranks * length), whole);
            collective.ReduceScatter(stream, whole, part);
            T[] own = sums[(collective.Rank * length)..((collective.Rank + 1) * length)];
            Bits.AssertEqual<T>(own, part.ToArray(stream), $"{collective}: reduce-scatter of {length}");
            DeviceTensor<T> inPlace = whole.Slice(collective.Rank * length, length);
            collective.ReduceScatter(stream, whole, inPlace);
            Bits.AssertEqual<T>(own, inPlace.ToArray(stream), $"{collective}: reduce-scatter of {length} in place");
        }
    }

    private static void Moves<T>(ICollective collective, DeviceStream stream)
        where T : unmanaged
    {
        int ranks = collective.RankCount, own = collective.Rank;
        foreach (int length in Lengths)
        {
            using DeviceTensor<T> part = stream.Device.Allocate<T>(length);
            using DeviceTensor<T> whole = stream.Device.Allocate<T>(ranks, length), other = stream.Device.Allocate<T>(ranks, length);
            stream.Upload<T>(Values<T>(own, length), part);
            T[] gathered = [.. Enumerable.Range(0, ranks).SelectMany(rank => Values<T>(rank, length))];
            collective.AllGather(stream, part, whole);
            Bits.AssertEqual<T>(gathered, whole.ToArray(stream), $"{collective}: all-gather of {length}");
            stream.Fill(other, Of<T>(0));
            stream.Copy(part, other.Slice(own, 1));
            collective.AllGather(stream, other.Slice(own, 1), other);
            Bits.AssertEqual<T>(gathered, other.ToArray(stream), $"{collective}: all-gather of {length} in place");

            stream.Upload<T>(Values<T>(own, ranks * length), whole);
            collective.AllToAll(stream, whole, other);
            T[] dealt = [.. Enumerable.Range(0, ranks)
                .SelectMany(rank => Values<T>(rank, ranks * length)[(own * length)..((own + 1) * length)])];
            Bits.AssertEqual<T>(dealt, other.ToArray(stream), $"{collective}: all-to-all of {length}");

            for (int root = 0; root < ranks; root++)
            {
                stream.Upload<T>(Values<T>(own, length), part);
                collective.Broadcast(stream, part, root);
                Bits.AssertEqual<T>(Values<T>(root, length), part.ToArray(stream), $"{collective}: broadcast of {length} from {root}");
            }
        }
    }

    private static T[] Values<T>(int rank, int length)
        where T : unmanaged => [.. Enumerable.Range(0, length).Select(i => Of<T>(Number(rank, i)))];

    private static int Number(int rank, int i) => ((i * 7) + (rank * 5)) % 23;

    private static T Of<T>(int number)
        where T : unmanaged
    {
        if (typeof(T) == typeof(byte)) return (T)(object)(byte)number;
        if (typeof(T) == typeof(ulong)) return (T)(object)(ulong)number;
        return CpuElement.FromDouble<T>(number);
    }
}
