using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Reference;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Randomness;

/// <summary>Every implementation of the generator gives Random123's known answers, and the scalar one's words anywhere else.</summary>
public sealed class PhiloxTests(TestDevices devices)
{
    /// <summary>Blocks where a counter word or the number itself overflows within one draw.</summary>
    private static readonly ulong[] EdgeBlocks =
        [0, 1, uint.MaxValue - 7UL, uint.MaxValue, 1UL << 32, (1UL << 63) - 4, ulong.MaxValue - 7, ulong.MaxValue];

    [Fact]
    public void KnownAnswers_AreSix()
    {
        Assert.Equal(6, KnownAnswer.All.Count);
        Assert.Equal(3, KnownAnswer.OfTenRounds.Count());
    }

    [Fact]
    public void Reference_GivesAllKnownAnswers()
    {
        foreach (KnownAnswer answer in KnownAnswer.All)
            Assert.Equal(answer.Output, PhiloxReference.Block(answer.Counter, answer.Key, answer.Rounds));
        foreach (KnownAnswer answer in KnownAnswer.OfTenRounds)
            Assert.Equal(answer.Output, PhiloxReference.Block(answer.RandomKey.Seed, answer.RandomKey.Offset, answer.Block));
    }

    [Fact]
    public void Scalar_GivesTheKnownAnswers()
    {
        foreach (KnownAnswer answer in KnownAnswer.OfTenRounds)
            Assert.Equal(answer.Output, Words(Philox.Block(answer.RandomKey, answer.Block)));
    }

    [Fact]
    public void Vector_GivesTheKnownAnswersInEachOfItsBlocks()
    {
        foreach (KnownAnswer answer in KnownAnswer.OfTenRounds)
        {
            ushort[] expected = [.. answer.Output.SelectMany(word => new[] { (ushort)word, (ushort)(word >> 16) })];
            for (ulong place = 0; place < 8; place++)
            {
                ushort[] lanes = Draw(answer.RandomKey, unchecked(answer.Block - place));
                Assert.Equal(expected, lanes.AsSpan((int)(8 * place), 8).ToArray());
            }
        }
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Device_GivesTheKnownAnswers(string deviceId)
    {
        using DeviceStream stream = devices.CreateStream(deviceId);
        foreach (KnownAnswer answer in KnownAnswer.OfTenRounds)
        {
            using DeviceTensor<uint> words = stream.Device.Allocate<uint>(4);
            RandomBits.Fill(stream, words, answer.RandomKey, answer.Block);
            Assert.Equal(answer.Output, words.ToArray(stream));
        }
    }

    [Theory]
    [MemberData(nameof(TestDevices.Rows), MemberType = typeof(TestDevices))]
    public void Device_GivesTheScalarWords(string deviceId)
    {
        const int Blocks = 20_000;
        using DeviceStream stream = devices.CreateStream(deviceId);
        using DeviceTensor<uint> words = stream.Device.Allocate<uint>(4 * Blocks);
        foreach (ulong first in EdgeBlocks)
        {
            RandomKey key = new(0xfedcba9876543210 ^ first, ~first);
            RandomBits.Fill(stream, words, key, first);
            uint[] expected = [.. Enumerable.Range(0, Blocks).SelectMany(i => Words(Philox.Block(key, unchecked(first + (ulong)i))))];
            Bits.AssertEqual<uint>(expected, words.ToArray(stream), $"from block {first}");
        }
    }

    [Fact]
    public void Vector_GivesTheScalarLanes()
    {
        Random random = new(1);
        for (int draw = 0; draw < 5_000; draw++)
        {
            RandomKey key = new(Any(random), Any(random));
            ulong block = draw < EdgeBlocks.Length ? EdgeBlocks[draw] : Any(random);
            ushort[] expected = [.. Enumerable.Range(0, 32).SelectMany(i => Lanes(Philox.Block(key, unchecked(block + (ulong)i))))];
            ushort[] one = [.. Enumerable.Range(0, 4).SelectMany(i => Draw(key, unchecked(block + (8 * (ulong)i))))];
            Bits.AssertEqual<ushort>(expected, one, $"{key}, block {block}");
            Bits.AssertEqual<ushort>(expected, DrawFour(key, block), $"{key}, four from block {block}");
        }
    }

    [Fact]
    public void Vector_GivesTheScalarPairs()
    {
        Random random = new(3);
        for (int draw = 0; draw < 2_000; draw++)
        {
            RandomKey key = new(Any(random), Any(random));
            ulong block = draw < EdgeBlocks.Length ? EdgeBlocks[draw] : Any(random);
            uint[] expected = [.. Enumerable.Range(0, 6).SelectMany(i => Pairs(key, unchecked(block + (8 * (ulong)i))))];
            Bits.AssertEqual<uint>(expected, DrawPairs(key, block), $"{key}, one by one from block {block}");
            Bits.AssertEqual<uint>(expected, DrawSixPairs(key, block), $"{key}, six from block {block}");
        }
    }

    [Fact]
    public void Scalar_GivesTheReferenceWordsAndLanes()
    {
        Random random = new(2);
        for (int draw = 0; draw < 5_000; draw++)
        {
            RandomKey key = new(Any(random), Any(random));
            ulong index = Any(random);
            Assert.Equal(PhiloxReference.Block(key.Seed, key.Offset, index), Words(Philox.Block(key, index)));
            Assert.Equal(PhiloxReference.Lane(key.Seed, key.Offset, index), Philox.Lane(key, index));
        }
    }

    [Fact]
    public void DerivedKeys_AreDistinctAndKeepTheOffset()
    {
        const int Offsets = 50, Indices = 50;
        RandomKey[] keys = [.. Enumerable.Range(0, Offsets * Indices)
            .Select(i => new RandomKey(42, (ulong)(i / Indices)).Derive((ulong)(i % Indices)))];
        Assert.Equal(keys.Length, keys.Select(key => key.Seed).Distinct().Count());
        Assert.Equal(7UL, new RandomKey(42, 7).Derive(3).Offset);
        Assert.Equal(new RandomKey(42, 8), new RandomKey(42, 7).Next());
    }

    private static ulong Any(Random random) => (ulong)random.NextInt64(long.MinValue, long.MaxValue);

    private static uint[] Words((uint W0, uint W1, uint W2, uint W3) block) => [block.W0, block.W1, block.W2, block.W3];

    private static IEnumerable<ushort> Lanes((uint W0, uint W1, uint W2, uint W3) block) =>
        Words(block).SelectMany(word => new[] { (ushort)word, (ushort)(word >> 16) });

    /// <summary>Words 0 and 2 of eight blocks, then words 1 and 3, in the order of the vectors' lanes.</summary>
    private static IEnumerable<uint> Pairs(RandomKey key, ulong block)
    {
        uint[][] blocks = [.. new ulong[] { 0, 4, 1, 5, 2, 6, 3, 7 }.Select(i => Words(Philox.Block(key, unchecked(block + i))))];
        return blocks.SelectMany(words => new[] { words[0], words[2] }).Concat(blocks.SelectMany(words => new[] { words[1], words[3] }));
    }

    private static unsafe uint[] DrawPairs(RandomKey key, ulong block)
    {
        uint[] words = new uint[6 * CpuNormals.Lanes];
        fixed (uint* first = words)
        {
            for (int i = 0; i < 6; i++) new CpuPhilox(key).DrawPairs(unchecked(block + (8 * (ulong)i)), first + (i * CpuNormals.Lanes));
        }

        return words;
    }

    private static unsafe uint[] DrawSixPairs(RandomKey key, ulong block)
    {
        uint[] words = new uint[6 * CpuNormals.Lanes];
        fixed (uint* first = words) new CpuPhilox(key).DrawSixPairs(block, first);
        return words;
    }

    private static ushort[] Draw(RandomKey key, ulong block)
    {
        new CpuPhilox(key).Draw(block, out Vector512<ushort> first, out Vector512<ushort> second);
        ushort[] lanes = new ushort[CpuPhilox.Lanes];
        first.CopyTo(lanes);
        second.CopyTo(lanes, 32);
        return lanes;
    }

    private static unsafe ushort[] DrawFour(RandomKey key, ulong block)
    {
        ushort[] lanes = new ushort[CpuPhilox.LanesOfFour];
        fixed (ushort* first = lanes) new CpuPhilox(key).DrawFour(block, first);
        return lanes;
    }
}
