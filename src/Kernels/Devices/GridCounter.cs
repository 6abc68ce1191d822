namespace Kernels.Devices;

/// <summary>
/// The word that groups of a cooperative launch count in when they wait for each other (<c>grid_barrier</c> of
/// <c>kernels/cuda/grid.h</c>). Each launch leaves it ready for the next one, so one serves all launches that run one after the other:
/// those of a queue, or those of a graph.
/// </summary>
internal sealed class GridCounter(Device device) : IDisposable
{
    private readonly Lock _lock = new();
    private DeviceTensor<uint>? _word;

    /// <summary>Made when first asked for.</summary>
    public TensorArgument Argument
    {
        get
        {
            lock (_lock) return (_word ??= device.Upload<uint>([0], 1)).Argument;
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _word?.Dispose();
            _word = null;
        }
    }
}
