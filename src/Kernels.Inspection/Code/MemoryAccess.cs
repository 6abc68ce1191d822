using System.Globalization;
using System.Text.RegularExpressions;

namespace Kernels.Inspection;

internal enum MemorySpace
{
    Global,
    Shared,
    Local,
}

/// <summary>A load or store of one lane.</summary>
/// <param name="Space">Which memory.</param>
/// <param name="IsStore">A store, else a load. Atomics are neither: they are not what moves the data of an op.</param>
/// <param name="Bytes">Bytes of one lane: 16 at most.</param>
internal sealed partial record MemoryAccess(MemorySpace Space, bool IsStore, int Bytes)
{
    private const int CopiedBytes = 16;

    /// <summary>To shared memory, beside the code: no register gets what is loaded, so that nothing waits for it.</summary>
    public bool IsCopy { get; init; }

    /// <summary>The access that an instruction of SASS or PTX makes; null where it makes none.</summary>
    public static MemoryAccess? Of(Instruction instruction)
    {
        string[] parts = instruction.Opcode.Split('.');
        return parts[0] switch
        {
            "LDG" or "LD" => new(MemorySpace.Global, false, SassBytes(parts)),
            "LDGSTS" => new(MemorySpace.Global, false, SassBytes(parts)) { IsCopy = true },
            "cp" when parts.Contains("async") && parts.Contains("global") =>
                new(MemorySpace.Global, false, CopiedBytes) { IsCopy = true },
            "STG" or "ST" => new(MemorySpace.Global, true, SassBytes(parts)),
            "LDS" => new(MemorySpace.Shared, false, SassBytes(parts)),
            "STS" => new(MemorySpace.Shared, true, SassBytes(parts)),
            "LDL" => new(MemorySpace.Local, false, SassBytes(parts)),
            // Of so many matrices; a lane gives the address of a row.
            "LDSM" => new(MemorySpace.Shared, false, 4 * int.Parse(parts[^1], CultureInfo.InvariantCulture)),
            "STL" => new(MemorySpace.Local, true, SassBytes(parts)),
            "ld" or "st" when PtxSpace(parts) is { } space => new(space, parts[0] == "st", PtxBytes(parts)),
            _ => null,
        };
    }

    /// <summary>Where the access of a lane begins: an expression of registers, and a distance from it in bytes.</summary>
    public static (string Base, long Offset) AddressOf(Instruction instruction)
    {
        string operand = instruction.Operands.FirstOrDefault(operand => operand.Contains('[', StringComparison.Ordinal)) ?? "";
        Match match = Address().Match(operand);
        if (!match.Success) return (operand, 0);
        string digits = match.Groups["offset"].Value;
        int x = digits.IndexOf('x', StringComparison.Ordinal);
        long offset = x >= 0
            ? long.Parse(digits[(x + 1)..], NumberStyles.HexNumber, CultureInfo.InvariantCulture)
            : digits.Length == 0 ? 0 : long.Parse(digits, CultureInfo.InvariantCulture);
        return (match.Groups["base"].Value, digits.StartsWith('-') && offset > 0 ? -offset : offset);
    }

    private static int SassBytes(string[] parts)
    {
        foreach (string part in parts)
        {
            switch (part)
            {
                case "U8" or "S8": return 1;
                case "U16" or "S16": return 2;
                case "64": return 8;
                case "128": return 16;
            }
        }

        return 4;
    }

    private static MemorySpace? PtxSpace(string[] parts) =>
        parts.Contains("global") ? MemorySpace.Global
        : parts.Contains("shared") ? MemorySpace.Shared
        : parts.Contains("local") ? MemorySpace.Local
        : parts.Contains("param") || parts.Contains("const") ? null
        : MemorySpace.Global;

    private static int PtxBytes(string[] parts)
    {
        int count = parts.Contains("v4") ? 4 : parts.Contains("v2") ? 2 : 1;
        return count * int.Parse(parts[^1].AsSpan(1), CultureInfo.InvariantCulture) / 8;
    }

    [GeneratedRegex(@"\[(?<base>[%\w.]+?)(?:\+(?<offset>-?(?:0x[0-9a-f]+|\d+)))?\]")]
    private static partial Regex Address();
}
