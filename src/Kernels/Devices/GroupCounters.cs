namespace Kernels.Devices;

/// <summary>
/// The words that groups of a cooperative launch count in when they wait for each other (<c>barrier_of_groups</c> of
/// <c>kernels/cuda/grid.h</c>), one for each team of groups. Each launch leaves them ready for the next one, so they serve all launches
/// that run one after the other: those of a queue, or those of a graph.
/// </summary>
internal sealed class GroupCounters(Device device) : IDisposable
{
    /// <summary>Teams that a launch may have: more than any GPU holds pairs of large groups.</summary>
    public const int Count = 1024;

    private readonly Lock _lock = new();
    private DeviceTensor<uint>? _words;

    /// <summary>Made when first asked for.</summary>
    public TensorArgument Argument
    {
        get
        {
            lock (_lock) return (_words ??= device.Upload<uint>(new uint[Count], Count)).Argument;
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            _words?.Dispose();
            _words = null;
        }
    }
}
