namespace Kernels.Native;

/// <summary>A snapshot behind its handle, whatever its type.</summary>
internal abstract unsafe class SnapshotEntry : ViewingEntry
{
    public abstract void Save(DeviceStream stream);

    public abstract void Restore(DeviceStream stream);

    public abstract void ShowSaved(int parameter, CTensor* view);
}

/// <inheritdoc cref="SnapshotEntry"/>
internal sealed unsafe class SnapshotEntry<T>(ParameterSnapshot<T> snapshot) : SnapshotEntry
    where T : unmanaged
{
    public override void Save(DeviceStream stream) => snapshot.Save(stream);

    public override void Restore(DeviceStream stream) => snapshot.Restore(stream);

    public override void ShowSaved(int parameter, CTensor* view) => Show(snapshot.GetSaved(parameter), view);

    public override void Dispose() => snapshot.Dispose();

    public override string ToString() => "a snapshot";
}

/// <summary>A norm penalty behind its handle, whatever its type.</summary>
internal abstract unsafe class NormPenaltyEntry : ViewingEntry
{
    public abstract void Forward(DeviceStream stream);

    public abstract void ForwardBackward(DeviceStream stream, double gradientScale);

    public abstract void ShowValue(CTensor* view);
}

/// <inheritdoc cref="NormPenaltyEntry"/>
internal sealed unsafe class NormPenaltyEntry<T>(NormPenalty<T> penalty) : NormPenaltyEntry
    where T : unmanaged
{
    public override void Forward(DeviceStream stream) => penalty.Forward(stream);

    public override void ForwardBackward(DeviceStream stream, double gradientScale) => penalty.ForwardBackward(stream, gradientScale);

    public override void ShowValue(CTensor* view)
    {
        if (typeof(T) == typeof(double))
            Show(penalty.GetValueAs<double>(), view);
        else
            Show(penalty.GetValueAs<float>(), view);
    }

    public override void Dispose() => penalty.Dispose();

    public override string ToString() => "a norm penalty";
}

/// <summary>Tied gradients behind their handle, whatever their type.</summary>
internal abstract class TiedGradientsEntry : IDisposable
{
    public abstract void Sum(DeviceStream stream);

    public abstract void Add(DeviceStream stream);

    public abstract void Dispose();
}

/// <inheritdoc cref="TiedGradientsEntry"/>
internal sealed class TiedGradientsEntry<T>(TiedGradients<T> gradients) : TiedGradientsEntry
    where T : unmanaged
{
    public override void Sum(DeviceStream stream) => gradients.Sum(stream);

    public override void Add(DeviceStream stream) => gradients.Add(stream);

    public override void Dispose() => gradients.Dispose();

    public override string ToString() => "tied gradients";
}
