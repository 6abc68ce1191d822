using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>RMSprop with every setting.</summary>
public sealed class RmsPropCase : OptimizerCase<RmsPropOptions>
{
    public override string Op => "rmsprop";

    protected override bool KeepsSquares => true;

    protected override RmsPropOptions Basic { get; } = new() { LearningRate = 0.1 };

    protected override Optimizer<T, RmsPropOptions> Create<T>(
        Device device, IReadOnlyList<ParameterGroup<T, RmsPropOptions>> groups, OptimizerSettings? settings) =>
            new RmsProp<T>(device, groups, settings);

    protected override double Direction(RmsPropOptions options, ulong step, double gradient, Func<string, double[]> state, int index)
    {
        double none = 0, noMean = 0;
        ref double velocity = ref options.Momentum > 0 ? ref state(OptimizerState.Velocity)[index] : ref none;
        ref double mean = ref options.Centered ? ref state(OptimizerState.MeanGradient)[index] : ref noMean;
        return RmsPropReference.Direction(
            gradient, ref state(OptimizerState.SecondMoment)[index], ref velocity, ref mean, options.SecondMomentDecay, options.Epsilon,
            options.Momentum, options.Centered);
    }

    protected override IReadOnlyList<string> RuleStates(IEnumerable<RmsPropOptions> options) =>
    [
        OptimizerState.SecondMoment, .. options.Any(o => o.Momentum > 0) ? [OptimizerState.Velocity] : Array.Empty<string>(),
        .. options.Any(o => o.Centered) ? [OptimizerState.MeanGradient] : Array.Empty<string>(),
    ];

    protected override IEnumerable<Problem> Own()
    {
        yield return Of("momentum", Basic with { Momentum = 0.9 }, [1021]);
        yield return Of("centered", Basic with { Centered = true }, [1021]);
        yield return Of("centered with momentum", Basic with { Centered = true, Momentum = 0.9 }, [1021]);
        yield return Of("all state at the first step", Basic with { Centered = true, Momentum = 0.9 }, [1021]) with { StepsBefore = 0 };
    }

    protected override IEnumerable<(string Name, Type Exception, RmsPropOptions Options)> OwnBadInputs()
    {
        yield return ("decay of 1", typeof(ArgumentOutOfRangeException), Basic with { SecondMomentDecay = 1 });
        yield return ("momentum is NaN", typeof(ArgumentOutOfRangeException), Basic with { Momentum = double.NaN });
        yield return ("epsilon below 0", typeof(ArgumentOutOfRangeException), Basic with { Epsilon = -1 });
    }
}
