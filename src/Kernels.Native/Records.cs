using System.Runtime.CompilerServices;

namespace Kernels.Native;

/// <summary>
/// A dense, row-major tensor: where its elements are, and their type and shape. It belongs to the caller, as does the memory; a call keeps
/// nothing of it. A graph keeps the addresses, an optimizer, a snapshot, a penalty and tied gradients keep addresses and shapes.
/// </summary>
public unsafe struct CTensor
{
    /// <summary>
    /// Memory of the caller: an address for the CPU, a CUdeviceptr, or a cl_mem. NULL where memory is set, and allowed where there are no
    /// elements. Addresses are multiples of the size of an element.
    /// </summary>
    public void* Data;

    /// <summary>Bytes from there to the first element: a whole number of elements.</summary>
    public ulong ByteOffset;

    /// <summary>The type of the elements.</summary>
    public DType Dtype;

    /// <summary>The number of dimensions, at most 32; 0 is a scalar.</summary>
    public int Rank;

    /// <summary>The dimensions, slowest first.</summary>
    public long* Shape;

    /// <summary>
    /// For each dimension how many elements apart its neighbours are; NULL for dense rows. Others than those of dense rows are refused,
    /// except for dimensions of 1, where they mean nothing.
    /// </summary>
    public long* Strides;

    /// <summary>Memory that this library allocated, in the place of data, so that a use after it was freed is found out; or NULL.</summary>
    public CMemory Memory;
}

/// <summary>
/// A random key. Each call that draws takes one offset of a seed; the same key gives the same bits on every device.
/// </summary>
public unsafe struct CKey
{
    /// <summary>The seed.</summary>
    public ulong Seed;

    /// <summary>The number of the call.</summary>
    public ulong Offset;

    /// <summary>
    /// Two UINT64 in device memory, seed and offset, in the place of the two above: replays of a graph draw fresh bits when
    /// kernels_random_bits_advance is part of it. Or NULL.
    /// </summary>
    public CTensor* Device;
}

/// <summary>The rule by which kernels_drop_block_rate gives the probability that a block starts at a position.</summary>
public enum DropBlockRule
{
    /// <summary>The expected share of dropped cells is the value.</summary>
    Exact,

    /// <summary>The paper's formula, which drops less than the value.</summary>
    Paper,

    /// <summary>The value is the probability itself.</summary>
    Gamma,
}

/// <summary>The rate of drop-block.</summary>
public struct CDropBlockRate
{
    /// <summary>What the value means.</summary>
    public DropBlockRule Rule;

    /// <summary>A probability, in [0, 1].</summary>
    public double Value;
}

/// <summary>
/// The target of each row: labels; labels, other_labels and shares as mixup and CutMix make them; or probabilities, with labels only to
/// say which rows are ignored.
/// </summary>
public unsafe struct CCrossEntropyTargets
{
    /// <summary>INT32, one for each row, in [0, classes) or the ignore index.</summary>
    public CTensor* Labels;

    /// <summary>INT32, the second label of each row.</summary>
    public CTensor* OtherLabels;

    /// <summary>The share of the first label: FLOAT32, or FLOAT64 for FLOAT64 logits.</summary>
    public CTensor* Shares;

    /// <summary>A probability for each class, in the shape and type of the logits.</summary>
    public CTensor* Probabilities;
}

/// <summary>Parameters that share their options, with their gradients.</summary>
public unsafe struct CParameterGroup
{
    /// <summary>The parameters, of any shapes; all of an optimizer have one data type.</summary>
    public CTensor* Parameters;

    /// <summary>Their gradients, in the same order and shapes.</summary>
    public CTensor* Gradients;

    /// <summary>How many there are.</summary>
    public long Count;
}

/// <summary>What is known about a device.</summary>
public unsafe struct CDeviceInfo
{
    /// <summary>sizeof(kernels_device_info), set by the caller.</summary>
    public nuint Size;

    /// <summary>The kind of device.</summary>
    public DeviceKind Kind;

    /// <summary>Whether it can be opened.</summary>
    public bool Available;

    /// <summary>Whether it has double precision; false where it was not opened.</summary>
    public bool SupportsFloat64;

    /// <summary>Its memory; 0 when unknown.</summary>
    public long MemoryBytes;

    /// <summary>What kernels_device_open takes.</summary>
    public Name32 Id;

    /// <summary>The vendor's name.</summary>
    public Name256 Name;

    /// <summary>Why it cannot be opened, or empty.</summary>
    public Name512 Reason;
}

/// <summary>UTF-8 that ends with a zero.</summary>
[InlineArray(32)]
public struct Name32
{
    private byte _first;
}

/// <summary>UTF-8 that ends with a zero.</summary>
[InlineArray(256)]
public struct Name256
{
    private byte _first;
}

/// <summary>UTF-8 that ends with a zero.</summary>
[InlineArray(512)]
public struct Name512
{
    private byte _first;
}
