namespace Kernels.Study;

/// <summary>What groups of layers are made for: the device and the shards that this rank has places for.</summary>
internal sealed record ShardSetup(Device Device, RankLink Link, int MaximumRows)
{
    public ShardPlan Plan => Link.Plan;
}

/// <summary>
/// A training step of the shards of one rank. Each shard has a step of its own, null where it has no rows; rows and labels are those of the
/// whole batch.
/// </summary>
internal sealed record ShardStep(DeviceStream Stream, IReadOnlyList<TrainingStep?> Steps, long Rows, DeviceTensor<int> Labels)
{
    /// <summary>Told how many parameters more have the gradients of all shards.</summary>
    public Action<int> GradientsDone { get; init; } = _ => { };
}

/// <summary>
/// The same layer of all shards that a rank computes. The shards go through a network layer by layer side by side, so that a layer that
/// looks at its whole batch can ask those of other ranks.
/// </summary>
internal abstract class LayerGroup : IDisposable
{
    /// <summary>Replaces the inputs of the shards by their outputs; a shard without rows has null.</summary>
    public abstract void Forward(ShardStep step, DeviceTensor<float>?[] x);

    /// <summary>
    /// Fills the gradients of the parameters of each shard, replaces the gradients of the outputs by those of the inputs, and says how many
    /// parameters have theirs. False where no layer before this one waits for a gradient.
    /// </summary>
    public abstract bool Backward(ShardStep step, DeviceTensor<float>?[] dy);

    public virtual void Dispose()
    {
    }
}

/// <summary>Layers of which each sees its own shard alone.</summary>
internal sealed class LayersApart(IReadOnlyList<Layer> layers) : LayerGroup
{
    private readonly int _parameters = layers[0].Parameters.Count;

    public override void Forward(ShardStep step, DeviceTensor<float>?[] x)
    {
        for (int i = 0; i < x.Length; i++)
            if (x[i] is { } rows) x[i] = layers[i].Forward(step.Stream, step.Steps[i], rows);
    }

    public override bool Backward(ShardStep step, DeviceTensor<float>?[] dy)
    {
        bool goesOn = true;
        for (int i = 0; i < dy.Length; i++)
        {
            if (dy[i] is not { } gradient) continue;
            dy[i] = layers[i].Backward(step.Steps[i]!.Value, gradient);
            goesOn &= dy[i] is not null;
        }

        step.GradientsDone(_parameters);
        return goesOn;
    }
}

/// <summary>Groups one after the other.</summary>
internal sealed class LayersInTurn(IReadOnlyList<LayerGroup> groups) : LayerGroup
{
    public override void Forward(ShardStep step, DeviceTensor<float>?[] x)
    {
        foreach (LayerGroup group in groups) group.Forward(step, x);
    }

    public override bool Backward(ShardStep step, DeviceTensor<float>?[] dy)
    {
        bool goesOn = true;
        for (int i = groups.Count - 1; i >= 0 && goesOn; i--) goesOn = groups[i].Backward(step, dy);
        return goesOn;
    }

    public override void Dispose()
    {
        foreach (LayerGroup group in groups) group.Dispose();
    }
}
