using Kernels.Devices;

namespace Kernels;

/// <summary>
/// Where an op takes its random key from: a <see cref="RandomKey"/> of the host, or a tensor of two ulong (seed, offset) in device memory,
/// which lets a captured graph replay with fresh bits (advance it with <see cref="RandomBits.Advance"/>). Converts from both.
/// </summary>
public readonly struct RandomKeySource
{
    private readonly RandomKey _key;

    private RandomKeySource(RandomKey key, DeviceTensor<ulong>? tensor)
    {
        _key = key;
        Tensor = tensor;
    }

    /// <summary>The device-resident key, or null for a key of the host.</summary>
    internal DeviceTensor<ulong>? Tensor { get; }

    internal KeyArgument Argument => new(Tensor?.Argument ?? default, _key.Seed, _key.Offset);

    /// <summary>A key of the host.</summary>
    public static implicit operator RandomKeySource(RandomKey key) => new(key, null);

    /// <summary>A key in device memory: shape [2], seed then offset.</summary>
    public static implicit operator RandomKeySource(DeviceTensor<ulong> key) => new(default, key);
}
