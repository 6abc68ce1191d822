namespace Kernels.Study;

/// <summary>Moves all parameters of a network: a group of weights, which are regularized, and one of the others, which are not.</summary>
internal abstract class NetworkOptimizer : IDisposable
{
    public static NetworkOptimizer Create(Device device, Network network, OptimizerOptions options) => options switch
    {
        SgdOptions sgd => new Groups<SgdOptions>(network, sgd, groups => new Sgd<float>(device, groups)),
        AdamWOptions adam => new Groups<AdamWOptions>(network, adam, groups => new AdamW<float>(device, groups)),
        _ => throw new ArgumentException($"No optimizer here takes {options.GetType().Name}.", nameof(options)),
    };

    /// <summary>One step by the network's gradients, with a share of the full learning rate.</summary>
    public abstract void Step(DeviceStream stream, double rateShare);

    public abstract void Dispose();

    private sealed class Groups<TOptions> : NetworkOptimizer
        where TOptions : OptimizerOptions
    {
        private readonly TOptions[] _options;
        private readonly Optimizer<float, TOptions> _optimizer;

        public Groups(
            Network network, TOptions options,
            Func<IReadOnlyList<ParameterGroup<float, TOptions>>, Optimizer<float, TOptions>> create)
        {
            _options = [options, options with { WeightDecay = 0, L1 = 0 }];
            ILookup<bool, Parameter> parameters = network.Parameters.ToLookup(parameter => parameter.IsWeight);
            _optimizer = create([Group(parameters[true], _options[0]), Group(parameters[false], _options[1])]);

            static ParameterGroup<float, TOptions> Group(IEnumerable<Parameter> members, TOptions settings) =>
                new([.. members.Select(member => member.Value)], [.. members.Select(member => member.Gradient)], settings);
        }

        public override void Step(DeviceStream stream, double rateShare)
        {
            for (int group = 0; group < _options.Length; group++)
                _optimizer.SetOptions(group, _options[group] with { LearningRate = rateShare * _options[group].LearningRate });
            _optimizer.Step(stream);
        }

        public override void Dispose() => _optimizer.Dispose();
    }
}
