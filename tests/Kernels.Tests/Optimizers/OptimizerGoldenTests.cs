using System.Globalization;
using System.Text.Json;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Optimizers;

/// <summary>
/// A hundred steps as PyTorch takes them (<c>tests/goldens/optimizers.py</c>). We differ on purpose nowhere in these settings; RMSprop
/// differs where PyTorch's variance is rounded below 0 and gives NaN, which no golden value shows.
/// </summary>
public sealed class OptimizerGoldenTests(TestDevices devices)
{
    private static readonly int[] Lengths = [1, 5, 3];

    private static readonly Golden[] Goldens = JsonSerializer.Deserialize<Golden[]>(
        File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "data", "goldens", "optimizers.json")), JsonSerializerOptions.Web)!;

    public static TheoryData<string, string, string> Rows =>
        [.. from device in TestDevices.All from golden in Goldens select (device.Id, golden.Op, golden.Settings)];

    [Theory]
    [MemberData(nameof(Rows))]
    public void AHundredSteps_AreThoseOfPyTorch(string deviceId, string op, string settings)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        Golden golden = Goldens.Single(golden => golden.Op == op && golden.Settings == settings);
        Follow<float>(stream, golden, 2e-5, value => (float)value, value => value);
        if (stream.Device.SupportsFloat64) Follow<double>(stream, golden, 1e-12, value => value, value => value);
        // Master copies keep what a step adds; gradients are rounded to the stored type, weights read back from it. Lion takes a gradient's
        // sign, and rounding it may change that.
        Follow<BFloat16>(stream, golden, op == "lion" ? 0.05 : 0.03, value => (BFloat16)value, value => (float)value);
    }

    private static void Follow<T>(DeviceStream stream, Golden golden, double tolerance, Func<double, T> store, Func<T, double> read)
        where T : unmanaged
    {
        List<DeviceTensor<T>> weights =
            [.. Lengths.Select((length, t) => stream.Device.Upload<T>([.. Values(length, t, 0, 0.2).Select(store)], length))];
        List<DeviceTensor<T>> gradients = [.. Lengths.Select(length => stream.Device.Allocate<T>(length))];
        OptimizerSettings settings = new() { MaximumGradientNorm = golden.Settings == "clipped" ? 0.7 : 0, KeepsMasterCopy = true };
        (Action stepOnce, IDisposable optimizer) = Create(stream, golden, weights, gradients, settings);
        try
        {
            for (int step = 1; step <= 100; step++)
            {
                for (int t = 0; t < Lengths.Length; t++)
                {
                    double[] now = [.. weights[t].ToArray(stream).Select(read)], target = Values(Lengths[t], t, step, 0.9);
                    stream.Upload<T>([.. now.Select((w, i) => store((0.5 * w) + target[i]))], gradients[t]);
                }

                stepOnce();
                if (!golden.Weights.TryGetValue(step.ToString(CultureInfo.InvariantCulture), out double[]? expected)) continue;
                double[] actual = [.. weights.SelectMany(weight => weight.ToArray(stream)).Select(read)];
                for (int i = 0; i < actual.Length; i++)
                {
                    Assert.True(Math.Abs(actual[i] - expected[i]) <= tolerance,
                        $"{typeof(T).Name}, step {step}, weight {i}: {actual[i]:R}, PyTorch {expected[i]:R}");
                }
            }
        }
        finally
        {
            optimizer.Dispose();
            foreach (DeviceTensor<T> tensor in weights.Concat(gradients)) tensor.Dispose();
        }
    }

    private static (Action Step, IDisposable Optimizer) Create<T>(
        DeviceStream stream, Golden golden, IReadOnlyList<DeviceTensor<T>> weights, IReadOnlyList<DeviceTensor<T>> gradients,
        OptimizerSettings settings)
        where T : unmanaged
    {
        string name = golden.Settings;
        double decay = name == "decay" ? 0.1 : 0;
        switch (golden.Op)
        {
            case "sgd":
                SgdOptions sgdOptions = new()
                {
                    LearningRate = 0.05,
                    WeightDecay = name is "decay" or "momentum" or "nesterov" ? 0.1 : 0,
                    Momentum = name is "plain" or "decay" ? 0 : 0.9,
                    Dampening = name == "dampening" ? 0.3 : 0,
                    Nesterov = name == "nesterov",
                };
                Sgd<T> sgd = new(stream.Device, [new(weights, gradients, sgdOptions)], settings);
                return (() => sgd.Step(stream), sgd);
            case "adam":
                AdamOptions adamOptions = new() { LearningRate = 0.02, WeightDecay = decay, UsesLargestSecondMoment = name == "amsgrad" };
                if (name == "betas") adamOptions = adamOptions with { Beta1 = 0.5, Beta2 = 0.8, Epsilon = 1e-3 };
                Adam<T> adam = new(stream.Device, [new(weights, gradients, adamOptions)], settings);
                return (() => adam.Step(stream), adam);
            case "adamw":
                // PyTorch's AdamW decays by 0.01 unless told otherwise, and so does ours.
                AdamWOptions adamWOptions = new() { LearningRate = 0.02, UsesLargestSecondMoment = name == "amsgrad" };
                if (name != "plain") adamWOptions = adamWOptions with { WeightDecay = 0.1 };
                AdamW<T> adamW = new(stream.Device, [new(weights, gradients, adamWOptions)], settings);
                return (() => adamW.Step(stream), adamW);
            case "rmsprop":
                RmsPropOptions rmsOptions = new()
                {
                    LearningRate = 0.01,
                    WeightDecay = decay,
                    Momentum = name == "momentum" ? 0.9 : name == "centered" ? 0.5 : 0,
                    SecondMomentDecay = name == "momentum" ? 0.9 : 0.99,
                    Centered = name == "centered",
                };
                RmsProp<T> rms = new(stream.Device, [new(weights, gradients, rmsOptions)], settings);
                return (() => rms.Step(stream), rms);
            default:
                Lion<T> lion = new(stream.Device, [new(weights, gradients, new LionOptions { LearningRate = 0.01, WeightDecay = decay })],
                    settings);
                return (() => lion.Step(stream), lion);
        }
    }

    private static double[] Values(int length, int tensor, int step, double c) =>
        [.. Enumerable.Range(0, length).Select(i => Math.Sin((0.7 * i) + (1.3 * tensor) + (0.31 * step) + c))];

    public sealed record Golden(string Op, string Settings, Dictionary<string, double[]> Weights);
}
