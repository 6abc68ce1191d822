using Kernels.Interop;

namespace Kernels.Tests.PtxMachine;

/// <summary>
/// Instructions that take more than one thread, or more than one place: a kernel with what its memory holds before and after.
/// </summary>
/// <param name="Name">What it shows.</param>
/// <param name="Body">Its instructions; <see cref="PtxText"/> says what the registers hold.</param>
/// <param name="Before">The words of memory.</param>
/// <param name="After">What the words must be, from the first one on.</param>
internal sealed record PtxProgram(string Name, string Body, uint[] Before, uint[] After)
{
    private const int Lanes = 32;
    private const uint Nothing = 0xffffffff;

    /// <summary>Each thread has a row of 16 bytes, of eight halves that say row and column: 0x0307 is column 7 of row 3.</summary>
    private const string FillRows =
        """
        .shared .align 16 .b8 rows[512];
        mov.u32 %r4, rows;
        shl.b32 %r5, %r0, 4;
        add.u32 %r4, %r4, %r5;
        shl.b32 %r5, %r0, 8;
        prmt.b32 %r5, %r5, %r5, 0x1010;
        or.b32 %r6, %r5, 0x00010000; st.shared.u32 [%r4], %r6;
        or.b32 %r6, %r5, 0x00030002; st.shared.u32 [%r4+4], %r6;
        or.b32 %r6, %r5, 0x00050004; st.shared.u32 [%r4+8], %r6;
        or.b32 %r6, %r5, 0x00070006; st.shared.u32 [%r4+12], %r6;
        bar.sync 0;
        xor.b32 %r5, %r0, 3;
        shl.b32 %r5, %r5, 4;
        mov.u32 %r4, rows;
        add.u32 %r4, %r4, %r5;
        shl.b32 %r5, %r0, 4;
        cvt.u64.u32 %rd2, %r5;
        add.s64 %rd2, %rd0, %rd2;

        """;

    /// <summary>Registers 4 to 7 of all threads, one thread after the other.</summary>
    private const string StoreFour = "st.global.v4.u32 [%rd2], {%r4, %r5, %r6, %r7};";

    public uint Threads { get; init; } = Lanes;

    /// <summary>Functions that the kernel calls.</summary>
    public string Functions { get; init; } = "";

    public static IReadOnlyList<PtxProgram> All { get; } =
    [
        Product("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", depth: 16, value => BitConverter.HalfToUInt16Bits((Half)value)),
        Product("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", depth: 16, value => Bits(value) >> 16),
        Product("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", depth: 8, Bits),

        MatrixLoad("x1", 1, isTransposed: false),
        MatrixLoad("x2", 2, isTransposed: false),
        MatrixLoad("x4", 4, isTransposed: false),
        MatrixLoad("x2", 2, isTransposed: true),
        MatrixLoad("x4", 4, isTransposed: true),

        new("cp.async: the older of two batches is there, behind a barrier for all",
            """
            cp.async.ca.shared.global [%r3], [%rd1], 4;
            cp.async.commit_group;
            cp.async.ca.shared.global [%r3+128], [%rd1+128], 4;
            cp.async.commit_group;
            cp.async.wait_group 1;
            bar.sync 0;
            xor.b32 %r4, %r2, 124;
            mov.u32 %r5, tile;
            add.u32 %r5, %r5, %r4;
            ld.shared.u32 %r6, [%r5];
            st.global.u32 [%rd1], %r6;
            cp.async.wait_all;
            ld.shared.u32 %r6, [%r3+128];
            st.global.u32 [%rd1+256], %r6;
            """,
            [.. Words(64), .. new uint[32]], [.. Words(32).Reverse(), .. Words(64)[32..], .. Words(64)[32..]]),
        new("cp.async of 16 bytes, with zeros behind what there is",
            """
            cp.async.cg.shared.global [tile], [%rd0], 16;
            mov.u32 %r4, 4;
            cp.async.cg.shared.global [tile+16], [%rd0], 16, %r4;
            mov.u32 %r4, 0;
            cp.async.ca.shared.global [tile+32], [%rd0], 8, %r4;
            cp.async.wait_all;
            ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [tile+16];
            st.global.v4.u32 [%rd0+16], {%r4, %r5, %r6, %r7};
            ld.shared.v2.u32 {%r4, %r5}, [tile+32];
            ld.shared.u32 %r6, [tile+12];
            st.global.u32 [%rd0], %r6;
            st.global.u32 [%rd0+4], %r4;
            st.global.u32 [%rd0+8], %r5;
            """,
            [5, 6, 7, 8, 9, 9, 9, 9], [8, 0, 0, 8, 5, 0, 0, 0])
        { Threads = 1 },

        new("bar.red: 20 of 64 threads",
            """
            setp.lt.u32 %p0, %r0, 20;
            setp.lt.u32 %p1, %r0, 64;
            bar.red.popc.u32 %r4, 0, %p0;
            bar.red.popc.u32 %r5, 0, !%p0;
            bar.red.or.pred %p2, 0, %p0;
            bar.red.and.pred %p3, 0, !%p0;
            bar.red.and.pred %p4, 0, %p1;
            barrier.red.or.pred %p5, 0, !%p1;
            selp.u32 %r6, 1, 0, %p2;
            @%p3 or.b32 %r6, %r6, 2;
            @%p4 or.b32 %r6, %r6, 4;
            @%p5 or.b32 %r6, %r6, 8;
            shl.b32 %r6, %r6, 16;
            shl.b32 %r5, %r5, 8;
            or.b32 %r4, %r4, %r5;
            or.b32 %r4, %r4, %r6;
            st.global.u32 [%rd1], %r4;
            """,
            new uint[64], [.. Enumerable.Repeat(0x00052c14u, 64)])
        { Threads = 64 },

        new("call: twice, one function by another, for some threads, with an early return",
            """
            {
                .param .b32 param0;
                .param .b64 param1;
                .param .b32 retval0;
                st.param.b32 [param0+0], %r0;
                st.param.b64 [param1+0], %rd0;
                call.uni (retval0), collatz, (param0, param1);
                ld.param.b32 %r4, [retval0+0];
            }
            setp.lt.u32 %p0, %r0, 4;
            mov.u32 %r5, 100;
            {
                .param .b32 param0;
                .param .b32 retval0;
                st.param.b32 [param0+0], %r5;
                st.param.b32 [retval0+0], %r4;
                @%p0 call (retval0), doubled, (param0);
                ld.param.b32 %r4, [retval0+0];
            }
            st.global.u32 [%rd1], %r4;
            """,
            new uint[8], [200, 200, 200, 200, 102, 116, 103, 122])
        {
            Threads = 8,
            Functions =
                """
                .func (.param .b32 func_retval0) doubled(.param .b32 doubled_param_0);
                // What comes after n, and 100 more where n is more than 3.
                .func (.param .b32 func_retval0) collatz(.param .b32 collatz_param_0, .param .b64 collatz_param_1)
                {
                    .reg .pred %p<3>;
                    .reg .b32 %r<9>;
                    ld.param.u32 %r0, [collatz_param_0];
                    and.b32 %r1, %r0, 1;
                    setp.eq.u32 %p0, %r1, 1;
                    @%p0 bra $odd;
                    shr.u32 %r2, %r0, 1;
                    bra $join;
                $odd:
                    mad.lo.u32 %r2, %r0, 3, 1;
                $join:
                    setp.gt.u32 %p1, %r0, 3;
                    st.param.b32 [func_retval0+0], %r2;
                    @!%p1 ret;
                    {
                        .param .b32 param0;
                        .param .b32 retval0;
                        mov.u32 %r4, 50;
                        st.param.b32 [param0+0], %r4;
                        call.uni (retval0), doubled, (param0);
                        ld.param.b32 %r4, [retval0+0];
                    }
                    add.u32 %r2, %r2, %r4;
                    st.param.b32 [func_retval0+0], %r2;
                    ret;
                }
                .func (.param .b32 func_retval0) doubled(.param .b32 doubled_param_0)
                {
                    .reg .b32 %r<2>;
                    ld.param.u32 %r0, [doubled_param_0];
                    shl.b32 %r0, %r0, 1;
                    bra $join;
                $join:
                    st.param.b32 [func_retval0+0], %r0;
                    ret;
                }

                """,
        },

        new("brx.idx: three ways that meet again",
            """
            mov.u32 %r4, 7;
            rem.u32 %r5, %r0, 3;
            targets: .branchtargets $ten, $twenty, $thirty;
            brx.idx %r5, targets;
            $thirty: add.u32 %r4, %r4, 10;
            $twenty: add.u32 %r4, %r4, 10;
            $ten: add.u32 %r4, %r4, 10;
            st.global.u32 [%rd1], %r4;
            """,
            new uint[32], [.. Enumerable.Range(0, 32).Select(lane => (uint)(17 + (10 * (lane % 3))))]),
    ];

    public override string ToString() => Name;

    /// <summary>What is wrong, or null.</summary>
    public string? Failure()
    {
        (CudaStatus status, uint[] after, string[] violations) = PtxText.Run(Body, Before, Threads, functions: Functions);
        if (status != CudaStatus.Success) return $"{status}: {string.Join("; ", violations)}";
        int wrong = Enumerable.Range(0, After.Length).FirstOrDefault(i => after[i] != After[i], -1);
        return wrong < 0 ? null : $"word {wrong} is {after[wrong]:x} instead of {After[wrong]:x}";
    }

    /// <summary>
    /// d = a b + c of whole numbers small enough for every sum to be exact. Thread l holds what the ISA's figures give to its group
    /// g = l / 4 and its place t = l % 4: ten words of a, b and c, and four of d.
    /// </summary>
    private static PtxProgram Product(string mnemonic, int depth, Func<float, uint> encode)
    {
        bool isHalf = depth == 16;
        uint[] before = new uint[Lanes * 14];
        uint[] after = new uint[Lanes * 14];
        for (int lane = 0; lane < Lanes; lane++)
        {
            (int g, int t) = (lane / 4, lane % 4);
            for (int i = 0; i < 4; i++)
            {
                (int row, int column) = (g + (i % 2 * 8), isHalf ? (2 * t) + (i / 2 * 8) : t + (i / 2 * 4));
                before[(lane * 14) + i] = Pair(A(row, column), A(row, column + 1));
            }

            for (int i = 0; i < 2; i++)
            {
                int row = isHalf ? (2 * t) + (8 * i) : t + (4 * i);
                before[(lane * 14) + 4 + i] = Pair(B(row, g), B(row + 1, g));
            }

            for (int i = 0; i < 4; i++)
            {
                (int row, int column) = (g + (i / 2 * 8), (2 * t) + (i % 2));
                before[(lane * 14) + 6 + i] = Bits(C(row, column));
                before[(lane * 14) + 10 + i] = Nothing;
                after[(lane * 14) + 10 + i] =
                    Bits(C(row, column) + Enumerable.Range(0, depth).Sum(k => A(row, k) * B(k, column)));
            }

            before.AsSpan(lane * 14, 10).CopyTo(after.AsSpan(lane * 14));
        }

        string body =
            $$"""
            .reg .b32 %a<4>;
            .reg .b32 %b<2>;
            .reg .f32 %c<4>;
            .reg .f32 %d<4>;
            mul.wide.u32 %rd2, %r0, 56;
            add.s64 %rd2, %rd0, %rd2;
            ld.global.v2.u32 {%a0, %a1}, [%rd2];
            ld.global.v2.u32 {%a2, %a3}, [%rd2+8];
            ld.global.v2.u32 {%b0, %b1}, [%rd2+16];
            ld.global.v2.f32 {%c0, %c1}, [%rd2+24];
            ld.global.v2.f32 {%c2, %c3}, [%rd2+32];
            {{mnemonic}} {%d0, %d1, %d2, %d3}, {%a0, %a1, %a2, %a3}, {%b0, %b1}, {%c0, %c1, %c2, %c3};
            st.global.v2.f32 [%rd2+40], {%d0, %d1};
            st.global.v2.f32 [%rd2+48], {%d2, %d3};
            """;
        return new PtxProgram(mnemonic, body, before, after);

        uint Pair(float low, float high) => isHalf ? encode(low) | (encode(high) << 16) : encode(low);

        static float A(int row, int column) => (((3 * row) + (5 * column)) % 7) - 3;

        static float B(int row, int column) => (((2 * row) + (7 * column)) % 5) - 2;

        static float C(int row, int column) => (row * 8) + column - 60;
    }

    /// <summary>Row i of the matrices is the one to which thread i points: row i ^ 3 of memory.</summary>
    private static PtxProgram MatrixLoad(string form, int count, bool isTransposed)
    {
        uint[] after = [.. Enumerable.Repeat(Nothing, Lanes * 4)];
        for (int lane = 0; lane < Lanes; lane++)
        {
            (int line, int pair) = (lane / 4, lane % 4 * 2);
            for (int matrix = 0; matrix < count; matrix++)
            {
                after[(4 * lane) + matrix] = isTransposed
                    ? Element(matrix, pair, line) | (Element(matrix, pair + 1, line) << 16)
                    : Element(matrix, line, pair) | (Element(matrix, line, pair + 1) << 16);
            }
        }

        string registers = string.Join(", ", Enumerable.Range(4, count).Select(i => $"%r{i}"));
        string others = string.Concat(Enumerable.Range(4 + count, 4 - count).Select(i => $"mov.u32 %r{i}, -1; "));
        string name = isTransposed ? $"{form}.trans" : form;
        string load = $"ldmatrix.sync.aligned.m8n8.{name}.shared.b16 {{{registers}}}, [%r8];";
        return new PtxProgram(load, $"{FillRows}mov.u32 %r8, %r4; {load} {others}{StoreFour}", new uint[Lanes * 4], after);

        static uint Element(int matrix, int row, int column) => (uint)(((((8 * matrix) + row) ^ 3) << 8) | column);
    }

    private static uint Bits(float value) => BitConverter.SingleToUInt32Bits(value);

    private static uint[] Words(int count) => [.. Enumerable.Range(0, count).Select(i => 0x1000u + (uint)i)];
}
