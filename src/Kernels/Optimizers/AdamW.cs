namespace Kernels;

/// <summary>Options of <see cref="AdamW{T}"/>: weight decay is decoupled and 0.01, as in PyTorch's AdamW, unless said otherwise.</summary>
public sealed record AdamWOptions : AdamOptions
{
    /// <summary>Decoupled decay of 0.01.</summary>
    public AdamWOptions() => (WeightDecay, WeightDecayMode) = (0.01, WeightDecayMode.Decoupled);
}

/// <summary>AdamW, Adam with decoupled weight decay, over a list of parameters.</summary>
/// <typeparam name="T">Stored type of parameters and gradients.</typeparam>
/// <remarks>
/// w is multiplied by 1 - rate * decay and then moves as in <see cref="Adam{T}"/>. The results are those of PyTorch's AdamW. I. Loshchilov
/// and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
/// </remarks>
public sealed class AdamW<T> : Optimizer<T, AdamWOptions>
    where T : unmanaged
{
    /// <summary>An optimizer for these groups.</summary>
    /// <exception cref="ArgumentException">Shapes differ, or tensors overlap or are on another device.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option or a setting is out of its range.</exception>
    /// <exception cref="OutOfDeviceMemoryException">The device has too little free memory for the state.</exception>
    public AdamW(Device device, IReadOnlyList<ParameterGroup<T, AdamWOptions>> groups, OptimizerSettings? settings = null)
        : base("AdamW", device, groups, settings, OptimizerKernels.Adam, AdamStates.Of)
    {
    }

    private protected override bool HasStateFor(IReadOnlyList<AdamWOptions> options) =>
        Keeps(2) || !options.Any(o => o.UsesLargestSecondMoment);
}
