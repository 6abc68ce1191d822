namespace Kernels.Native;

/// <summary>An optimizer behind its handle, whatever its types.</summary>
internal abstract unsafe class OptimizerEntry : ViewingEntry
{
    public abstract IReadOnlyList<string> StateNames { get; }

    public abstract void Step(DeviceStream stream);

    public abstract void Resume(DeviceStream stream, ulong steps);

    public abstract void RestartAverages(DeviceStream stream);

    public abstract double ReadGradientNorm(DeviceStream stream);

    public abstract void ShowState(string name, int parameter, CTensor* view);

    public abstract void ShowStepCounts(CTensor* view);

    public abstract void ShowZeroCounts(CTensor* view);
}

/// <summary>An optimizer of one rule.</summary>
internal abstract class OptimizerEntry<TOptions> : OptimizerEntry
{
    public abstract int GroupCount { get; }

    public abstract void SetOptions(int group, TOptions options);
}

/// <summary>An optimizer of one rule and stored type.</summary>
internal sealed unsafe class OptimizerEntry<T, TOptions>(Optimizer<T, TOptions> optimizer, int groupCount) : OptimizerEntry<TOptions>
    where T : unmanaged
    where TOptions : OptimizerOptions
{
    public override int GroupCount => groupCount;

    public override IReadOnlyList<string> StateNames => optimizer.StateNames;

    public override void Step(DeviceStream stream) => optimizer.Step(stream);

    public override void Resume(DeviceStream stream, ulong steps) => optimizer.Resume(stream, steps);

    public override void RestartAverages(DeviceStream stream) => optimizer.RestartAverages(stream);

    public override double ReadGradientNorm(DeviceStream stream) => optimizer.ReadGradientNorm(stream);

    public override void SetOptions(int group, TOptions options) => optimizer.SetOptions(group, options);

    public override void ShowState(string name, int parameter, CTensor* view)
    {
        if (typeof(T) == typeof(double))
            Show(optimizer.GetStateAs<double>(name, parameter), view);
        else
            Show(optimizer.GetStateAs<float>(name, parameter), view);
    }

    public override void ShowStepCounts(CTensor* view) => Show(optimizer.StepCounts, view);

    public override void ShowZeroCounts(CTensor* view) =>
        Show(optimizer.ZeroCounts ?? throw new InvalidOperationException("optimizer_zero_counts: zeros are not counted."), view);

    public override void Dispose() => optimizer.Dispose();

    public override string ToString() => $"an optimizer, {optimizer.GetType().Name}";
}
