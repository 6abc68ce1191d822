using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Adam with every setting.</summary>
public sealed class AdamCase : OptimizerCase<AdamOptions>
{
    public override string Op => "adam";

    protected override bool KeepsSquares => true;

    protected override AdamOptions Basic { get; } = new() { LearningRate = 0.1 };

    protected override Optimizer<T, AdamOptions> Create<T>(
        Device device, IReadOnlyList<ParameterGroup<T, AdamOptions>> groups, OptimizerSettings? settings) =>
            new Adam<T>(device, groups, settings);

    protected override double Direction(AdamOptions options, ulong step, double gradient, Func<string, double[]> state, int index) =>
        AdamDirection.Of(options, step, gradient, state, index);

    protected override IReadOnlyList<string> RuleStates(IEnumerable<AdamOptions> options) => AdamDirection.States(options);

    protected override IEnumerable<Problem> Own()
    {
        yield return Of("largest second moment (AMSGrad)", Basic with { UsesLargestSecondMoment = true }, [1021]);
        yield return Of("largest second moment, first step", Basic with { UsesLargestSecondMoment = true }, [1021]) with
        {
            StepsBefore = 0,
        };
        yield return Of("no memory: betas of 0", Basic with { Beta1 = 0, Beta2 = 0 }, [1021]);
        yield return Of("large epsilon", Basic with { Epsilon = 1 }, [1021]);
    }

    protected override IEnumerable<(string Name, Type Exception, AdamOptions Options)> OwnBadInputs()
    {
        yield return ("beta1 of 1", typeof(ArgumentOutOfRangeException), Basic with { Beta1 = 1 });
        yield return ("beta2 below 0", typeof(ArgumentOutOfRangeException), Basic with { Beta2 = -0.1 });
        yield return ("beta2 is NaN", typeof(ArgumentOutOfRangeException), Basic with { Beta2 = double.NaN });
        yield return ("epsilon below 0", typeof(ArgumentOutOfRangeException), Basic with { Epsilon = -1 });
    }
}

/// <summary>The common part of the cases of Adam and AdamW.</summary>
internal static class AdamDirection
{
    public static double Of(AdamOptions options, ulong step, double gradient, Func<string, double[]> state, int index)
    {
        double none = 0;
        ref double largest = ref options.UsesLargestSecondMoment ? ref state(OptimizerState.LargestSecondMoment)[index] : ref none;
        return AdamReference.Direction(
            gradient, ref state(OptimizerState.FirstMoment)[index], ref state(OptimizerState.SecondMoment)[index], ref largest,
            options.Beta1, options.Beta2, options.Epsilon, options.UsesLargestSecondMoment, step);
    }

    public static IReadOnlyList<string> States(IEnumerable<AdamOptions> options) =>
    [
        OptimizerState.FirstMoment, OptimizerState.SecondMoment,
        .. options.Any(o => o.UsesLargestSecondMoment) ? [OptimizerState.LargestSecondMoment] : Array.Empty<string>(),
    ];
}
