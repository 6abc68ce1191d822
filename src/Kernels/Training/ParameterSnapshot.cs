namespace Kernels;

/// <summary>A copy of a list of parameters on their device: save it at the best evaluation, restore it after stopping. Bit for bit.</summary>
/// <typeparam name="T">Element type of the parameters.</typeparam>
public sealed class ParameterSnapshot<T> : IDisposable
    where T : unmanaged
{
    private readonly IReadOnlyList<DeviceTensor<T>> _parameters;
    private readonly DeviceTensor<T>[] _copies;

    /// <summary>Allocates room for a copy of <paramref name="parameters"/> on <paramref name="device"/>, which holds them.</summary>
    /// <exception cref="ArgumentException">A parameter is on another device.</exception>
    /// <exception cref="OutOfDeviceMemoryException">The device has too little free memory.</exception>
    public ParameterSnapshot(Device device, IReadOnlyList<DeviceTensor<T>> parameters)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(parameters);
        foreach (DeviceTensor<T> parameter in parameters)
        {
            if (parameter.Device != device) throw new ArgumentException($"ParameterSnapshot: {parameter} is not on {device}.", nameof(parameters));
        }

        _parameters = parameters;
        _copies = new DeviceTensor<T>[parameters.Count];
        try
        {
            for (int i = 0; i < _copies.Length; i++) _copies[i] = device.Allocate<T>(parameters[i].Shape);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>True once <see cref="Save"/> was called.</summary>
    public bool HasSaved { get; private set; }

    /// <summary>Queues copying the parameters into the snapshot.</summary>
    public void Save(DeviceStream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        for (int i = 0; i < _copies.Length; i++) stream.Copy(_parameters[i], _copies[i]);
        HasSaved = true;
    }

    /// <summary>Queues copying the snapshot back into the parameters.</summary>
    /// <exception cref="InvalidOperationException">Nothing was saved.</exception>
    public void Restore(DeviceStream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        if (!HasSaved) throw new InvalidOperationException("ParameterSnapshot.Restore: nothing was saved.");
        for (int i = 0; i < _copies.Length; i++) stream.Copy(_copies[i], _parameters[i]);
    }

    /// <summary>Frees the copies.</summary>
    public void Dispose()
    {
        // Null where the constructor ran out of memory.
        foreach (DeviceTensor<T>? copy in _copies) copy?.Dispose();
    }
}
