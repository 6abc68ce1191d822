using System.Runtime.InteropServices;

namespace Kernels.Tests.Devices;

/// <summary>
/// A network of one hidden layer and a step of its training: dropout with a key in device memory, cross-entropy, AdamW with step, rate and
/// loss scale in device memory. All that differs from step to step is in device memory, so that the step can be captured.
/// </summary>
internal sealed class TrainingStep<T> : IDisposable
    where T : unmanaged
{
    private const int Batch = 32;
    private const int Inputs = 20;
    private const int Hidden = 48;
    private const int Classes = 10;

    private readonly List<IDisposable> _all = [];
    private readonly DeviceTensor<T> _x, _w1, _h, _dropped, _w2, _logits, _dLogits, _dDropped, _dW1, _dW2;
    private readonly DeviceTensor<int> _labels;
    private readonly DeviceTensor<float> _loss, _rate, _scale;
    private readonly DeviceTensor<ulong> _key;
    private readonly AdamW<T> _optimizer;
    private readonly bool _rateIsOnHost;

    /// <param name="device">Where it trains.</param>
    /// <param name="rateIsOnHost">The schedule sets the optimizer's options instead of a number in device memory.</param>
    public TrainingStep(Device device, bool rateIsOnHost = false)
    {
        _rateIsOnHost = rateIsOnHost;
        Random random = new(7);
        _x = Add(device.Upload<T>(Values(random, Batch * Inputs, 1), Batch, Inputs));
        _w1 = Add(device.Upload<T>(Values(random, Hidden * Inputs, 0.3), Hidden, Inputs));
        _w2 = Add(device.Upload<T>(Values(random, Classes * Hidden, 0.3), Classes, Hidden));
        _labels = Add(device.Upload<int>([.. Enumerable.Range(0, Batch).Select(i => i * 7 % Classes)], Batch));
        (_h, _dropped, _dDropped) = (Add(device.Allocate<T>(Batch, Hidden)), Add(device.Allocate<T>(Batch, Hidden)),
            Add(device.Allocate<T>(Batch, Hidden)));
        (_logits, _dLogits) = (Add(device.Allocate<T>(Batch, Classes)), Add(device.Allocate<T>(Batch, Classes)));
        (_dW1, _dW2) = (Add(device.Allocate<T>(_w1.Shape)), Add(device.Allocate<T>(_w2.Shape)));
        _loss = Add(device.Allocate<float>(1));
        (_rate, _scale) = (Add(device.Upload<float>([0], 1)), Add(device.Upload<float>([1], 1)));
        _key = Add(device.Upload<ulong>([2026, 0], 2));
        _optimizer = Add(new AdamW<T>(
            device,
            [new([_w1, _w2], [_dW1, _dW2], new AdamWOptions { LearningRate = 1 })],
            new OptimizerSettings
            {
                DeviceLearningRates = rateIsOnHost
                    ? null : _rate,
                DeviceLossScale = _scale,
                MaximumGradientNorm = 0.5,
                SkipsNonFiniteGradients = true,
                KeepsMasterCopy = Marshal.SizeOf<T>() == 2,
            }));
    }

    /// <summary>What the schedules say for a step; neither is the same twice in a row.</summary>
    public void Schedule(DeviceStream stream, int step)
    {
        float rate = 0.01f / (1 + step);
        if (_rateIsOnHost)
            _optimizer.SetOptions(0, _optimizer.GetOptions(0) with { LearningRate = rate });
        else
            stream.Upload([rate], _rate);
        stream.Upload([(float)(1 << (step % 5))], _scale);
    }

    public void Run(DeviceStream stream)
    {
        RandomBits.Advance(stream, _key);
        Linear.Forward(stream, _x, _w1, null, _h);
        Relu.Forward(stream, _h, _h);
        Dropout.Forward(stream, _h, _dropped, 0.5, _key);
        Linear.Forward(stream, _dropped, _w2, null, _logits);
        CrossEntropy.ForwardBackward(
            stream, _logits, _labels, null, _scale, _loss, _dLogits, null, 1, new() { Reduction = LossReduction.Mean });
        Linear.Backward(stream, _dropped, _w2, _dLogits, _dDropped, _dW2, null);
        Dropout.Backward(stream, _dDropped, _dDropped, 0.5, _key);
        Relu.Backward(stream, _h, _dDropped, _dDropped);
        Linear.Backward(stream, _x, _w1, _dDropped, null, _dW1, null);
        _optimizer.Step(stream);
    }

    /// <summary>All that a step leaves behind, as bytes.</summary>
    public byte[] State(DeviceStream stream) =>
    [
        .. Bytes(stream, _w1), .. Bytes(stream, _w2), .. Bytes(stream, _dW1), .. Bytes(stream, _loss), .. Bytes(stream, _key),
        .. Bytes(stream, _optimizer.StepCounts), .. BitConverter.GetBytes(_optimizer.ReadGradientNorm(stream)),
    ];

    /// <summary>What dropout left of the hidden layer.</summary>
    public byte[] Dropped(DeviceStream stream) => Bytes(stream, _dropped);

    public float Loss(DeviceStream stream) => _loss.ToArray(stream)[0];

    public void Dispose() => _all.ForEach(disposable => disposable.Dispose());

    private static byte[] Bytes<TElement>(DeviceStream stream, DeviceTensor<TElement> tensor)
        where TElement : unmanaged => MemoryMarshal.AsBytes(tensor.ToArray(stream).AsSpan()).ToArray();

    private static T[] Values(Random random, int count, double scale) =>
        [.. Enumerable.Range(0, count).Select(_ => Convert(scale * ((2 * random.NextDouble()) - 1)))];

    private static T Convert(double value)
    {
        if (typeof(T) == typeof(float)) return (T)(object)(float)value;
        if (typeof(T) == typeof(Half)) return (T)(object)(Half)value;
        if (typeof(T) == typeof(BFloat16)) return (T)(object)(BFloat16)value;
        throw new NotSupportedException(typeof(T).Name);
    }

    private TDisposable Add<TDisposable>(TDisposable disposable)
        where TDisposable : IDisposable
    {
        _all.Add(disposable);
        return disposable;
    }
}
