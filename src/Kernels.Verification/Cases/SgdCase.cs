using Kernels.Reference;

namespace Kernels.Verification;

/// <summary>SGD with every setting.</summary>
public sealed class SgdCase : OptimizerCase<SgdOptions>
{
    public override string Op => "sgd";

    protected override SgdOptions Basic { get; } = new() { LearningRate = 0.1, Momentum = 0.9 };

    protected override SgdOptions Bench => Basic with { WeightDecay = 0.01 };

    protected override Optimizer<T, SgdOptions> Create<T>(
        Device device, IReadOnlyList<ParameterGroup<T, SgdOptions>> groups, OptimizerSettings? settings) =>
            new Sgd<T>(device, groups, settings);

    protected override double Direction(SgdOptions options, ulong step, double gradient, Func<string, double[]> state, int index)
    {
        double none = 0;
        ref double velocity = ref options.Momentum > 0 ? ref state(OptimizerState.Velocity)[index] : ref none;
        return SgdReference.Direction(gradient, ref velocity, options.Momentum, options.Dampening, options.Nesterov, step == 1);
    }

    protected override IReadOnlyList<string> RuleStates(IEnumerable<SgdOptions> options) =>
        options.Any(o => o.Momentum > 0) ? [OptimizerState.Velocity] : [];

    protected override IEnumerable<Problem> Own()
    {
        yield return Of("without momentum", Basic with { Momentum = 0 }, [1021]);
        yield return Of("dampening", Basic with { Dampening = 0.3 }, [1021]);
        yield return Of("dampening does not hold at the first step", Basic with { Dampening = 0.3 }, [1021]) with { StepsBefore = 0 };
        yield return Of("Nesterov", Basic with { Nesterov = true, WeightDecay = 0.01 }, [1021]);
    }

    protected override IEnumerable<(string Name, Type Exception, SgdOptions Options)> OwnBadInputs()
    {
        yield return ("momentum is infinite", typeof(ArgumentOutOfRangeException), Basic with { Momentum = double.PositiveInfinity });
        yield return ("dampening below 0", typeof(ArgumentOutOfRangeException), Basic with { Dampening = -1 });
        yield return ("Nesterov without momentum", typeof(ArgumentException), Basic with { Momentum = 0, Nesterov = true });
        yield return ("Nesterov with dampening", typeof(ArgumentException), Basic with { Dampening = 0.1, Nesterov = true });
    }
}
