using Kernels.Devices;

namespace Kernels;

/// <summary>
/// The source of an op's random key: a <see cref="RandomKey"/> of the host, or a tensor of two ulong (seed, offset) in device memory,
/// which lets a captured graph replay with fresh bits (advance it with <see cref="RandomBits.Advance"/>). Converts from both.
/// </summary>
public readonly struct RandomKeySource
{
    private readonly RandomKey _key;

    private RandomKeySource(RandomKey key) => _key = key;

    private RandomKeySource(DeviceTensor<ulong> tensor)
    {
        Tensor = tensor;
        IsOnDevice = true;
    }

    /// <summary>Made from a tensor, which <see cref="Check.Key"/> refuses when it is null.</summary>
    internal bool IsOnDevice { get; }

    /// <summary>The key in device memory.</summary>
    internal DeviceTensor<ulong>? Tensor { get; }

    internal KeyArguments Argument => new() { Key = IsOnDevice ? Tensor!.Argument : default, Seed = _key.Seed, Offset = _key.Offset };

    /// <summary>A key of the host.</summary>
    public static implicit operator RandomKeySource(RandomKey key) => new(key);

    /// <summary>A key in device memory: shape [2], seed then offset. Ops refuse null.</summary>
    public static implicit operator RandomKeySource(DeviceTensor<ulong> key) => new(key);
}

/// <summary>A random key as a kernel sees it: read from device memory where <see cref="Key"/> is present, else the two values.</summary>
internal readonly partial record struct KeyArguments
{
    /// <summary>The key itself; CPU only.</summary>
    public unsafe RandomKey Resolve()
    {
        ulong* values = Key.Pointer<ulong>();
        return values is null ? new RandomKey(Seed, Offset) : new RandomKey(values[0], values[1]);
    }
}
