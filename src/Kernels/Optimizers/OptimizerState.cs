namespace Kernels;

/// <summary>What optimizers keep for each parameter: its names, and views of it. State is float, or double for double parameters.</summary>
public static class OptimizerState
{
    /// <summary>The velocity of SGD and RMSprop with momentum.</summary>
    public const string Velocity = "velocity";

    /// <summary>The moving average of the gradient: Adam, Lion.</summary>
    public const string FirstMoment = "first_moment";

    /// <summary>The moving average of the squared gradient: Adam, RMSprop.</summary>
    public const string SecondMoment = "second_moment";

    /// <summary>The largest second moment so far: Adam with AMSGrad.</summary>
    public const string LargestSecondMoment = "largest_second_moment";

    /// <summary>The moving average of the gradient that a centered RMSprop subtracts.</summary>
    public const string MeanGradient = "mean_gradient";

    /// <summary>The float copy of half-precision parameters.</summary>
    public const string MasterCopy = "master_copy";

    /// <summary>The moving average of the weights.</summary>
    public const string AverageWeight = "average_weight";

    /// <summary>The state under a name for one parameter: a view in the parameter's shape, to read, save or load.</summary>
    /// <param name="optimizer">The optimizer.</param>
    /// <param name="name">One of <see cref="Optimizer{T, TOptions}.StateNames"/>.</param>
    /// <param name="parameter">The parameter's place, counted through all groups.</param>
    /// <remarks>Before the first step it is not initialised. After loading it call <see cref="Optimizer{T, TOptions}.Resume"/>.</remarks>
    /// <exception cref="ArgumentException">There is no such state.</exception>
    /// <exception cref="ArgumentOutOfRangeException">There is no such parameter.</exception>
    public static DeviceTensor<float> GetState<TOptions>(this Optimizer<float, TOptions> optimizer, string name, int parameter)
        where TOptions : OptimizerOptions => View<float, float, TOptions>(optimizer, name, parameter);

    /// <inheritdoc cref="GetState{TOptions}(Optimizer{float, TOptions}, string, int)"/>
    public static DeviceTensor<float> GetState<TOptions>(this Optimizer<Half, TOptions> optimizer, string name, int parameter)
        where TOptions : OptimizerOptions => View<Half, float, TOptions>(optimizer, name, parameter);

    /// <inheritdoc cref="GetState{TOptions}(Optimizer{float, TOptions}, string, int)"/>
    public static DeviceTensor<float> GetState<TOptions>(this Optimizer<BFloat16, TOptions> optimizer, string name, int parameter)
        where TOptions : OptimizerOptions => View<BFloat16, float, TOptions>(optimizer, name, parameter);

    /// <inheritdoc cref="GetState{TOptions}(Optimizer{float, TOptions}, string, int)"/>
    public static DeviceTensor<double> GetState<TOptions>(this Optimizer<double, TOptions> optimizer, string name, int parameter)
        where TOptions : OptimizerOptions => View<double, double, TOptions>(optimizer, name, parameter);

    private static DeviceTensor<TReal> View<T, TReal, TOptions>(Optimizer<T, TOptions> optimizer, string name, int parameter)
        where T : unmanaged
        where TReal : unmanaged
        where TOptions : OptimizerOptions
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        return optimizer.GetStateAs<TReal>(name, parameter);
    }
}
