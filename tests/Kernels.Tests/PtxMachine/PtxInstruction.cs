using System.Globalization;
using Kernels.Interop;

namespace Kernels.Tests.PtxMachine;

/// <summary>An instruction with its sources and the result that NVIDIA documents, each as bits.</summary>
/// <param name="Text">The mnemonic.</param>
/// <param name="Operands">The widths of result and sources: h 16, w 32, q 64 bits, p a predicate.</param>
/// <param name="Expected">The result.</param>
/// <param name="Sources">The sources.</param>
internal sealed record PtxInstruction(string Text, string Operands, ulong Expected, params ulong[] Sources)
{
    private const uint One = 0x3f800000, MinusZero = 0x80000000, Infinity = 0x7f800000, Nan = 0x7fffffff, AnyNan = 0xffc12345;
    private const uint Largest = 0x7f7fffff, Subnormal = 0x00000123;

    /// <summary>Further operands, as they are written after the sources.</summary>
    public string More { get; init; } = "";

    public static IReadOnlyList<PtxInstruction> All { get; } =
    [
        // Integers.
        new("add.s32", "www", 0, 0xffffffff, 1),
        new("add.sat.s32", "www", 0x7fffffff, 0x7fffffff, 1),
        new("sub.s64", "qqq", 0xffffffffffffffff, 0, 1),
        new("mul.hi.u32", "www", 0xfffffffe, 0xffffffff, 0xffffffff),
        new("mul.hi.s32", "www", 0, 0xffffffff, 0xffffffff),
        new("mul.wide.s32", "qww", 0xffffffffffffffff, 0xffffffff, 1),
        new("mul.wide.u16", "whh", 0xfffe0001, 0xffff, 0xffff),
        new("mad.lo.s32", "wwww", 7, 2, 3, 1),
        new("dp2a.lo.u32.u32", "wwww", (0xffffu * 0xff) + (2 * 3) + 7, 0x0002ffff, 0x050403ff, 7),
        new("dp2a.hi.u32.u32", "wwww", (0xffffu * 4) + (2 * 5) + 7, 0x0002ffff, 0x050403ff, 7),
        new("mul.hi.u64", "qqq", 0xfffffffffffffffe, 0xffffffffffffffff, 0xffffffffffffffff),
        new("div.s32", "www", 0xfffffffd, 0xfffffff9, 2),
        new("rem.s32", "www", 0xffffffff, 0xfffffff9, 2),
        new("div.u32", "www", 0xffffffff, 5, 0),
        new("min.s32", "www", 0x80000000, 0x80000000, 1),
        new("max.u32", "www", 0x80000000, 0x80000000, 1),
        new("abs.s32", "ww", 5, 0xfffffffb),
        new("shl.b32", "www", 0, 1, 32),
        new("shr.u32", "www", 0, 0x80000000, 32),
        new("shr.s32", "www", 0xffffffff, 0x80000000, 40),
        new("shl.b64", "qqw", 1UL << 63, 1, 63),
        new("shf.l.wrap.b32", "wwww", 0x23456789, 0x9abcdef0, 0x12345678, 4),
        new("shf.r.wrap.b32", "wwww", 0x89abcdef, 0x9abcdef0, 0x12345678, 4),
        new("shf.r.clamp.b32", "wwww", 0x12345678, 0x9abcdef0, 0x12345678, 40),
        new("popc.b64", "wq", 64, 0xffffffffffffffff),
        new("clz.b32", "ww", 32, 0),
        new("brev.b32", "ww", 0x80000000, 1),
        new("bfind.u32", "ww", 31, 0x80000000),
        new("bfind.s32", "ww", 0xffffffff, 0xffffffff),
        new("bfe.u32", "wwww", 0x5, 0x56, 4, 4),
        new("bfe.s32", "wwww", 0xfffffffa, 0xa6, 4, 4),
        new("bfi.b32", "wwwww", 0xffff5fff, 5, 0xffffffff, 12, 4),
        new("prmt.b32", "wwww", 0x33ff1100, 0x33221100, 0x77665584, 0x3c10),
        new("lop3.b32", "wwww", 0xf0 ^ 0xcc ^ 0xaa, 0xf0, 0xcc, 0xaa) { More = ", 150" },
        new("selp.b32", "wwwp", 3, 3, 4, 1),
        new("slct.s32.f32", "wwww", 4, 3, 4, 0xbf800000),

        // Floating point: to nearest even, one rounding for a fused product, NaN without payload, no flush unless asked for.
        new("add.f32", "www", 0x4b800000, 0x4b800000, One),
        new("add.rp.f32", "www", 0x4b800001, 0x4b800000, One),
        new("add.rz.f32", "www", 0x4b7fffff, 0x4b800000, 0xbdcccccd),
        new("add.f32", "www", Nan, AnyNan, One),
        new("sub.f32", "www", Nan, Infinity, Infinity),
        new("mul.f32", "www", Subnormal, Subnormal, One),
        new("mul.ftz.f32", "www", 0, Subnormal, One),
        new("mul.sat.f32", "www", One, 0x40000000, 0x40000000),
        new("mul.sat.f32", "www", 0, AnyNan, One),
        new("fma.rn.f32", "wwww", Fused(0x3f800001, 0x3f7ffffe, 0xbf800000), 0x3f800001, 0x3f7ffffe, 0xbf800000),
        new("fma.rm.f32", "wwww", 0x3f7fffff, One, One, 0xb0000000),
        new("min.f32", "www", MinusZero, 0, MinusZero),
        new("max.f32", "www", One, AnyNan, One),
        new("max.f32", "www", Nan, AnyNan, AnyNan),
        new("max.NaN.f32", "www", Nan, AnyNan, One),
        new("neg.f32", "ww", MinusZero, 0),
        new("abs.f32", "ww", One, 0xbf800000),
        new("div.rn.f32", "www", 0x3eaaaaab, One, 0x40400000),
        new("rcp.rn.f32", "ww", Infinity, 0),
        new("sqrt.rn.f32", "ww", 0x3fb504f3, 0x40000000),
        new("sqrt.rn.f32", "ww", Nan, 0xbf800000),
        new("ex2.approx.ftz.f32", "ww", 0x41000000, 0x40400000),
        new("ex2.approx.ftz.f32", "ww", 0, 0xff800000),
        new("lg2.approx.f32", "ww", 0x40400000, 0x41000000),
        new("lg2.approx.f32", "ww", 0xff800000, 0),
        new("copysign.f32", "www", 0xbf800000, MinusZero, One),
        new("fma.rn.f64", "qqqq", Bits(7), Bits(2), Bits(3), Bits(1)),
        new("add.rn.f16x2", "www", 0x40004200, 0x3c003c00, 0x3c004000),
        new("fma.rn.bf16", "hhhh", 0x40e0, 0x4000, 0x4040, 0x3f80),

        // Comparisons: ordered ones are false of NaN, unordered ones true.
        new("setp.lt.s32", "pww", 1, 0xffffffff, 0),
        new("setp.lo.u32", "pww", 0, 0xffffffff, 0),
        new("setp.ne.f32", "pww", 0, AnyNan, One),
        new("setp.neu.f32", "pww", 1, AnyNan, One),
        new("setp.geu.f32", "pww", 1, One, AnyNan),
        new("setp.nan.f32", "pww", 1, One, AnyNan),
        new("setp.eq.f32", "pww", 1, 0, MinusZero),
        new("setp.eq.ftz.f32", "pww", 1, Subnormal, 0),
        new("set.gt.u32.f32", "www", 0xffffffff, 0x40000000, One),
        new("testp.subnormal.f32", "pw", 1, Subnormal),

        // Conversions: whole numbers stay within their type, NaN is 0; halves round to nearest even.
        new("cvt.rzi.s32.f32", "ww", 0xfffffffe, 0xc0333333),
        new("cvt.rzi.s32.f32", "ww", 0x7fffffff, 0x4f000000),
        new("cvt.rzi.u32.f32", "ww", 0, 0xbf800000),
        new("cvt.rzi.u32.f32", "ww", 0, AnyNan),
        new("cvt.rni.s32.f32", "ww", 2, 0x40200000),
        new("cvt.rmi.f32.f32", "ww", 0xc0000000, 0xbfc00000),
        new("cvt.rpi.f32.f32", "ww", 0xbf800000, 0xbfc00000),
        new("cvt.rzi.s64.f64", "qq", 0x7fffffffffffffff, Bits(1e300)),
        new("cvt.rn.f32.s32", "ww", 0x4b800000, 0x01000001),
        new("cvt.rp.f32.s32", "ww", 0x4b800001, 0x01000001),
        new("cvt.rn.f32.u64", "wq", 0x5f800000, 0xffffffffffffffff),
        new("cvt.rn.f32.f64", "wq", One, Bits(1 + 1e-9)),
        new("cvt.f64.f32", "qw", Bits(1), One),
        new("cvt.sat.f32.f32", "ww", 0, AnyNan),
        new("cvt.sat.f32.f32", "ww", One, 0x40000000),
        new("cvt.sat.u8.s32", "ww", 255, 300),
        new("cvt.s32.s8", "ww", 0xffffff80, 0x180),
        new("cvt.u16.u32", "hw", 0x5678, 0x12345678),
        new("cvt.s64.s32", "qw", 0xffffffff80000000, 0x80000000),
        new("cvt.f32.f16", "wh", 0x33800000, 0x0001),
        new("cvt.f32.f16", "wh", Nan, 0x7e01),
        new("cvt.rn.f16.f32", "hw", 0x7c00, 0x477ff000),
        new("cvt.rn.f16.f32", "hw", 0x7bff, 0x477fefff),
        new("cvt.rz.f16.f32", "hw", 0x7bff, Largest),
        new("cvt.rn.f16.f32", "hw", 0x0000, 0x33000000),
        new("cvt.rn.f16.f32", "hw", 0x0001, 0x33000001),
        new("cvt.rn.f16.f32", "hw", 0x7fff, AnyNan),
        new("cvt.rn.bf16.f32", "hw", 0x3f80, 0x3f808000),
        new("cvt.rn.bf16.f32", "hw", 0x3f82, 0x3f818000),
        new("cvt.rn.bf16.f32", "hw", 0x7fff, AnyNan),
        new("cvt.rn.bf16x2.f32", "www", 0x3f804000, One, 0x40000000),
        new("cvt.rn.f16x2.f32", "www", 0x3c004000, One, 0x40000000),
    ];

    public override string ToString() =>
        $"{Text} of {string.Join(", ", Sources.Select(bits => bits.ToString("x", CultureInfo.InvariantCulture)))}";

    /// <summary>What is wrong, or null.</summary>
    public string? Failure()
    {
        // The memory holds a pair of words for each source, and the result at its start.
        uint[] words = new uint[64];
        List<string> names = [];
        string body = "";
        for (int k = 0; k < Sources.Length; k++)
        {
            (words[2 * k], words[(2 * k) + 1]) = ((uint)Sources[k], (uint)(Sources[k] >> 32));
            char width = Operands[k + 1];
            body += width == 'p' ? $"ld.global.u32 %r8, [%rd0+{8 * k}]; setp.ne.u32 %p{k + 1}, %r8, 0; "
                : $"ld.global.b{Bits(width)} {Register(width, k + 1)}, [%rd0+{8 * k}]; ";
            names.Add(Register(width, k + 1));
        }

        string result = Register(Operands[0], 0);
        body += $"{Text} {result}, {string.Join(", ", names)}{More}; ";
        body += Operands[0] == 'p'
            ? "selp.u32 %r0, 1, 0, %p0; st.global.u32 [%rd0], %r0;"
            : $"st.global.b{Bits(Operands[0])} [%rd0], {result};";
        (CudaStatus status, uint[] after, string[] violations) = PtxText.Run(body, words, threads: 1);
        if (status != CudaStatus.Success) return $"{status}: {string.Join("; ", violations)}";
        ulong actual = Operands[0] switch
        {
            'q' => after[0] | ((ulong)after[1] << 32),
            'h' => after[0] & 0xffff,
            _ => after[0],
        };
        return actual == Expected ? null : $"{actual:x} instead of {Expected:x}";
    }

    private static ulong Bits(double value) => BitConverter.DoubleToUInt64Bits(value);

    private static int Bits(char width) => width switch { 'h' => 16, 'w' => 32, _ => 64 };

    // Register 0 of 64 bits holds the address.
    private static string Register(char width, int index) => width switch
    {
        'p' => $"%p{index}",
        'h' => $"%h{index}",
        'w' => $"%r{index}",
        _ => $"%rd{(index == 0 ? 8 : index)}",
    };

    private static uint Fused(uint a, uint b, uint c) => BitConverter.SingleToUInt32Bits(MathF.FusedMultiplyAdd(
        BitConverter.UInt32BitsToSingle(a), BitConverter.UInt32BitsToSingle(b), BitConverter.UInt32BitsToSingle(c)));
}
