using System.Runtime.CompilerServices;

namespace Kernels.Inspection;

/// <summary>An instruction of a listing, of machine code (SASS) or of PTX.</summary>
/// <param name="Guard">The predicate it depends on, as <c>P0</c> or <c>!%p1</c>; empty if it is always carried out.</param>
/// <param name="Opcode">With its modifiers: <c>LDG.E.128</c>, <c>st.global.v4.f32</c>.</param>
/// <param name="Operands">As they stand in the listing, split at commas.</param>
internal sealed record Instruction(string Guard, string Opcode, IReadOnlyList<string> Operands)
{
    // Asked for often, and read from texts.
    private StrongBox<MemoryAccess?>? _access;

    /// <summary>Indices of the instructions that a branch may go to.</summary>
    public IReadOnlyList<int> Targets { get; init; } = [];

    /// <summary>Whether what follows is reached other than by a jump.</summary>
    public bool FallsThrough { get; init; } = true;

    /// <summary>Whether it ends a basic block: a branch, or the end of the thread.</summary>
    public bool IsJump => Targets.Count > 0 || !FallsThrough;

    /// <summary>Whether it calls a subroutine, such as the slow part of a division.</summary>
    public bool IsCall { get; init; }

    public bool IsGuarded => Guard.Length > 0;

    /// <summary>The load or store that it is; null where it is neither.</summary>
    public MemoryAccess? Access => (_access ??= new(MemoryAccess.Of(this))).Value;

    /// <summary>The registers and predicates that it writes.</summary>
    public IReadOnlyList<string> Written => field ??= [.. CriticalPath.WrittenBy(this)];

    public override string ToString() => $"{(IsGuarded ? $"@{Guard} " : "")}{Opcode} {string.Join(", ", Operands)}".TrimEnd();
}

/// <summary>The instructions of one kernel.</summary>
internal sealed record KernelCode(string Name, IReadOnlyList<Instruction> Instructions);
