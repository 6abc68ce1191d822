namespace Kernels.Inspection;

/// <summary>The part of a multiprocessor that carries an instruction out.</summary>
internal enum Pipe
{
    /// <summary>Floating-point additions and products: either half of the FMA units takes them.</summary>
    Fma,

    /// <summary>Integer products (IMAD, also as a move or shift) and half-precision arithmetic: one half of the FMA units.</summary>
    FmaHeavy,

    /// <summary>
    /// Integer additions, logic, shifts, selections, comparisons, also of floating-point numbers, and packing to half types.
    /// </summary>
    Alu,

    /// <summary>Special functions and conversions between integers and floating-point numbers, or of half floats.</summary>
    Xu,

    /// <summary>Double precision.</summary>
    Fp64,

    /// <summary>Loads, stores, atomics, shuffles; one lane's address each.</summary>
    Lsu,

    /// <summary>Branches, barriers, reconvergence.</summary>
    Control,

    /// <summary>What is done once for a warp, on the uniform datapath.</summary>
    Uniform,

    /// <summary>Matrix products on tensor cores.</summary>
    Tensor,

    /// <summary>Reading constants and special registers, and waiting: only issue counts.</summary>
    Other,
}

/// <summary>
/// Which pipe an instruction of Hopper's SASS goes to, as the Nsight Compute documentation ("Pipelines") tells what each does. Opcodes that
/// are not listed count as issue alone.
/// </summary>
internal static class Pipes
{
    private static readonly Dictionary<string, Pipe> Opcodes = Make(
        (Pipe.Fma, "FADD FMUL FFMA FADD32I FMUL32I FFMA32I FSWZADD"),
        (Pipe.FmaHeavy, "IMAD IMUL IDP IDP4A HADD2 HMUL2 HFMA2 HFMA2_MMA HADD2_32I"),
        (Pipe.Alu, "IADD IADD3 IADD32I LOP3 LOP32I LOP SHF SHL SHR LEA ISETP ISET IMNMX VIMNMX VIADD VIADDMNMX ISCADD SEL FSEL FSETP "
            + "FSET FMNMX FCHK PRMT PLOP3 PSETP BMSK SGXT IABS MOV MOV32I P2R R2P F2FP HSETP2 HSET2 HMNMX2 VABSDIFF VABSDIFF4 VOTE CS2R "
            + "BREV LEPC I2FP"),
        (Pipe.Xu, "MUFU I2F F2I F2F FRND I2I POPC FLO"),
        (Pipe.Fp64, "DADD DMUL DFMA DSETP DMNMX"),
        (Pipe.Lsu, "LDG LD LDS LDL LDSM STG ST STS STL ATOM ATOMG ATOMS RED SHFL MATCH QSPC LDGSTS MEMBAR FENCE CCTL ERRBAR"),
        (Pipe.Control, "BRA BRX JMP JMX BSSY BSYNC BREAK BMOV CALL RET EXIT KILL BAR WARPSYNC NANOSLEEP YIELD BPT DEPBAR B2R R2B NOP"),
        (Pipe.Tensor, "HMMA IMMA DMMA BMMA HGMMA QGMMA IGMMA BGMMA WGMMA"),
        (Pipe.Other, "LDC S2R S2UR R2UR LDGDEPBAR"));

    public static Pipe Of(Instruction instruction)
    {
        string name = instruction.Opcode.Split('.')[0];
        return Opcodes.TryGetValue(name, out Pipe pipe) ? pipe
            : name.StartsWith('U') ? Pipe.Uniform
            : Pipe.Other;
    }

    private static Dictionary<string, Pipe> Make(params (Pipe Pipe, string Names)[] lists) =>
        lists.SelectMany(list => list.Names.Split(' ').Select(name => (name, list.Pipe))).ToDictionary();
}
