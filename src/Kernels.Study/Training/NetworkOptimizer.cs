namespace Kernels.Study;

/// <summary>Moves all parameters of a network: a group of weights, which are regularized, and one of biases, which are not.</summary>
internal abstract class NetworkOptimizer : IDisposable
{
    public static NetworkOptimizer Create(Device device, Mlp network, Recipe recipe, StudySettings settings)
    {
        if (!recipe.UsesAdam)
        {
            return new Groups<SgdOptions>(
                network, recipe, new SgdOptions { LearningRate = settings.LearningRate, Momentum = settings.Momentum },
                groups => new Sgd<float>(device, groups));
        }

        // Without decay AdamW is Adam.
        return new Groups<AdamWOptions>(
            network, recipe, new AdamWOptions { LearningRate = settings.AdamLearningRate, WeightDecay = 0 },
            groups => new AdamW<float>(device, groups));
    }

    /// <summary>One step by the network's gradients, with a share of the full learning rate.</summary>
    public abstract void Step(DeviceStream stream, double rateShare);

    public abstract void Dispose();

    private sealed class Groups<TOptions> : NetworkOptimizer
        where TOptions : OptimizerOptions
    {
        private readonly TOptions[] _options;
        private readonly Optimizer<float, TOptions> _optimizer;

        public Groups(
            Mlp network,
            Recipe recipe,
            TOptions options,
            Func<IReadOnlyList<ParameterGroup<float, TOptions>>, Optimizer<float, TOptions>> create)
        {
            OptimizerOptions forWeights = recipe.Regularizers.Aggregate<Regularizer, OptimizerOptions>(
                options, (changed, method) => method.ForWeights(changed));
            _options = [(TOptions)forWeights, options];
            ILookup<bool, int> places = Enumerable.Range(0, network.Parameters.Count).ToLookup(Mlp.IsWeight);
            _optimizer = create([Group(places[true], _options[0]), Group(places[false], _options[1])]);

            ParameterGroup<float, TOptions> Group(IEnumerable<int> members, TOptions settings) =>
                new([.. members.Select(i => network.Parameters[i])], [.. members.Select(i => network.Gradients[i])], settings);
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
