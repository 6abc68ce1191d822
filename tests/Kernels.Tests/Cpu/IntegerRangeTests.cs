using Kernels.Devices.Cpu;
using Xunit;

namespace Kernels.Tests.Cpu;

/// <summary>
/// The ends of the integers' ranges: calls that would count past them are refused before anything is read, and loops reach them.
/// </summary>
public sealed class IntegerRangeTests
{
    /// <summary>An address that no process may read: a call that is not refused ends the process.</summary>
    private const nint NoMemory = 8;

    /// <summary>What no tensor of zero elements can stand for in the cases: as many elements as the call would count.</summary>
    [Fact]
    public void MoreElementsThanCanBeCounted_AreRefusedUnread()
    {
        RandomKey key = new(1, 2);
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<int> one = device.Allocate<int>(1);
        using DeviceTensor<float> table = device.Allocate<float>(4, 0);
        using DeviceBuffer<int> many = device.WrapBuffer<int>(NoMemory, 1L << 31);
        DeviceTensor<int> indices = many.View(0, many.Length);
        using DeviceTensor<float> nothing = device.Allocate<float>(many.Length, 0);
        foreach (Action call in (Action[])
        [
            () => KeptRows.List(stream, indices, one, 0.5, key),
            () => EmbeddingDropout.Forward(stream, indices, table, nothing, 0.5, key),
            () => EmbeddingDropout.Backward(stream, indices, nothing, table, 0.5, key),
        ])
        {
            ArgumentException thrown = Assert.Throws<ArgumentException>(call);
            Assert.Contains("2147483648", thrown.Message, StringComparison.Ordinal);
        }

        Assert.Equal(0, device.Counters.Launches);
    }

    /// <summary>Rows of a softmax on any number of rows: what is refused is the row.</summary>
    [Fact]
    public void RowsThatFloatCannotCount_AreRefusedUnread()
    {
        const long Classes = (1L << 31) - 1;
        using Device device = Device.Open("cpu");
        using DeviceStream stream = device.CreateStream();
        using DeviceTensor<float> losses = device.Allocate<float>(1);
        using DeviceTensor<int> labels = device.Allocate<int>(1);
        using DeviceBuffer<Half> buffer = device.WrapBuffer<Half>(NoMemory, Classes);
        DeviceTensor<Half> logits = buffer.View(0, 1, Classes);
        ArgumentException thrown = Assert.Throws<ArgumentException>(() => CrossEntropy.Forward(stream, logits, labels, null, losses, null));
        Assert.Contains("2147483647", thrown.Message, StringComparison.Ordinal);
        Assert.Equal(0, device.Counters.Launches);
    }

    /// <summary>The pieces of a loop follow one another without a gap up to the last long.</summary>
    [Fact]
    public void Pieces_ReachTheEndOfTheRange()
    {
        const long Chunk = long.MaxValue / 3;
        List<(long First, long End)> pieces = [];
        CpuParallel.ForRange(long.MaxValue, Chunk, (first, end) =>
        {
            lock (pieces) pieces.Add((first, end));
        });
        pieces.Sort();
        Assert.Equal([0, Chunk, 2 * Chunk, 3 * Chunk], pieces.Select(piece => piece.First));
        Assert.Equal([Chunk, 2 * Chunk, 3 * Chunk, long.MaxValue], pieces.Select(piece => piece.End));
    }
}
