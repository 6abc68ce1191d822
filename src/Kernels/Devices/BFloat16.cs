using System.Globalization;

namespace Kernels;

/// <summary>
/// The "brain" 16-bit float: the upper half of an IEEE binary32 (8 exponent bits, 7 fraction bits). A storage type: convert to
/// <see cref="float"/> to calculate.
/// </summary>
public readonly struct BFloat16 : IEquatable<BFloat16>
{
    private readonly ushort _bits;

    private BFloat16(ushort bits) => _bits = bits;

    /// <summary>The 16 bits as stored: sign, exponent, fraction.</summary>
    public ushort Bits => _bits;

    /// <summary>The value stored in <paramref name="bits"/>.</summary>
    public static BFloat16 FromBits(ushort bits) => new(bits);

    /// <summary>Rounds to nearest, ties to even; NaN stays a (quiet) NaN of the same sign.</summary>
    public static explicit operator BFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        if (float.IsNaN(value)) return new((ushort)((bits >> 16) | 0x40));
        return new((ushort)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16));
    }

    /// <summary>
    /// Rounds to nearest, ties to even, in one step: the way through float is made odd-rounded first, so that it cannot round twice.
    /// </summary>
    public static explicit operator BFloat16(double value)
    {
        float nearest = (float)value;
        if (!float.IsFinite(nearest) || nearest == value) return (BFloat16)nearest;

        // Round to odd: truncate towards zero, then set the last bit, which records that something was cut off.
        uint bits = BitConverter.SingleToUInt32Bits(nearest);
        if (Math.Abs((double)nearest) > Math.Abs(value)) bits--;
        return (BFloat16)BitConverter.UInt32BitsToSingle(bits | 1);
    }

    /// <summary>Exact.</summary>
    public static implicit operator float(BFloat16 value) => BitConverter.UInt32BitsToSingle((uint)value._bits << 16);

    /// <summary>Exact.</summary>
    public static implicit operator double(BFloat16 value) => (float)value;

    /// <summary>Compares as floats: NaN differs from all, +0 equals -0.</summary>
    public static bool operator ==(BFloat16 left, BFloat16 right) => (float)left == (float)right;

    /// <summary>The opposite of equality.</summary>
    public static bool operator !=(BFloat16 left, BFloat16 right) => !(left == right);

    /// <inheritdoc/>
    public bool Equals(BFloat16 other) => ((float)this).Equals((float)other);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is BFloat16 other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => ((float)this).GetHashCode();

    /// <inheritdoc/>
    public override string ToString() => ((float)this).ToString(CultureInfo.InvariantCulture);
}
