namespace Kernels.Verification;

/// <summary>AdamW with every setting.</summary>
public sealed class AdamWCase : OptimizerCase<AdamWOptions>
{
    public override string Op => "adamw";

    protected override bool KeepsSquares => true;

    protected override AdamWOptions Basic { get; } = new() { LearningRate = 0.1, WeightDecay = 0 };

    protected override AdamWOptions Bench => Basic with { WeightDecay = 0.01 };

    protected override Optimizer<T, AdamWOptions> Create<T>(
        Device device, IReadOnlyList<ParameterGroup<T, AdamWOptions>> groups, OptimizerSettings? settings) =>
            new AdamW<T>(device, groups, settings);

    protected override double Direction(AdamWOptions options, ulong step, double gradient, Func<string, double[]> state, int index) =>
        AdamDirection.Of(options, step, gradient, state, index);

    protected override IReadOnlyList<string> RuleStates(IEnumerable<AdamWOptions> options) => AdamDirection.States(options);

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

    protected override IEnumerable<(string Name, Type Exception, AdamWOptions Options)> OwnBadInputs()
    {
        yield return ("beta1 of 1", typeof(ArgumentOutOfRangeException), Basic with { Beta1 = 1 });
        yield return ("beta2 below 0", typeof(ArgumentOutOfRangeException), Basic with { Beta2 = -0.1 });
        yield return ("beta2 is NaN", typeof(ArgumentOutOfRangeException), Basic with { Beta2 = double.NaN });
        yield return ("epsilon below 0", typeof(ArgumentOutOfRangeException), Basic with { Epsilon = -1 });
    }
}
