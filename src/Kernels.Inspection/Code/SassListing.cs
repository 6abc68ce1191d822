using System.Globalization;
using System.Text.RegularExpressions;

namespace Kernels.Inspection;

/// <summary>
/// Reads what <c>cuobjdump --dump-sass</c> and <c>--dump-resource-usage</c> print. There a branch names the address it goes to, so that
/// no labels are needed.
/// </summary>
internal static partial class SassListing
{
    private const int InstructionBytes = 16;

    /// <summary>The kernels of a listing, by name. Padding at the end is left out.</summary>
    /// <exception cref="FormatException">A branch goes to no instruction, or there is no kernel.</exception>
    public static IReadOnlyDictionary<string, KernelCode> Parse(string listing)
    {
        Dictionary<string, KernelCode> kernels = [];
        string? name = null;
        List<(int Address, Match Match)> lines = [];
        foreach (string line in listing.Split('\n'))
        {
            if (Function().Match(line) is { Success: true } function)
            {
                Close();
                name = function.Groups["name"].Value;
            }
            else if (name is not null && Line().Match(line) is { Success: true } match)
            {
                lines.Add((Hexadecimal(match.Groups["address"].Value), match));
            }
        }

        Close();
        return kernels.Count > 0 ? kernels : throw new FormatException($"Not a listing of cuobjdump: {Start(listing)}");

        void Close()
        {
            if (name is not null) kernels[name] = new KernelCode(name, Instructions(lines));
            lines.Clear();
        }
    }

    /// <summary>Registers, stack and shared memory of each kernel.</summary>
    /// <exception cref="FormatException">There is none.</exception>
    public static IReadOnlyDictionary<string, ResourceUsage> ParseResources(string listing)
    {
        Dictionary<string, ResourceUsage> usages = Usage().Matches(listing).ToDictionary(
            match => match.Groups["name"].Value,
            match => new ResourceUsage(
                Number(match.Groups["registers"]), Number(match.Groups["stack"]) + Number(match.Groups["local"]),
                Number(match.Groups["shared"])));
        return usages.Count > 0 ? usages : throw new FormatException($"cuobjdump told of no resources: {Start(listing)}");

        static int Number(Group group) => int.Parse(group.Value, CultureInfo.InvariantCulture);
    }

    private static List<Instruction> Instructions(List<(int Address, Match Match)> lines)
    {
        Dictionary<int, int> indices = [];
        for (int i = 0; i < lines.Count; i++)
        {
            // cuobjdump leaves out an instruction that it has no name for; what goes there goes on with the next.
            int after = i == 0 ? lines[i].Address : lines[i - 1].Address + InstructionBytes;
            for (int address = after; address <= lines[i].Address; address += InstructionBytes) indices[address] = i;
        }

        return [.. lines.Select(line => ToInstruction(line.Match, indices)).Reverse().SkipWhile(IsPadding).Reverse()];
    }

    /// <summary>Behind the code stands a jump to itself, then what fills the last line of the instruction cache.</summary>
    private static bool IsPadding(Instruction instruction, int fromEnd) => instruction.Opcode == "NOP";

    private static Instruction ToInstruction(Match match, Dictionary<int, int> indices)
    {
        string guard = match.Groups["guard"].Value, opcode = match.Groups["opcode"].Value;
        const StringSplitOptions Trimmed = StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries;
        string[] operands = match.Groups["operands"].Value.Split(',', Trimmed);
        Instruction instruction = new(guard, opcode, operands);
        switch (opcode.Split('.')[0])
        {
            case "BRX" or "JMX" when operands.Length > 0 && operands[0].StartsWith('R'):
                // Through a table that the listing does not have. The case that follows stands for all.
                return instruction with { FallsThrough = true };
            case "BRA" or "JMP" or "BRX" or "JMX":
                bool isConditional = instruction.IsGuarded || operands.Length > 1 || opcode.Contains(".DIV", StringComparison.Ordinal);
                return instruction with { Targets = [Target(operands, indices, instruction)], FallsThrough = isConditional };
            case "EXIT" or "RET" or "KILL" or "BPT":
                return instruction with { FallsThrough = instruction.IsGuarded };
            case "CALL":
                return instruction with { IsCall = true };
            default:
                return instruction;
        }
    }

    private static int Target(string[] operands, Dictionary<int, int> indices, Instruction instruction) =>
        operands.Length > 0 && operands[^1].StartsWith("0x", StringComparison.Ordinal)
            && indices.TryGetValue(Hexadecimal(operands[^1][2..]), out int index)
            ? index
            : throw new FormatException($"{instruction}: no instruction is there.");

    private static int Hexadecimal(string digits) => int.Parse(digits, NumberStyles.HexNumber, CultureInfo.InvariantCulture);

    private static string Start(string listing) => listing.Length <= 200 ? listing : listing[..200];

    [GeneratedRegex(@"^\s*Function : (?<name>\S+)")]
    private static partial Regex Function();

    [GeneratedRegex(@"^\s*/\*(?<address>[0-9a-f]{4,})\*/\s+(?:@(?<guard>!?U?P\w+)\s+)?(?<opcode>[A-Z][A-Z0-9_.]*)\s*(?<operands>[^;]*);")]
    private static partial Regex Line();

    [GeneratedRegex(@"Function (?<name>\S+):\s+REG:(?<registers>\d+) STACK:(?<stack>\d+) SHARED:(?<shared>\d+) LOCAL:(?<local>\d+)")]
    private static partial Regex Usage();
}

/// <summary>What a kernel takes of a multiprocessor.</summary>
/// <param name="Registers">Registers of a thread.</param>
/// <param name="LocalBytes">Local memory of a thread: spilled registers and arrays that are indexed at run time.</param>
/// <param name="SharedBytes">Shared memory of a group.</param>
internal sealed record ResourceUsage(int Registers, int LocalBytes, int SharedBytes);
