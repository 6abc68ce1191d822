using Kernels.Inspection;
using Xunit;

namespace Kernels.Tests.Inspection;

/// <summary>Listings as the tools print them, in short, and what is read in them.</summary>
public sealed class ListingTests
{
    /// <summary>A loop of eight halves a turn, with a tail beside its wide path, and padding behind the end.</summary>
    public const string Sass = """
        	Fatbin elf code:
        ================
        arch = sm_90

        	code for sm_90
        		Function : scale
        	.headerflags	@"EF_CUDA_SM90"
                /*0000*/                   S2R R0, SR_TID.X ;                    /* 0x0000000000007919 */
                                                                                 /* 0x000fe20000000800 */
                /*0010*/                   IADD3 R8, P1, R0, 0x8, RZ ;           /* 0x0000000800087810 */
                /*0020*/               @P0 EXIT ;                                /* 0x000000000000094d */
                /*0030*/                   ISETP.GT.U32.AND P0, PT, R8, R2, PT ; /* 0x0000000208007c0c */
                /*0040*/               @P0 BRA 0xa0 ;                            /* 0x0000005000000947 */
                /*0050*/                   LDG.E.128 R4, [R2.64] ;               /* 0x0000000402047981 */
                /*0060*/                   FMUL R4, R4, R9 ;                     /* 0x0000000904047220 */
                /*0070*/                   STG.E [R6.64], R4 ;                   /* 0x0000000406007986 */
                /*0080*/                   STG.E.64 [R6.64+0x4], R4 ;            /* 0x0000000406007986 */
                /*0090*/                   STG.E [R6.64+0xc], R4 ;               /* 0x0000000406007986 */
                /*00a0*/               @P0 LDG.E.U16 R4, [R2.64+-0x2] ;          /* 0x0000000402047981 */
                /*00b0*/               @P0 STG.E.U16 [R6.64], R4 ;               /* 0x0000000406007986 */
                /*00c0*/              @!P1 BRA 0x30 ;                            /* 0xfffffff000000947 */
                /*00d0*/                   EXIT ;                                /* 0x000000000000794d */
                /*00e0*/                   BRA 0xe0;                             /* 0xfffffff000007947 */
                /*00f0*/                   NOP;                                  /* 0x0000000000007918 */
        		..........

        Resource usage:
         Common:
          GLOBAL:0
         Function scale:
          REG:28 STACK:8 SHARED:1024 LOCAL:0 CONSTANT[0]:568 TEXTURE:0 SURFACE:0 SAMPLER:0
        """;

    private const string Ptx = """
        .version 7.8
        .target sm_90
        .address_size 64

        .visible .entry scale(
        	.param .u64 scale_param_0, // the first
        	.param .f32 scale_param_1
        )
        .maxntid 256, 1, 1
        {
        	.reg .pred 	%p<3>;
        	ld.param.u64 	%rd1, [scale_param_0];
        	setp.ge.u64 	%p1, %rd1, 8;
        	@%p1 bra 	$L__BB0_2;

        $L__BB0_1:
        	// begin inline asm
        	{ cvt.f32.f16 %f1, %rs1; }
        	ld.global.v4.u32 	{%r1, %r2, %r3, %r4}, [%rd1+16];
        	st.global.v2.f32 	[%rd1], {%f1, %f1};
        	rem.u64 	%rd2, %rd1, %rd3;
        	setp.lt.u64 	%p2, %rd2, 8;
        	@!%p2 bra 	$L__BB0_1;

        $L__BB0_2:
        	ret;
        }
        """;

    [Fact]
    public void SassHasInstructionsAndBranches()
    {
        KernelCode code = Assert.Single(SassListing.Parse(Sass)).Value;
        Assert.Equal(("scale", 15), (code.Name, code.Instructions.Count));
        Assert.Equal("@!P1 BRA 0x30", code.Instructions[12].ToString());
        Assert.Equal([3], code.Instructions[12].Targets);
        Assert.True(code.Instructions[12].FallsThrough);
        Assert.True(code.Instructions[2].FallsThrough); // some lanes go on
        Assert.False(code.Instructions[13].FallsThrough);
        Assert.Equal(["R8", "P1", "R0", "0x8", "RZ"], code.Instructions[1].Operands);
        Assert.Equal(new ResourceUsage(28, 8, 1024), Assert.Single(SassListing.ParseResources(Sass)).Value);
    }

    [Fact]
    public void PtxHasInstructionsAndBranches()
    {
        KernelCode code = Assert.Single(PtxListing.Parse(Ptx)).Value;
        Assert.Equal(
            [
                "ld.param.u64", "setp.ge.u64", "bra", "cvt.f32.f16", "ld.global.v4.u32", "st.global.v2.f32", "rem.u64", "setp.lt.u64",
                "bra", "ret",
            ],
            code.Instructions.Select(instruction => instruction.Opcode));
        Assert.Equal([9], code.Instructions[2].Targets);
        Assert.Equal([3], code.Instructions[8].Targets);
        Assert.Equal("!%p2", code.Instructions[8].Guard);
        Assert.Equal(["{%r1, %r2, %r3, %r4}", "[%rd1+16]"], code.Instructions[4].Operands);
    }

    [Theory]
    [InlineData("LDG.E.128.CONSTANT", "R4, [R2.64+0x10]", MemorySpace.Global, false, 16, "R2.64", 16)]
    [InlineData("STG.E", "[R2.64], R4", MemorySpace.Global, true, 4, "R2.64", 0)]
    [InlineData("LDG.E.U16", "R4, [R2.64+-0x2]", MemorySpace.Global, false, 2, "R2.64", -2)]
    [InlineData("STS.U8", "[R2+0x400], R4", MemorySpace.Shared, true, 1, "R2", 1024)]
    [InlineData("LDL.64", "R4, [R1+0x8]", MemorySpace.Local, false, 8, "R1", 8)]
    [InlineData("ld.global.nc.v4.f32", "%f1, [%rd5+-16]", MemorySpace.Global, false, 16, "%rd5", -16)]
    [InlineData("st.global.u16", "[%rd5], %rs1", MemorySpace.Global, true, 2, "%rd5", 0)]
    [InlineData("ld.shared.f64", "%fd1, [scratch+8]", MemorySpace.Shared, false, 8, "scratch", 8)]
    public void AccessesHaveAWidthAndAPlace(
        string opcode, string operands, object space, bool isStore, int bytes, string place, long offset)
    {
        Instruction instruction = new("", opcode, operands.Split(", "));
        Assert.Equal(new MemoryAccess((MemorySpace)space, isStore, bytes), MemoryAccess.Of(instruction));
        Assert.Equal((place, offset), MemoryAccess.AddressOf(instruction));
    }

    [Theory]
    [InlineData("LDGSTS.E.BYPASS.128", "[R9], [R2.64]")]
    [InlineData("cp.async.cg.shared.global", "[%r5], [%rd1], 16, %r6")]
    public void CopiesToSharedMemoryAreLoadsWithoutAResult(string opcode, string operands)
    {
        Instruction instruction = new("", opcode, operands.Split(", "));
        Assert.Equal(new MemoryAccess(MemorySpace.Global, IsStore: false, 16) { IsCopy = true }, instruction.Access);
        Assert.Empty(instruction.Written);
    }

    [Theory]
    [InlineData("ld.param.u64", "%rd1, [scale_param_0]")]
    [InlineData("ATOMG.E.ADD.STRONG.GPU", "PT, R2, [R2.64], R5")]
    [InlineData("LDC", "R1, c[0x0][0x28]")]
    public void OthersAreNoAccesses(string opcode, string operands) =>
        Assert.Null(MemoryAccess.Of(new Instruction("", opcode, operands.Split(", "))));

    [Theory]
    [InlineData("")]
    [InlineData("cuobjdump fatal : File 'x' does not exist")]
    public void WhatIsNoListingIsSaid(string text)
    {
        Assert.Throws<FormatException>(() => SassListing.Parse(text));
        Assert.Throws<FormatException>(() => SassListing.ParseResources(text));
        Assert.Throws<FormatException>(() => PtxListing.Parse(text));
    }

    /// <summary>The tool prints nothing but the bits of an instruction that it has no name for.</summary>
    [Fact]
    public void ABranchToWhatIsLeftOutGoesOnWithTheNext()
    {
        int Length(string listing) => Assert.Single(SassListing.Parse(listing)).Value.Instructions.Count;
        string without = Sass.Replace("/*0030*/                   ISETP.GT.U32.AND P0, PT, R8, R2, PT ;", "", StringComparison.Ordinal);
        Assert.Equal(Length(Sass) - 1, Length(without));
    }

    [Fact]
    public void ABranchToNowhereIsSaid() =>
        Assert.Throws<FormatException>(() => SassListing.Parse(Sass.Replace("BRA 0x30", "BRA 0x38", StringComparison.Ordinal)));
}
