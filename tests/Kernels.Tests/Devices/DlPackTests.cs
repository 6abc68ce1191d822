using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kernels.Devices;
using Xunit;

namespace Kernels.Tests.Devices;

/// <summary>Tensors to and from other libraries, by structs that this test fills as such a library would.</summary>
public sealed unsafe class DlPackTests : IDisposable
{
    private static int _deletions;

    private readonly Device _device = Device.Open("cpu");
    private readonly DeviceStream _stream;

    public DlPackTests() => _stream = _device.CreateStream();

    public void Dispose()
    {
        _stream.Dispose();
        _device.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void TensorsGoRoundWithoutACopy(bool versioned)
    {
        DeviceTensor<float> whole = _device.Upload<float>([1, 2, 3, 4, 5, 6, 7, 8], 4, 2);
        nint lent = DlPack.Export(whole.Slice(1, 2), versioned);
        whole.Dispose(); // the memory stays until the deleter was called
        using (DeviceTensor<float> back = DlPack.Import<float>(_device, lent, versioned))
        {
            Assert.Equal([2, 2], back.Shape.ToArray());
            Assert.Equal([3, 4, 5, 6], back.ToArray(_stream));
            Relu.Forward(_stream, back, back);
        }

        Assert.Equal(0, _device.Counters.LiveBlocks);
    }

    /// <summary>Offsets in bytes, strides that say what is dense, dimensions of 1 with strides that mean nothing, and no deleter.</summary>
    [Fact]
    public void OffsetsAndStridesAreThoseOfTheStruct()
    {
        float[] values = [0, 1, 2, 3, 4, 5, 6, 7];
        fixed (float* data = values)
        {
            long* shape = stackalloc long[] { 2, 1, 3 }, strides = stackalloc long[] { 3, 77, 1 };
            DlManagedTensor lent = new() { Tensor = TensorOf(data, 3, shape, strides) };
            lent.Tensor.ByteOffset = 8;
            using DeviceTensor<float> tensor = DlPack.Import<float>(_device, (nint)(&lent), versioned: false);
            Assert.Equal([2, 3, 4, 5, 6, 7], tensor.ToArray(_stream));
        }
    }

    [Fact]
    public void DeletersRunOnceAndAfterTheLastUse()
    {
        float[] values = [1, 2];
        fixed (float* data = values)
        {
            long* shape = stackalloc long[] { 2 };
            DlManagedTensorVersioned lent = new() { Major = 1, Minor = 3, Deleter = &Delete, Tensor = TensorOf(data, 1, shape, null) };
            int before = Volatile.Read(ref _deletions);
            DeviceTensor<float> tensor = DlPack.Import<float>(_device, (nint)(&lent), versioned: true);
            DeviceGraph graph = _stream.Capture(() => Relu.Forward(_stream, tensor, tensor));
            tensor.Dispose();
            tensor.Dispose();
            Assert.Equal(before, Volatile.Read(ref _deletions)); // the graph has it
            graph.Launch(_stream);
            graph.Dispose();
            Assert.Equal(before + 1, Volatile.Read(ref _deletions));
        }
    }

    /// <summary>What is refused is named, and stays the caller's.</summary>
    [Fact]
    public void OthersAreRefused()
    {
        float[] values = new float[16];
        int before = Volatile.Read(ref _deletions);
        fixed (float* data = values)
        {
            long* shape = stackalloc long[] { 2, 3 }, strides = stackalloc long[] { 1, 2 };
            DlTensor good = TensorOf(data, 2, shape, null);
            Refused<ArgumentException>("strides [1, 2]", good with { Strides = strides });
            Refused<ArgumentException>("of type 2", good with { Device = new DlDevice { Type = 2 } });
            Refused<ArgumentException>("4 bits", good with { Type = new DlDataType { Code = 2, Bits = 4, Lanes = 1 } });
            Refused<ArgumentException>("2 lanes", good with { Type = new DlDataType { Code = 2, Bits = 32, Lanes = 2 } });
            Refused<ArgumentException>("f64, not f32", good with { Type = new DlDataType { Code = 2, Bits = 64, Lanes = 1 } });
            Refused<ArgumentException>("no data", good with { Data = null });
            Refused<ArgumentException>("after 6 bytes", good with { ByteOffset = 6 });
            Refused<ArgumentException>("read-only", good, flags: 1);
            Refused<NotSupportedException>("version 2.0", good, major: 2);
            Assert.Throws<ArgumentNullException>(() => DlPack.Import<float>(_device, 0, versioned: true));
        }

        Assert.Equal(before, Volatile.Read(ref _deletions));
    }

    private static DlTensor TensorOf(float* data, int rank, long* shape, long* strides) => new()
    {
        Data = data,
        Device = new DlDevice { Type = 1 },
        Rank = rank,
        Type = new DlDataType { Code = 2, Bits = 32, Lanes = 1 },
        Shape = shape,
        Strides = strides,
    };

    private void Refused<TException>(string words, DlTensor tensor, ulong flags = 0, uint major = 1)
        where TException : Exception
    {
        DlManagedTensorVersioned lent = new() { Major = major, Deleter = &Delete, Flags = flags, Tensor = tensor };
        nint managed = (nint)(&lent);
        Assert.Contains(words, Assert.ThrowsAny<TException>(() => DlPack.Import<float>(_device, managed, versioned: true)).Message);
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void Delete(DlManagedTensorVersioned* managed) => Interlocked.Increment(ref _deletions);
}
