using System.Runtime.InteropServices;
using Kernels.Native;
using Xunit;

namespace Kernels.Tests.Native;

/// <summary>
/// The exports as the assembly has them, called through their addresses: what C calls, without the compiler ahead of time.
/// </summary>
public sealed unsafe class ExportTests : IDisposable
{
    private readonly Device _device = Device.Open("cpu");
    private readonly DeviceStream _stream;
    private readonly List<nint> _memory = [];
    private readonly CDevice _lent;
    private readonly CStream _queue;

    public ExportTests()
    {
        _stream = _device.CreateStream();
        CDevice device;
        CStream queue;
        fixed (byte* id = "cpu\0"u8) Succeeds(((delegate* unmanaged<byte*, CDevice*, Status>)&DeviceExports.Open)(id, &device));
        Succeeds(((delegate* unmanaged<CDevice, CStream*, Status>)&StreamExports.Create)(device, &queue));
        (_lent, _queue) = (device, queue);
    }

    public void Dispose()
    {
        Succeeds(((delegate* unmanaged<CStream, Status>)&StreamExports.Free)(_queue));
        Succeeds(((delegate* unmanaged<CDevice, Status>)&DeviceExports.Free)(_lent));
        foreach (nint block in _memory) NativeMemory.AlignedFree((void*)block);
        _stream.Dispose();
        _device.Dispose();
    }

    /// <summary>Options, keys and data types arrive: the bits are those of the managed call.</summary>
    [Fact]
    public void DropoutIsTheManagedOne()
    {
        Half[] values = [.. Enumerable.Range(0, 1000).Select(i => (Half)(i / 8.0))];
        CTensor x = Lend(values, 10, 100), y = Lend(new Half[1000], 10, 100);
        CKey key = new() { Seed = 3, Offset = 9 };
        CDropoutOptions options = new() { Size = (nuint)sizeof(CDropoutOptions), Scaling = DropoutScaling.Original, GlobalStart = 123 };
        Succeeds(((delegate* unmanaged<CStream, CTensor*, CTensor*, double, CKey*, CDropoutOptions*, Status>)&DropoutExports.Forward)(
            _queue, &x, &y, 0.4, &key, &options));

        using DeviceTensor<Half> input = _device.Upload<Half>(values, 10, 100), output = _device.Allocate<Half>(10, 100);
        Dropout.Forward(
            _stream, input, output, 0.4, new RandomKey(3, 9), new DropoutOptions { Scaling = DropoutScaling.Original, GlobalStart = 123 });
        Assert.Equal(output.ToArray(_stream), Values<Half>(y));
    }

    /// <summary>Overloads are chosen by types, optional tensors left out, targets made of their parts, nullable options given.</summary>
    [Fact]
    public void CrossEntropyIsTheManagedOne()
    {
        BFloat16[] values = [.. Enumerable.Range(0, 60).Select(i => (BFloat16)(float)Math.Sin(i))];
        int[] labels = [0, 4, 2, 9, 1, 3], others = [1, 1, 2, 0, 9, 8];
        float[] shares = [1, 0.5f, 0.25f, 0.75f, 0.1f, 0.9f];
        CTensor logits = Lend(values, 6, 10), first = Lend(labels, 6), second = Lend(others, 6), share = Lend(shares, 6);
        CTensor losses = Lend(new float[6], 6), gradient = Lend(new BFloat16[60], 6, 10);
        CCrossEntropyTargets targets = new() { Labels = &first, OtherLabels = &second, Shares = &share };
        CCrossEntropyOptions options = new()
        {
            Size = (nuint)sizeof(CCrossEntropyOptions),
            Smoothing = 0.1,
            HasIgnoreIndex = true,
            IgnoreIndex = 9,
            HasEntropyThreshold = true,
            EntropyThreshold = 2,
            ConfidencePenalty = 0.5,
        };
        Succeeds(((delegate* unmanaged<CStream, CTensor*, CCrossEntropyTargets*, CTensor*, CTensor*, CTensor*, CTensor*, CTensor*, double,
            CCrossEntropyOptions*, Status>)&CrossEntropyExports.ForwardBackward)(
            _queue, &logits, &targets, null, null, &losses, &gradient, null, 2, &options));

        using DeviceTensor<BFloat16> x = _device.Upload<BFloat16>(values, 6, 10), dx = _device.Allocate<BFloat16>(6, 10);
        using DeviceTensor<int> a = _device.Upload<int>(labels, 6), b = _device.Upload<int>(others, 6);
        using DeviceTensor<float> lambda = _device.Upload<float>(shares, 6), loss = _device.Allocate<float>(6);
        CrossEntropy.ForwardBackward(
            _stream, x, CrossEntropyTargets.Mixed(a, b, lambda), null, null, loss, dx, null, 2,
            new CrossEntropyOptions { Smoothing = 0.1, IgnoreIndex = 9, EntropyThreshold = 2, ConfidencePenalty = 0.5 });
        Assert.Equal(loss.ToArray(_stream), Values<float>(losses));
        Assert.Equal(dx.ToArray(_stream), Values<BFloat16>(gradient));
    }

    /// <summary>A policy that contains another, lists of numbers, images of bytes into floats.</summary>
    [Fact]
    public void AugmentIsTheManagedOne()
    {
        byte[] values = [.. Enumerable.Range(0, 2 * 3 * 8 * 8).Select(i => (byte)(37 * i))];
        double[] means = [0.5, 0.4, 0.3];
        CTensor x = Lend(values, 2, 3, 8, 8), y = Lend(new float[values.Length], 2, 3, 8, 8);
        CKey key = new() { Seed = 5, Offset = 1 };
        CAutoAugmentPolicy automatic = new()
        {
            Size = (nuint)sizeof(CAutoAugmentPolicy),
            Ops = 2,
            Bins = 31,
            Space = AugmentSpace.TrivialAugmentWide,
        };
        CAugmentPolicy policy = new()
        {
            Size = (nuint)sizeof(CAugmentPolicy),
            Area = One(),
            Aspect = One(),
            Scale = One(),
            Brightness = One(),
            Contrast = One(),
            Saturation = One(),
            PosterizeBits = 4,
            SharpnessFactor = One(),
            HorizontalFlip = 0.5,
            Rotation = new CAugmentRange { Low = -30, High = 30 },
            Automatic = &automatic,
        };
        fixed (double* mean = means)
        {
            CAugmentOptions options = new() { Size = (nuint)sizeof(CAugmentOptions), Mean = mean, MeanCount = 3, FirstSample = 11 };
            Succeeds(((delegate* unmanaged<CStream, CTensor*, CTensor*, CTensor*, CAugmentPolicy*, CKey*, CAugmentOptions*, Status>)
                &AugmentExports.Forward)(_queue, &x, null, &y, &policy, &key, &options));
        }

        using DeviceTensor<byte> input = _device.Upload<byte>(values, 2, 3, 8, 8);
        using DeviceTensor<float> output = _device.Allocate<float>(2, 3, 8, 8);
        AugmentPolicy managed = new()
        {
            HorizontalFlip = 0.5,
            Rotation = (-30, 30),
            Automatic = new AutoAugmentPolicy(2, null, 31, AugmentSpace.TrivialAugmentWide),
            Area = 1,
            Aspect = 1,
            SharpnessFactor = 1,
        };
        Augment.Forward(
            _stream, input, null, output, managed, new RandomKey(5, 1), new AugmentOptions { Mean = means, FirstSample = 11 });
        Assert.Equal(output.ToArray(_stream), Values<float>(y));

        static CAugmentRange One() => new() { Low = 1, High = 1 };
    }

    /// <summary>Overloads that differ in a tensor are one function in which it may be missing.</summary>
    [Fact]
    public void PoolOfMixupMayBeMissing()
    {
        float[] values = [1, 2, 3, 4], pool = [10, 20, 30, 40], shares = [0.5f, 0.5f];
        int[] partners = [0, 1, 1, 0]; // for each row: which row of x, which row of the pool
        CTensor x = Lend(values, 2, 2), other = Lend(pool, 2, 2), pairs = Lend(partners, 2, 2), share = Lend(shares, 2);
        CTensor y = Lend(new float[4], 2, 2);
        delegate* unmanaged<CStream, CTensor*, CTensor*, CTensor*, CTensor*, CTensor*, Status> forward = &MixupExports.Forward;
        Succeeds(forward(_queue, &x, null, &pairs, &share, &y));
        float[] alone = Values<float>(y);
        Succeeds(forward(_queue, &x, &other, &pairs, &share, &y));
        using DeviceTensor<float> input = _device.Upload<float>(values, 2, 2), from = _device.Upload<float>(pool, 2, 2);
        using DeviceTensor<float> lambda = _device.Upload<float>(shares, 2), output = _device.Allocate<float>(2, 2);
        using DeviceTensor<int> rows = _device.Upload<int>(partners, 2, 2);
        Mixup.Forward(_stream, input, rows, lambda, output);
        Assert.Equal(output.ToArray(_stream), alone);
        Mixup.Forward(_stream, input, from, rows, lambda, output);
        Assert.Equal(output.ToArray(_stream), Values<float>(y));
        Assert.NotEqual(alone, Values<float>(y));
    }

    /// <summary>
    /// A call makes views of its tensors and nothing that the collector has to finish: a few hundred bytes, which are gone with the next
    /// young collection.
    /// </summary>
    [Fact]
    public void CallsMakeLittleGarbage()
    {
        CTensor x = Lend(new float[8], 8), y = Lend(new float[8], 8);
        delegate* unmanaged<CStream, CTensor*, CTensor*, Status> relu = &ReluExports.Forward;
        Succeeds(relu(_queue, &x, &y));
        using DeviceTensor<float> input = _device.Allocate<float>(8), output = _device.Allocate<float>(8);
        Relu.Forward(_stream, input, output);
        const int Calls = 1000;
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < Calls; i++) relu(_queue, &x, &y);
        long native = GC.GetAllocatedBytesForCurrentThread() - before;
        before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < Calls; i++) Relu.Forward(_stream, input, output);
        long managed = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.InRange((native - managed) / Calls, 0, 256);
    }

    private static void Succeeds(Status status)
    {
        byte* message = ((delegate* unmanaged<byte*>)&LibraryExports.LastError)();
        Assert.True(status == Status.Ok, $"{status}: {Marshal.PtrToStringUTF8((nint)message)}");
    }

    /// <summary>A tensor in memory of the test.</summary>
    private CTensor Lend<T>(T[] values, params long[] shape)
        where T : unmanaged
    {
        void* data = Block(values.Length * sizeof(T));
        values.CopyTo(new Span<T>(data, values.Length));
        long* dimensions = (long*)Block(shape.Length * sizeof(long));
        shape.CopyTo(new Span<long>(dimensions, shape.Length));
        return new CTensor { Data = data, Dtype = DTypes.Of<T>(), Rank = shape.Length, Shape = dimensions };
    }

    private void* Block(int bytes)
    {
        void* block = NativeMemory.AlignedAlloc((nuint)bytes, 64);
        _memory.Add((nint)block);
        return block;
    }

    private static T[] Values<T>(in CTensor tensor)
        where T : unmanaged
    {
        int count = (int)new ReadOnlySpan<long>(tensor.Shape, tensor.Rank).ToArray().Aggregate(1L, (product, size) => product * size);
        return new Span<T>(tensor.Data, count).ToArray();
    }
}
