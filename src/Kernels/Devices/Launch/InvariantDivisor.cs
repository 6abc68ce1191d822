using System.Numerics;
using System.Runtime.CompilerServices;

namespace Kernels.Devices;

/// <summary>
/// A divisor as kernels take it: n / Value = (2 n * Inverse / 2^64) >> Shift for n below 2^63 (<c>portable/divisor.h</c>).
/// </summary>
internal readonly record struct InvariantDivisor(ulong Value, ulong Inverse, uint Shift)
{
    /// <summary>The numbers for a divisor from 1 to 2^62.</summary>
    public static InvariantDivisor Of(long divisor)
    {
        int shift = 64 - BitOperations.LeadingZeroCount((ulong)divisor - 1);
        return new((ulong)divisor, (ulong)((UInt128.One << (63 + shift)) / (ulong)divisor) + 1, (uint)shift);
    }

    /// <summary>n / Value, rounded down.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public long Divide(long n) => (long)(Math.BigMul(2 * (ulong)n, Inverse, out _) >> (int)Shift);
}
