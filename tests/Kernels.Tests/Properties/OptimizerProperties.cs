using FsCheck;
using FsCheck.Fluent;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Properties;

/// <summary>What holds for a step of an optimizer whatever the list and the settings.</summary>
public sealed class OptimizerProperties(TestDevices devices)
{
    private static readonly Gen<Model> Models =
        from length in RandomCases.Length(9000)
        from cuts in Gen.ArrayOf(Gen.Choose(0, 9000), 4)
        from seed in RandomCases.UInt64
        from beta in Gen.Choose(0, 99)
        from decay in Gen.Choose(0, 2).Zip(Gen.Choose(0, 2))
        from l1 in Gen.Choose(0, 3).Zip(Gen.Choose(0, 1))
        from flags in Gen.Choose(0, 7)
        select new Model(length, [.. cuts], seed, (flags & 1) != 0, (flags & 2) != 0, new AdamOptions
        {
            LearningRate = 0.05,
            Beta1 = beta / 100.0,
            WeightDecay = decay.Item1 / 10.0,
            WeightDecayMode = (WeightDecayMode)decay.Item2,
            L1 = l1.Item1 / 10.0,
            L1Mode = (L1Mode)l1.Item2,
            UsesLargestSecondMoment = (flags & 4) != 0,
        });

    /// <summary>
    /// How a model is cut into tensors does not matter, not to a bit: neither sizes nor alignment nor tiles enter the arithmetic.
    /// </summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void AListOfParts_StepsAsTheWhole(string deviceId) => Holds(deviceId, (stream, model) =>
        Bits.AssertEqual<float>(Train(stream, model, []), Train(stream, model, model.Cuts), "parameters"));

    /// <summary>Training that is interrupted, its state carried over to another optimizer, goes on with the same bits.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void AResumedOptimizer_GoesOnAsBefore(string deviceId) => Holds(deviceId, (stream, model) =>
        Bits.AssertEqual<float>(Train(stream, model, model.Cuts), Train(stream, model, model.Cuts, moves: true), "parameters"));

    /// <summary>A rate of 0 moves nothing, whatever the state.</summary>
    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void ARateOfZero_LeavesTheParameters(string deviceId) => Holds(deviceId, (stream, model) =>
        Bits.AssertEqual<float>(
            Bits.Uniform<float>(model.Length, model.Seed),
            Train(stream, model with { Options = model.Options with { LearningRate = 0 } }, model.Cuts)));

    /// <summary>Three steps; the average of the weights follows the weights when there is one.</summary>
    private static float[] Train(DeviceStream stream, Model model, int[] cuts, bool moves = false)
    {
        using DeviceTensor<float> parameters = stream.Device.Upload<float>(Bits.Uniform<float>(model.Length, model.Seed), model.Length);
        using DeviceTensor<float> gradients = stream.Device.Upload<float>(Bits.Uniform<float>(model.Length, model.Seed + 1), model.Length);
        int[] ends = [.. cuts.Where(cut => cut < model.Length).Order(), model.Length];
        int[] starts = [0, .. ends[..^1]];
        IReadOnlyList<DeviceTensor<float>> Parts(DeviceTensor<float> whole) =>
            [.. starts.Zip(ends, (start, end) => whole.Slice(start, end - start))];
        OptimizerSettings settings = new() { AverageDecay = model.Averages ? 0.9 : null, MaximumGradientNorm = model.Clips ? 1e9 : 0 };
        Adam<float> Create() => new(stream.Device, [new(Parts(parameters), Parts(gradients), model.Options)], settings);

        Adam<float> optimizer = Create();
        try
        {
            for (ulong step = 0; step < 3; step++)
            {
                if (moves && step > 0)
                {
                    Adam<float> next = Create();
                    foreach (string name in optimizer.StateNames)
                    {
                        for (int i = 0; i < starts.Length; i++) stream.Copy(optimizer.GetState(name, i), next.GetState(name, i));
                    }

                    next.Resume(stream, step);
                    optimizer.Dispose();
                    optimizer = next;
                }

                optimizer.Step(stream);
            }

            return parameters.ToArray(stream);
        }
        finally
        {
            optimizer.Dispose();
        }
    }

    private void Holds(string deviceId, Action<DeviceStream, Model> property)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        RandomCases.Check(
            stream.Device, Models, model => RandomCases.Shorter(model.Length).Select(length => model with { Length = length }), model =>
                property(stream, model));
    }

    private sealed record Model(int Length, int[] Cuts, ulong Seed, bool Averages, bool Clips, AdamOptions Options);
}
