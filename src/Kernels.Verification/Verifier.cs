namespace Kernels.Verification;

/// <summary>The outcome of one problem on one device.</summary>
/// <param name="Error">Worst error in units of the tolerance's limit: at most 1 passes. NaN never passes.</param>
/// <param name="MaxError">Worst error as <see cref="Tolerance.Error"/> defines it.</param>
/// <param name="Limit">The limit that error was held against.</param>
/// <param name="Failure">What went wrong, or null.</param>
public sealed record ProblemResult(double Error, double MaxError, double Limit, string? Failure)
{
    public bool Passed => Failure is null && Error <= 1;
}

/// <summary>Runs a case's problems on a device and holds the results against the reference.</summary>
public static class Verifier
{
    public const ulong DefaultSeed = 20260101;

    /// <summary>True when the device can run problems of this type.</summary>
    public static bool Supports(Device device, DType dtype) => dtype != DType.Float64 || device.SupportsFloat64;

    /// <summary>Runs one problem, checks guard zones and unchanged inputs, and compares every output.</summary>
    public static ProblemResult Verify(
        DeviceStream stream, OpCase op, Problem problem, DType dtype, ulong seed = DefaultSeed, int elementOffset = 0,
        bool inPlace = false, Func<TensorSpec, TensorSpec>? change = null)
    {
        IReadOnlyList<TensorSpec> specs = op.Tensors(problem, dtype, seed);
        if (change is not null) specs = [.. specs.Select(change)];
        IReadOnlyList<(string, string)> pairs = inPlace ? op.InPlacePairs(problem) : [];
        ReferenceValues expected = new(specs);
        op.Reference(problem, expected);
        try
        {
            using GuardedTensors tensors = new(stream, specs, elementOffset, pairs);
            op.Run(stream, problem, dtype, tensors);
            stream.Synchronize();
            tensors.CheckInputs(pairs);
            return Compare(specs, tensors, expected);
        }
        catch (Exception e) when (e is GuardViolationException or DeviceException)
        {
            return new ProblemResult(double.PositiveInfinity, double.PositiveInfinity, 0, e.Message);
        }
    }

    /// <summary>The bytes of every output of a problem.</summary>
    public static byte[] OutputBytes(
        DeviceStream stream, OpCase op, Problem problem, DType dtype, ulong seed = DefaultSeed, bool inPlace = false)
    {
        IReadOnlyList<TensorSpec> specs = op.Tensors(problem, dtype, seed);
        using GuardedTensors tensors = new(stream, specs, elementOffset: 0, inPlace ? op.InPlacePairs(problem) : []);
        op.Run(stream, problem, dtype, tensors);
        return [.. specs.Where(spec => spec.Role != TensorRole.Input).SelectMany(spec => tensors.Read(spec.Name))];
    }

    private static ProblemResult Compare(IReadOnlyList<TensorSpec> specs, GuardedTensors tensors, ReferenceValues expected)
    {
        ProblemResult? worst = null;
        foreach (TensorSpec spec in specs.Where(spec => spec.Role != TensorRole.Input))
        {
            byte[] actual = tensors.Read(spec.Name);
            double limit = spec.Tolerance.Limit(spec.DType);
            for (long i = 0; i < spec.Length; i++)
            {
                // Seen also where NaN is right: what a device computes is another NaN.
                if (spec.Role == TensorRole.Output && spec.DType.IsFloat() && GuardedTensors.IsPoison(Element(spec.DType, actual, i)))
                    return new ProblemResult(double.PositiveInfinity, double.PositiveInfinity, limit, $"{spec.Name}[{i}] was not written");
                double value = Elements.FromBytes(spec.DType, actual, i);
                double error = spec.Tolerance.Error(value, expected[spec.Name][i], spec.DType);
                double inUnits = limit > 0 ? error / limit : error > 0 ? double.PositiveInfinity : 0;
                // Written so that a NaN fails.
                if (!(inUnits <= 1))
                {
                    string failure = $"{spec.Name}[{i}] is {value:R}, expected {expected[spec.Name][i]:R} within {limit:E2} ({spec.Tolerance.Cause})";
                    return new ProblemResult(inUnits, error, limit, failure);
                }

                if (worst is null || inUnits > worst.Error) worst = new ProblemResult(inUnits, error, limit, null);
            }
        }

        return worst ?? new ProblemResult(0, 0, 0, null);
    }

    private static ReadOnlySpan<byte> Element(DType dtype, byte[] bytes, long index) =>
        bytes.AsSpan((int)index * dtype.SizeInBytes(), dtype.SizeInBytes());
}
