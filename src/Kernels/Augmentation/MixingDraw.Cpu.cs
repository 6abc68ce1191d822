using System.Runtime.Intrinsics;
using Kernels.Cpu;
using Kernels.Devices;

namespace Kernels;

/// <content>The managed twins of <c>mixup_draw.cl</c>, <c>beta.h</c> and <c>permutation.h</c>: the same bits.</content>
internal static unsafe partial class MixingDraw
{
    private const uint Units = 1 << 24;
    private const uint DecisionDraw = 1;
    private const uint PartnerDraws = 2;
    private const ulong DataSetId = ulong.MaxValue;

    /// <summary>The root of a number below 2^52, rounded down.</summary>
    internal static ulong IntegerRoot(ulong square)
    {
        ulong root = (ulong)Math.Sqrt(square);
        while (root * root > square) root--;
        while ((root + 1) * (root + 1) <= square) root++;
        return root;
    }

    /// <summary>Beta(a, a) in units of 2^-24.</summary>
    internal static uint SymmetricBeta(uint powerWord, uint angleWord, float inverseAlpha)
    {
        float u = MathF.FusedMultiplyAdd(powerWord, 2.3283064365386963e-10f, 1.16415321826934814e-10f);
        float logarithm = CpuMath.Log(Vector512.Create(u))[0] * inverseAlpha, power = CpuMath.Exp(Vector512.Create(logarithm))[0];
        float series = MathF.FusedMultiplyAdd(logarithm, MathF.FusedMultiplyAdd(logarithm, 0.166666672f, 0.5f), 1);
        float rest = logarithm > -0.015625f ? -logarithm * series : 1 - power;
        CpuMath.CosSin(Vector512.Create(angleWord), out Vector512<float> cosines, out _);
        float cosine = cosines[0], whole = MathF.FusedMultiplyAdd(rest, cosine * cosine, power);
        float scale = BitConverter.UInt32BitsToSingle(0x7f000000u - (BitConverter.SingleToUInt32Bits(whole) & 0x7f800000u));
        ulong divisor = (ulong)(whole * scale * 2147483648f), dividend = (ulong)(power * scale * 2147483648f);
        ulong share = (dividend << 31) / divisor;
        uint halfRoot = (uint)(IntegerRoot(((1UL << 31) - share) << 17) + 1) >> 1;
        return cosine < 0 ? (Units / 2) - halfRoot : (Units / 2) + halfRoot;
    }

    /// <summary>Where a keyed permutation of 0 to size - 1 takes an index.</summary>
    internal static uint Permuted(ReadOnlySpan<uint> words, uint size, uint index)
    {
        int bits = 2;
        while (1u << bits < size) bits++;
        int lowBits = bits / 2;
        uint lowMask = (1u << lowBits) - 1, highMask = (1u << (bits - lowBits)) - 1;
        do
        {
            uint high = index >> lowBits, low = index & lowMask;
            for (int round = 0; round < 8; round += 2)
            {
                high ^= Scramble(low ^ words[round]) & highMask;
                low ^= Scramble(high ^ words[round + 1]) & lowMask;
            }

            index = (high << lowBits) | low;
        }
        while (index >= size);
        return index;
    }

    private static uint Scramble(uint x)
    {
        x = (x ^ (x >> 16)) * 0x7feb352du;
        x = (x ^ (x >> 15)) * 0x846ca68bu;
        return x ^ (x >> 16);
    }

    private static ulong IdOf(ulong* sampleIds, ulong firstSample, ulong row) => sampleIds != null ? sampleIds[row] : firstSample + row;

    private static void CpuOrder(in KernelVariant variant, in MixupOrderArguments arguments)
    {
        MixupOrderArguments a = arguments;
        int rows = (int)a.Rows;
        ulong* sampleIds = a.SampleIds.Pointer<ulong>();
        int* labels = a.Labels.Pointer<int>();
        ulong* places = a.Places.Pointer<ulong>();
        uint* order = a.Order.Pointer<uint>();
        ulong Id(uint row) => IdOf(sampleIds, a.FirstSample, row);
        int Compare(uint x, uint y) => (Id(x), x).CompareTo((Id(y), y));

        Span<uint> sorted = new(order, rows);
        for (int row = 0; row < rows; row++) sorted[row] = (uint)row;
        sorted.Sort(Compare);
        order[rows] = sorted[0];
        for (int place = 0; place < rows; place++) places[sorted[place]] = (ulong)place << 48;
        if (labels != null) sorted.Sort((x, y) => labels[x] != labels[y] ? labels[x].CompareTo(labels[y]) : Compare(x, y));
        for (int first = 0, end; first < rows; first = end)
        {
            for (end = first + 1; end < rows && (labels == null || labels[order[end]] == labels[order[first]]);) end++;
            for (int place = first; place < end; place++)
                places[order[place]] |= (uint)first | ((ulong)(place - first) << 16) | ((ulong)(end - first) << 32);
        }
    }

    private static void CpuDraw(in KernelVariant variant, in MixupDrawArguments a)
    {
        RandomKey key = a.Key.Resolve();
        ulong* sampleIds = a.SampleIds.Pointer<ulong>();
        int* labels = a.Labels.Pointer<int>();
        ulong* places = a.Places.Pointer<ulong>();
        uint* order = a.Order.Pointer<uint>();
        int* pairs = a.Pairs.Pointer<int>();
        int* otherLabels = a.OtherLabels.Pointer<int>();
        int* boxes = a.Boxes.Pointer<int>();
        ulong lowest = IdOf(sampleIds, a.FirstSample, places != null ? order[a.Rows] : 0);
        Span<uint> words = stackalloc uint[8];
        for (ulong row = 0; row < a.Rows; row++)
        {
            ulong id = IdOf(sampleIds, a.FirstSample, row), first = 0, rank = row, size = a.Rows;
            if (a.PoolRows != 0)
            {
                if (id >= a.PoolRows) CpuDataError.Report(a.Error, (long)row);
                (rank, size) = (id < a.PoolRows ? id : 0, a.PoolRows);
            }
            else if (places != null)
            {
                (first, rank, size) = ((ushort)places[row], (ushort)(places[row] >> 16), (ushort)(places[row] >> 32));
            }

            uint draw = PartnerDraws + (2 * (uint)first);
            ulong batch = a.PoolRows != 0 ? DataSetId : lowest;
            (words[0], words[1], words[2], words[3]) = AugmentKey.Draw(key, batch, a.Op, draw);
            (words[4], words[5], words[6], words[7]) = AugmentKey.Draw(key, batch, a.Op, draw + 1);
            uint partner = Permuted(words, (uint)size, (uint)rank);
            if (a.PoolRows == 0 && places != null) partner = order[first + partner];
            pairs[2 * row] = (int)partner;
            if (a.PoolRows != 0)
                pairs[(2 * row) + 1] = -1;
            else
                pairs[(2 * (ulong)partner) + 1] = (int)row;
            if (otherLabels != null) otherLabels[row] = labels[partner];

            ulong owner = a.OfBatch != 0 ? lowest : id;
            (uint w0, uint w1, uint w2, uint w3) = AugmentKey.Draw(key, owner, a.Op, 0);
            uint units = SymmetricBeta(w0, w1, (float)a.InverseAlpha);
            if (a.Threshold <= ushort.MaxValue && (ushort)AugmentKey.Draw(key, owner, a.Op, DecisionDraw).W0 >= a.Threshold) units = Units;
            if (boxes != null)
            {
                (int top, int bottom) = SideOf(w2, a.Height, Units - units);
                (int left, int right) = SideOf(w3, a.Width, Units - units);
                ulong area = (ulong)(bottom - top) * (ulong)(right - left), whole = (ulong)a.Height * a.Width;
                units = Units - (uint)(((area << 24) + (whole / 2)) / whole);
                new ReadOnlySpan<int>([top, left, bottom, right]).CopyTo(new Span<int>(boxes + (4 * row), 4));
            }

            double share = units / (double)Units;
            if (variant.DType == DType.Float64)
                a.Shares.Pointer<double>()[row] = share;
            else
                a.Shares.Pointer<float>()[row] = (float)share;
        }
    }

    /// <summary>One side of a box about a centre, clipped.</summary>
    private static (int Start, int Stop) SideOf(uint word, uint length, uint rest)
    {
        int side = (int)IntegerRoot(((ulong)length * length * rest) >> 24);
        int start = (int)(((ulong)word * length) >> 32) - (side / 2);
        return (Math.Max(0, start), Math.Min((int)length, start + side));
    }
}
