using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Kernels;

/// <summary>What a call does.</summary>
internal enum CollectiveKind
{
    AllReduce = 1,
    AllGather,
    ReduceScatter,
    AllToAll,
    Broadcast,
    Barrier,

    /// <summary>No call: the rank has left, and its reason stands where the purpose of a call does.</summary>
    Leave,
}

/// <summary>
/// One call as ranks compare it; it travels between processes as it is. All ranks of a call have equal ones.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct CollectiveCall : IEquatable<CollectiveCall>
{
    private const int LongestText = 184;

    private readonly long _number;
    private readonly long _count;
    private readonly int _kind;
    private readonly int _dtype;
    private readonly int _root;
    private readonly int _textLength;
    private readonly RankGroups _groups;
    private TextBytes _text;

    public CollectiveCall(CollectiveKind kind, long number, DType dtype, long count, int root, string? text, RankGroups groups = default)
    {
        (_kind, _number, _dtype, _count, _root, _groups) = ((int)kind, number, (int)dtype, count, root, groups);
        if (text is not null) Encoding.UTF8.GetEncoder().Convert(text, _text, flush: true, out _, out _textLength, out _);
    }

    public readonly CollectiveKind Kind => (CollectiveKind)_kind;

    /// <summary>Of the rank's calls, from 1 on.</summary>
    public readonly long Number => _number;

    /// <summary>Elements of a part: of the tensor in an all-reduce or a broadcast, of one rank's share in the others.</summary>
    public readonly long Count => _count;

    public readonly DType DType => (DType)_dtype;

    public readonly int Root => _root;

    /// <summary>Those that ranks exchange in; of no size where it is all ranks.</summary>
    public readonly RankGroups Groups => _groups;

    public readonly long Bytes => _count * DType.SizeInBytes();

    /// <summary>The purpose; the reason of a rank that left.</summary>
    public readonly string Text => Encoding.UTF8.GetString(((ReadOnlySpan<byte>)_text)[..Math.Clamp(_textLength, 0, LongestText)]);

    public readonly bool Equals(CollectiveCall other) => AsBytes(this).SequenceEqual(AsBytes(other));

    public override readonly bool Equals(object? obj) => obj is CollectiveCall other && Equals(other);

    public override readonly int GetHashCode() => HashCode.Combine(_number, _kind, _count, _dtype);

    public override readonly string ToString()
    {
        string purpose = _textLength > 0 ? $" '{Text}'" : "";
        string root = Kind == CollectiveKind.Broadcast ? $" from rank {Root}" : "";
        string groups = _groups.Size > 0 ? $" in groups of {_groups.Size}" : "";
        string elements = Kind == CollectiveKind.Barrier ? "" : $" of {DType.ShortName()}[{Count}]";
        return $"{Kind}{purpose}{elements}{root}{groups} (call {Number})";
    }

    private static ReadOnlySpan<byte> AsBytes(in CollectiveCall call) =>
        MemoryMarshal.AsBytes(new ReadOnlySpan<CollectiveCall>(in call));

    [InlineArray(LongestText)]
    private struct TextBytes
    {
        private byte _first;
    }
}
