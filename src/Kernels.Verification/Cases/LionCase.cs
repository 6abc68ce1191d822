using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>Lion with every setting.</summary>
public sealed class LionCase : OptimizerCase<LionOptions>
{
    public override string Op => "lion";

    protected override LionOptions Basic { get; } = new() { LearningRate = 0.1 };

    protected override Optimizer<T, LionOptions> Create<T>(
        Device device, IReadOnlyList<ParameterGroup<T, LionOptions>> groups, OptimizerSettings? settings) =>
            new Lion<T>(device, groups, settings);

    protected override double Direction(LionOptions options, ulong step, double gradient, Func<string, double[]> state, int index) =>
        LionReference.Direction(gradient, ref state(OptimizerState.FirstMoment)[index], options.Beta1, options.Beta2);

    protected override IReadOnlyList<string> RuleStates(IEnumerable<LionOptions> options) => [OptimizerState.FirstMoment];

    protected override IEnumerable<Problem> Own()
    {
        yield return Of("only the gradient", Basic with { Beta1 = 0, Beta2 = 0 }, [1021]);
    }

    protected override IEnumerable<(string Name, Type Exception, LionOptions Options)> OwnBadInputs()
    {
        yield return ("beta1 of 1", typeof(ArgumentOutOfRangeException), Basic with { Beta1 = 1 });
        yield return ("beta2 below 0", typeof(ArgumentOutOfRangeException), Basic with { Beta2 = -0.1 });
    }
}
