using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Kernels.Benchmarks;
using Kernels.Native;

namespace Kernels.Bench;

/// <summary>
/// Calls of libkernels beside the same managed calls, in turns, on the CPU. The front of the library takes the build for the instructions
/// that KERNELS_INSTRUCTION_SET names, and .NET leaves out those that DOTNET_EnableAVX512 and DOTNET_EnableAVX turn off. Times are those
/// of all processors together.
/// </summary>
internal sealed unsafe class NativeCalls : IDisposable
{
    private const int Turns = 15;
    private const int WarmUpTurns = 8;

    private static readonly TimeSpan WarmUpPause = TimeSpan.FromMilliseconds(150);

    private readonly nint _library;
    private readonly Device _device = Device.Open("cpu");
    private readonly DeviceStream _stream;
    private readonly CStream _queue;
    private readonly List<nint> _shapes = [];
    private readonly RandomKey _key = new(1, 2);

    private NativeCalls(string library)
    {
        _library = NativeLibrary.Load(Path.GetFullPath(library));
        _stream = _device.CreateStream();
        CDevice device;
        CStream queue;
        fixed (byte* id = "cpu\0"u8) Check(((delegate* unmanaged<byte*, CDevice*, Status>)Export("kernels_device_open"))(id, &device));
        Check(((delegate* unmanaged<CDevice, CStream*, Status>)Export("kernels_stream_create"))(device, &queue));
        _queue = queue;
    }

    /// <summary>Prints a table.</summary>
    public static void Run(string library)
    {
        using NativeCalls calls = new(library);
        string chosen = Environment.GetEnvironmentVariable("KERNELS_INSTRUCTION_SET") is { Length: > 0 } level ? level : "the best";
        int bits = Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128;
        Console.WriteLine($"JIT: vectors of {bits} bits. Library: {chosen} of its builds.\n");
        Console.WriteLine("| call | managed | native | native / managed |");
        Console.WriteLine("| --- | ---: | ---: | ---: |");
        calls.Relu(8, 100000);
        calls.Dropout(16 << 20, 2);
        calls.Dropout(1 << 16, 1000);
        calls.Linear(256, 512, 512, 4);
        calls.CrossEntropy(1024, 1000, 4);
        calls.Conv2d(4);
    }

    public void Dispose()
    {
        foreach (nint shape in _shapes) NativeMemory.Free((void*)shape);
        _stream.Dispose();
        _device.Dispose();
    }

    private void Relu(long count, int calls)
    {
        using DeviceTensor<float> x = Make(count), y = Make(count);
        CTensor lentX = Lend(x), lentY = Lend(y);
        CTensor* px = &lentX, py = &lentY;
        var native = (delegate* unmanaged<CStream, CTensor*, CTensor*, Status>)Export("kernels_relu_forward");
        Row($"relu of {count}: the overhead of a call", calls, () => Kernels.Relu.Forward(_stream, x, y), () => native(_queue, px, py));
    }

    private void Dropout(long count, int calls)
    {
        using DeviceTensor<float> x = Make(count), y = Make(count);
        CTensor lentX = Lend(x), lentY = Lend(y);
        CKey lentKey = new() { Seed = _key.Seed, Offset = _key.Offset };
        CTensor* px = &lentX, py = &lentY;
        CKey* key = &lentKey;
        var native =
            (delegate* unmanaged<CStream, CTensor*, CTensor*, double, CKey*, CDropoutOptions*, Status>)Export("kernels_dropout_forward");
        Row(
            $"dropout of {count}", calls, () => Kernels.Dropout.Forward(_stream, x, y, 0.1, _key),
            () => native(_queue, px, py, 0.1, key, null));
    }

    private void Linear(long rows, long inputs, long outputs, int calls)
    {
        using DeviceTensor<float> x = Make(rows, inputs), weight = Make(outputs, inputs), bias = Make(outputs), y = Make(rows, outputs);
        CTensor lentX = Lend(x), lentWeight = Lend(weight), lentBias = Lend(bias), lentY = Lend(y);
        CTensor* px = &lentX, pWeight = &lentWeight, pBias = &lentBias, py = &lentY;
        var native = (delegate* unmanaged<CStream, CTensor*, CTensor*, CTensor*, CTensor*, Status>)Export("kernels_linear_forward");
        Row(
            $"linear {rows} x {inputs} x {outputs}", calls, () => Kernels.Linear.Forward(_stream, x, weight, bias, y),
            () => native(_queue, px, pWeight, pBias, py));
    }

    private void CrossEntropy(long rows, long classes, int calls)
    {
        using DeviceTensor<float> logits = Make(rows, classes), losses = Make(rows), gradient = Make(rows, classes);
        using DeviceTensor<int> labels = _device.Upload<int>(new int[rows], rows);
        CTensor lentLogits = Lend(logits), lentLabels = Lend(labels), lentLosses = Lend(losses), lentGradient = Lend(gradient);
        CCrossEntropyTargets lentTargets = new() { Labels = &lentLabels };
        CTensor* pLogits = &lentLogits, pLosses = &lentLosses, pGradient = &lentGradient;
        CCrossEntropyTargets* targets = &lentTargets;
        var native = (delegate* unmanaged<CStream, CTensor*, CCrossEntropyTargets*, CTensor*, CTensor*, CTensor*, CTensor*, CTensor*,
            double, CCrossEntropyOptions*, Status>)Export("kernels_cross_entropy_forward_backward");
        Row(
            $"cross-entropy {rows} x {classes}, both directions", calls,
            () => Kernels.CrossEntropy.ForwardBackward(_stream, logits, labels, null, null, losses, gradient, null, 1),
            () => native(_queue, pLogits, targets, null, null, pLosses, pGradient, null, 1, null));
    }

    private void Conv2d(int calls)
    {
        using DeviceTensor<float> x = Make(8, 32, 28, 28), filter = Make(64, 32, 3, 3), y = Make(8, 64, 26, 26);
        CTensor lentX = Lend(x), lentFilter = Lend(filter), lentY = Lend(y);
        CTensor* px = &lentX, pFilter = &lentFilter, py = &lentY;
        var native =
            (delegate* unmanaged<CStream, CTensor*, CTensor*, CTensor*, CTensor*, CConv2dOptions*, Status>)Export("kernels_conv2d_forward");
        Row(
            "conv2d 8 x 32 x 28 x 28, 64 filters of 3 x 3", calls, () => Kernels.Conv2d.Forward(_stream, x, filter, null, y),
            () => native(_queue, px, pFilter, null, py, null));
    }

    private static void Row(string name, int calls, Action managed, Func<Status> native)
    {
        // The JIT compiles a second and a third time behind calls, once it has had nothing new for a while.
        for (int turn = 0; turn < WarmUpTurns; turn++)
        {
            Time(calls, managed);
            Time(calls, () => Check(native()));
            Thread.Sleep(WarmUpPause);
        }

        List<double> managedTimes = [], nativeTimes = [];
        for (int turn = 0; turn < Turns; turn++)
        {
            managedTimes.Add(Time(calls, managed));
            nativeTimes.Add(Time(calls, () => Check(native())));
        }

        double ours = Median.Of(managedTimes).Value, theirs = Median.Of(nativeTimes).Value;
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"| {name} | {Text(ours)} | {Text(theirs)} | {theirs / ours:0.00} |"));
    }

    /// <summary>Time of all processors, so that what else the machine does counts for little.</summary>
    private static double Time(int calls, Action call)
    {
        TimeSpan start = Environment.CpuUsage.TotalTime;
        for (int i = 0; i < calls; i++) call();
        return (Environment.CpuUsage.TotalTime - start).TotalMicroseconds / calls;
    }

    private static string Text(double microseconds) => microseconds < 1000
        ? microseconds.ToString("0.00 µs", CultureInfo.InvariantCulture)
        : (microseconds / 1000).ToString("0.00 ms", CultureInfo.InvariantCulture);

    private static void Check(Status status)
    {
        if (status != Status.Ok) throw new InvalidOperationException($"libkernels answers {status}.");
    }

    private nint Export(string name) => NativeLibrary.GetExport(_library, name);

    private DeviceTensor<float> Make(params long[] shape)
    {
        float[] values = new float[shape.Aggregate((product, size) => product * size)];
        for (int i = 0; i < values.Length; i++) values[i] = (i % 251 / 125f) - 1;
        return _device.Upload<float>(values, shape);
    }

    /// <summary>The same memory for both.</summary>
    private CTensor Lend<T>(DeviceTensor<T> tensor)
        where T : unmanaged
    {
        long* shape = (long*)NativeMemory.Alloc((nuint)(tensor.Shape.Length * sizeof(long)));
        _shapes.Add((nint)shape);
        tensor.Shape.CopyTo(new Span<long>(shape, tensor.Shape.Length));
        return new CTensor { Data = (void*)tensor.Buffer.NativeHandle, Dtype = tensor.DType, Rank = tensor.Shape.Length, Shape = shape };
    }
}
