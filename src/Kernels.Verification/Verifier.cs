namespace Kernels.Verification;

/// <summary>The outcome of one problem on one device.</summary>
/// <param name="Error">Worst error in units of the tolerance's limit: at most 1 passes. NaN never passes.</param>
/// <param name="MaxError">Worst error as <see cref="Tolerance.Error"/> defines it.</param>
/// <param name="Limit">The limit that error was held against.</param>
/// <param name="Failure">What went wrong, or null.</param>
public sealed record ProblemResult(double Error, double MaxError, double Limit, string? Failure)
{
    /// <summary>Why there was nothing to compare: the device or its compiler refused. Null where the op ran.</summary>
    public DeviceException? Trouble { get; init; }

    public bool Passed => Failure is null && Error <= 1;
}

/// <summary>Runs a case's problems on a device and holds the results against the reference.</summary>
public static class Verifier
{
    public const ulong DefaultSeed = 20260101;

    /// <summary>True when the device can run problems of this type.</summary>
    public static bool Supports(Device device, DType dtype) => dtype != DType.Float64 || device.SupportsFloat64;

    /// <summary>Runs one problem, checks guard zones and unchanged inputs, and compares every output.</summary>
    public static ProblemResult Verify(DeviceStream stream, Trial trial, int elementOffset = 0, bool inPlace = false)
    {
        IReadOnlyList<(string, string)> pairs = inPlace ? trial.Op.InPlacePairs(trial.Problem) : [];
        ReferenceValues expected = trial.Expected;
        try
        {
            using GuardedTensors tensors = new(stream, trial.Specs, elementOffset, pairs);
            trial.Op.Run(stream, trial.Problem, trial.DType, tensors);
            stream.Synchronize();
            tensors.CheckInputs(pairs);
            return Compare(trial, tensors, expected);
        }
        catch (GuardViolationException e)
        {
            return Failed(e.Message);
        }
        catch (DeviceException e)
        {
            return Failed(e.Message) with { Trouble = e };
        }
    }

    /// <summary>The bytes of every output of a problem.</summary>
    /// <exception cref="GuardViolationException">A guard zone was written to, or in place an input that is no output.</exception>
    public static byte[] OutputBytes(DeviceStream stream, Trial trial, bool inPlace = false)
    {
        IReadOnlyList<(string, string)> pairs = inPlace ? trial.Op.InPlacePairs(trial.Problem) : [];
        using GuardedTensors tensors = new(stream, trial.Specs, elementOffset: 0, pairs);
        trial.Op.Run(stream, trial.Problem, trial.DType, tensors);
        if (inPlace) tensors.CheckInputs(pairs);
        return [.. trial.Results.SelectMany(spec => tensors.Read(spec.Name))];
    }

    private static ProblemResult Compare(Trial trial, GuardedTensors tensors, ReferenceValues expected)
    {
        ProblemResult worst = new(0, 0, 0, null);
        foreach (TensorSpec spec in trial.Results)
        {
            byte[] bytes = tensors.Read(spec.Name);
            double limit = spec.Tolerance.Limit(spec.DType);

            // Seen also where NaN is right: what a device computes is another NaN.
            if (spec.Role == TensorRole.Output && spec.DType.IsFloat()
                && GuardedTensors.FirstPoison(bytes, spec.DType.SizeInBytes()) is >= 0 and var unwritten)
            {
                return Failed($"{spec.Name}[{unwritten}] was not written", limit);
            }

            double[] actual = Elements.FromBytes(spec.DType, bytes), right = expected[spec.Name];
            if (actual.Length > 0 && worst.Limit == 0) worst = worst with { Limit = limit };
            for (int i = 0; i < actual.Length; i++)
            {
                if (actual[i] == right[i])
                {
                    bool isWrongZero = actual[i] == 0 && double.IsNegative(actual[i]) && !double.IsNegative(right[i]);
                    if (isWrongZero && trial.IsMasked(spec.Name, i))
                        return Failed($"{spec.Name}[{i}] is masked or dropped, and -0", limit);
                    continue;
                }

                double error = spec.Tolerance.Error(actual[i], right[i], spec.DType);
                double inUnits = limit > 0 ? error / limit : error > 0 ? double.PositiveInfinity : 0;

                // Written so that a NaN fails.
                if (!(inUnits <= 1))
                {
                    string failure = $"{spec.Name}[{i}] is {actual[i]:R}, expected {right[i]:R} within {limit:E2} ({spec.Tolerance.Cause})";
                    return new ProblemResult(inUnits, error, limit, failure);
                }

                if (inUnits > worst.Error) worst = new ProblemResult(inUnits, error, limit, null);
            }
        }

        return worst;
    }

    private static ProblemResult Failed(string failure, double limit = 0) =>
        new(double.PositiveInfinity, double.PositiveInfinity, limit, failure);
}
