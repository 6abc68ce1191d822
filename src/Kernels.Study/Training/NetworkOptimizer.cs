namespace Kernels.Study;

/// <summary>
/// Moves all parameters of a network: a group of weights, which are regularized, and one of the others, which are not. Its learning rates
/// lie in device memory, where a schedule writes them.
/// </summary>
internal abstract class NetworkOptimizer : IDisposable
{
    public const int GroupCount = 2;

    private readonly DeviceTensor<float> _rates;

    private NetworkOptimizer(Device device, OptimizerOptions options)
    {
        FullRate = options.LearningRate;
        _rates = device.Allocate<float>(GroupCount);
    }

    /// <summary>The learning rate of which a schedule takes shares.</summary>
    public double FullRate { get; }

    /// <summary>The learning rate of each group, read at each step.</summary>
    public DeviceTensor<float> Rates => _rates;

    /// <param name="device">The network's.</param>
    /// <param name="network">What it moves.</param>
    /// <param name="options">Of the weights.</param>
    /// <param name="averageDecay">Keeps moving averages of the parameters where it is not null.</param>
    public static NetworkOptimizer Create(Device device, Network network, OptimizerOptions options, double? averageDecay = null) =>
        options switch
        {
            SgdOptions sgd => new Groups<SgdOptions>(
                device, network, sgd, averageDecay, (groups, settings) => new Sgd<float>(device, groups, settings)),
            AdamWOptions adam => new Groups<AdamWOptions>(
                device, network, adam, averageDecay, (groups, settings) => new AdamW<float>(device, groups, settings)),
            _ => throw new ArgumentException($"No optimizer here takes {options.GetType().Name}.", nameof(options)),
        };

    /// <summary>One step by the network's gradients.</summary>
    public abstract void Step(DeviceStream stream);

    /// <summary>Copies the moving averages of the network's parameters to those of another of the same layers.</summary>
    public abstract void CopyAverages(DeviceStream stream, Network target);

    /// <summary>Adds all that it remembers. Waits for the stream.</summary>
    public abstract void Save(DeviceStream stream, Checkpoint checkpoint, string name);

    /// <summary>Goes on from what was saved; to be called when the network has its parameters.</summary>
    /// <exception cref="DatasetException">The checkpoint has not what this optimizer remembers.</exception>
    public abstract void Load(DeviceStream stream, Checkpoint checkpoint, string name);

    public virtual void Dispose() => _rates.Dispose();

    private sealed class Groups<TOptions> : NetworkOptimizer
        where TOptions : OptimizerOptions
    {
        private readonly int[] _order;
        private readonly Optimizer<float, TOptions> _optimizer;

        public Groups(
            Device device, Network network, TOptions options, double? averageDecay,
            Func<IReadOnlyList<ParameterGroup<float, TOptions>>, OptimizerSettings, Optimizer<float, TOptions>> create)
            : base(device, options)
        {
            ILookup<bool, int> places = Enumerable.Range(0, network.Parameters.Count).ToLookup(i => network.Parameters[i].IsWeight);
            _order = [.. places[true], .. places[false]];
            _optimizer = create(
                [Group(places[true], options), Group(places[false], options with { WeightDecay = 0, L1 = 0 })],
                new OptimizerSettings { DeviceLearningRates = _rates, AverageDecay = averageDecay });

            ParameterGroup<float, TOptions> Group(IEnumerable<int> members, TOptions settings) => new(
                [.. members.Select(i => network.Parameters[i].Value)], [.. members.Select(i => network.Parameters[i].Gradient)], settings);
        }

        public override void Step(DeviceStream stream) => _optimizer.Step(stream);

        public override void CopyAverages(DeviceStream stream, Network target)
        {
            for (int i = 0; i < _order.Length; i++)
            {
                stream.Copy(
                    _optimizer.GetState(OptimizerState.AverageWeight, i), target.Parameters[_order[i]].Value);
            }
        }

        public override void Save(DeviceStream stream, Checkpoint checkpoint, string name)
        {
            checkpoint.Set(stream, $"{name} steps", _optimizer.StepCounts);
            ForEachState((state, i) => checkpoint.Set(stream, $"{name} {state} {_order[i]}", _optimizer.GetState(state, i)));
        }

        public override void Load(DeviceStream stream, Checkpoint checkpoint, string name)
        {
            ForEachState((state, i) => checkpoint.Load(stream, $"{name} {state} {_order[i]}", _optimizer.GetState(state, i)));
            _optimizer.Resume(stream, checkpoint.Values<ulong>($"{name} steps")[0]);
        }

        private void ForEachState(Action<string, int> use)
        {
            foreach (string state in _optimizer.StateNames)
                for (int i = 0; i < _order.Length; i++) use(state, i);
        }

        public override void Dispose()
        {
            _optimizer.Dispose();
            base.Dispose();
        }
    }
}
