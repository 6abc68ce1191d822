using Kernels.Tests.Support;
using Kernels.Verification;

namespace Kernels.Tests.Theories;

/// <summary>
/// Holds a backward call against central differences of its forward call along random directions u: with loss L = sum of dy * y, the sum of
/// dx * u over all inputs is (L(x + h u) - L(x - h u)) / 2h. A direction of +-1 in every input gives each element of the gradient the same
/// weight. What backward takes of the forward call's results, such as the output of a ReLU, it gets from a forward call. Outputs without a
/// dy are not part of the loss, unless none has one: then it is their sum.
/// </summary>
internal static class GradientCheck
{
    /// <summary>Directions for a small problem; a large one, which has as many elements to be wrong in, gets one.</summary>
    private const int Directions = 3;
    private const double Step = 1e-5;

    /// <summary>Inputs closer to 0 are moved out to it: a step must not cross the kink of a ReLU.</summary>
    private const double KinkDistance = 1e-3;

    // The difference's error is h^2 for curvature, and the rounding of L, about 2^-53 of its terms, over h.
    private const double CurvatureTolerance = 1e-7;
    private const double RoundingTolerance = 1e-10;

    /// <summary>How the gradient of <paramref name="backward"/> differs from the derivative, or null.</summary>
    public static string? Failure(DeviceStream stream, OpCase op, Problem backward)
    {
        Problem forward = op.ForwardOf(backward)!;
        TensorSpec[] forwardSpecs = [.. op.Tensors(forward, DType.Float64, Verifier.DefaultSeed).Select(AwayFromKink)];
        Dictionary<string, double[]> results = Run(stream, op, forward, forwardSpecs);
        TensorSpec[] backwardSpecs = [.. op.Tensors(backward, DType.Float64, Verifier.DefaultSeed)
            .Select(AwayFromKink)
            .Select(spec =>
                spec.Role == TensorRole.Input && results.ContainsKey(spec.Name) ? spec with { Values = results[spec.Name] } : spec)];
        Dictionary<string, double[]> weights = Weights(op, results, backwardSpecs);
        string[] inputs = [.. forwardSpecs
            .Where(spec => spec.Role == TensorRole.Input && spec.DType == DType.Float64)
            .Select(spec => spec.Name)
            .Where(name => backwardSpecs.Any(spec => spec.Role == TensorRole.Output && spec.Name == $"d{name}"))];
        if (inputs.Length == 0) return "no input has a gradient";

        Dictionary<string, double[]> gradients = Run(stream, op, backward, backwardSpecs);
        for (int direction = 0; direction < (CaseRun.IsSmall(backward) ? Directions : 1); direction++)
        {
            Dictionary<string, double[]> along = inputs.ToDictionary(
                name => name, name => Signs(gradients[$"d{name}"].Length, direction, name));
            (double above, double magnitude) = Loss(Step);
            (double below, _) = Loss(-Step);
            double difference = (above - below) / (2 * Step);
            double[] terms = [.. inputs.SelectMany(name => gradients[$"d{name}"].Zip(along[name], (gradient, sign) => gradient * sign))];
            double derivative = terms.Sum();
            double tolerance = (CurvatureTolerance * terms.Sum(Math.Abs)) + (RoundingTolerance * magnitude);

            // Written so that a NaN fails.
            if (!(Math.Abs(difference - derivative) <= tolerance))
                return $"along direction {direction} the gradient says {derivative:R}, the difference {difference:R} within {tolerance:E2}";

            (double Value, double Magnitude) Loss(double step)
            {
                TensorSpec[] moved =
                    [.. forwardSpecs.Select(spec => along.ContainsKey(spec.Name) ? Move(spec, along[spec.Name], step) : spec)];
                Dictionary<string, double[]> outputs = Run(stream, op, forward, moved);
                double[] products = [.. weights.SelectMany(weight => weight.Value.Zip(outputs[weight.Key], (dy, y) => dy * y))];
                return (products.Sum(), products.Sum(Math.Abs));
            }
        }

        return null;
    }

    private static Dictionary<string, double[]> Run(DeviceStream stream, OpCase op, Problem problem, TensorSpec[] specs)
    {
        using GuardedTensors tensors = new(stream, specs);
        op.Run(stream, problem, DType.Float64, tensors);
        return specs.Where(spec => spec.Role == TensorRole.Output)
            .ToDictionary(spec => spec.Name, spec => Elements.FromBytes(spec.DType, tensors.Read(spec.Name)));
    }

    /// <summary>What the loss multiplies its outputs by: their dy, or what the op itself says where it takes none.</summary>
    private static Dictionary<string, double[]> Weights(OpCase op, Dictionary<string, double[]> outputs, TensorSpec[] backwardSpecs)
    {
        Dictionary<string, double[]> given = backwardSpecs
            .Where(spec => spec.Role == TensorRole.Input && spec.Name.StartsWith('d') && outputs.ContainsKey(spec.Name[1..]))
            .ToDictionary(spec => spec.Name[1..], spec => spec.Values);
        return given.Count > 0
            ? given
            : outputs.ToDictionary(output => output.Key, output => Enumerable.Repeat(op.GradientScale, output.Value.Length).ToArray());
    }

    private static double[] Signs(int count, int direction, string name) =>
        [.. Elements.Uniform(DType.Float64, count, (ulong)direction, name, -1, 1).Select(value => value < 0 ? -1.0 : 1.0)];

    private static TensorSpec Move(TensorSpec spec, double[] signs, double step) =>
        spec with { Values = [.. spec.Values.Zip(signs, (value, sign) => value + (step * sign))] };

    private static TensorSpec AwayFromKink(TensorSpec spec) => spec.Role == TensorRole.Input && spec.DType == DType.Float64
        ? spec with
        {
            Values = [.. spec.Values.Select(value => Math.Abs(value) >= KinkDistance ? value : Math.CopySign(KinkDistance, value))],
        }
        : spec;
}
