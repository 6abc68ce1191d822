using Xunit;

namespace Kernels.Tests.Devices;

/// <summary>Every bfloat16, and every place where rounding to one changes.</summary>
public sealed class BFloat16Tests
{
    private static IEnumerable<ushort> AllBits => Enumerable.Range(0, 1 << 16).Select(bits => (ushort)bits);

    [Fact]
    public void EveryValue_SurvivesTheWayThroughFloatAndDouble()
    {
        foreach (ushort bits in AllBits)
        {
            BFloat16 value = BFloat16.FromBits(bits);
            Assert.Equal((uint)bits << 16, BitConverter.SingleToUInt32Bits(value));
            if (float.IsNaN(value))
            {
                // A signalling NaN comes back quiet; sign and payload stay.
                Assert.Equal(bits | 0x40, ((BFloat16)(float)value).Bits);
                Assert.True(double.IsNaN(value) && double.IsNaN((BFloat16)(double)value));
                continue;
            }

            Assert.Equal(bits, ((BFloat16)(float)value).Bits);
            Assert.Equal(bits, ((BFloat16)(double)value).Bits);
            Assert.Equal((double)(float)value, (double)value);
        }
    }

    /// <summary>
    /// Between two neighbours: below the middle to the lower, above to the upper, at the middle to the even one. Infinity is the neighbour
    /// above the largest.
    /// </summary>
    [Fact]
    public void Between_RoundsToTheNearestAndTiesToEven()
    {
        for (int low = 0; low < 0x7f80; low++)
        {
            ushort high = (ushort)(low + 1), even = (ushort)(low % 2 == 0 ? low : high);
            uint middle = ((uint)low << 16) | 0x8000;
            foreach (uint sign in (uint[])[0, 0x8000])
            {
                Assert.Equal(sign | (uint)low, ((BFloat16)Single(middle - 1, sign)).Bits);
                Assert.Equal(sign | even, ((BFloat16)Single(middle, sign)).Bits);
                Assert.Equal(sign | high, ((BFloat16)Single(middle + 1, sign)).Bits);
            }
        }
    }

    /// <summary>
    /// A double just off the middle is the middle as a float: rounded twice, it would go to the even neighbour, the nearer or not.
    /// </summary>
    [Fact]
    public void Double_IsRoundedOnce()
    {
        for (int low = 0; low < 0x7f80; low++)
        {
            ushort high = (ushort)(low + 1), even = (ushort)(low % 2 == 0 ? low : high);
            double middle = Single(((uint)low << 16) | 0x8000, sign: 0);
            Assert.Equal(low, ((BFloat16)Math.BitDecrement(middle)).Bits);
            Assert.Equal(even, ((BFloat16)middle).Bits);
            Assert.Equal(high, ((BFloat16)Math.BitIncrement(middle)).Bits);
            Assert.Equal(0x8000 | low, ((BFloat16)(-Math.BitDecrement(middle))).Bits);
            Assert.Equal(0x8000 | high, ((BFloat16)(-Math.BitIncrement(middle))).Bits);
        }
    }

    [Fact]
    public void OutOfRangeDoubles_BecomeInfinityOrZero()
    {
        Assert.Equal(0x7f80, ((BFloat16)1e300).Bits);
        Assert.Equal(0xff80, ((BFloat16)(-1e300)).Bits);
        Assert.Equal(0x7f80, ((BFloat16)double.PositiveInfinity).Bits);
        Assert.Equal(0x0000, ((BFloat16)1e-300).Bits);
        Assert.Equal(0x8000, ((BFloat16)(-1e-300)).Bits);
        Assert.Equal(0x8000, ((BFloat16)(-0.0)).Bits);
    }

    [Fact]
    public void Equality_IsThatOfFloats()
    {
        BFloat16 zero = default, negativeZero = BFloat16.FromBits(0x8000), nan = BFloat16.FromBits(0x7fc0), one = BFloat16.FromBits(0x3f80);
        Assert.True(zero == negativeZero);
        Assert.True(zero.Equals(negativeZero));
        Assert.Equal(zero.GetHashCode(), negativeZero.GetHashCode());
        Assert.True(nan != BFloat16.FromBits(0x7fc0));
        Assert.True(nan.Equals((object)nan));
        Assert.False(one.Equals(zero));
        Assert.False(one.Equals("1"));
        Assert.Equal("1", one.ToString());
    }

    private static float Single(uint bits, uint sign) => BitConverter.UInt32BitsToSingle(bits | (sign << 16));
}
