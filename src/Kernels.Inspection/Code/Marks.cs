namespace Kernels.Inspection;

/// <summary>Instructions on a way through a loop that tell it from others which move as much.</summary>
/// <param name="Special">Those of the special function unit.</param>
/// <param name="Kept">Loads of four bytes at most from shared memory.</param>
/// <param name="Saturated">Those whose result is brought to [0, 1].</param>
internal readonly record struct Marks(int Special = 0, int Kept = 0, int Saturated = 0)
{
    public static Marks Of(Instruction instruction) => new(
        IsSpecial(instruction.Opcode) ? 1 : 0,
        instruction.Access is { Space: MemorySpace.Shared, IsStore: false, Bytes: <= sizeof(uint) } ? 1 : 0,
        instruction.Opcode.Contains(".sat", StringComparison.OrdinalIgnoreCase) ? 1 : 0);

    /// <summary>Those of both, as many as are told apart.</summary>
    public Marks Plus(Marks others, Marks most) => new(
        Math.Min(Special + others.Special, most.Special), Math.Min(Kept + others.Kept, most.Kept),
        Math.Min(Saturated + others.Saturated, most.Saturated));

    /// <summary>Whether there are as many of each as of others.</summary>
    public bool Cover(Marks others) => Special >= others.Special && Kept >= others.Kept && Saturated >= others.Saturated;

    private static bool IsSpecial(string opcode) =>
        opcode.StartsWith("MUFU", StringComparison.Ordinal) || opcode.StartsWith("ex2", StringComparison.Ordinal);
}
