using System.Text.RegularExpressions;

namespace Kernels.Inspection;

/// <summary>Reads the PTX that NVRTC makes: what the kernels do before registers are given out, for which no tool is needed.</summary>
internal static partial class PtxListing
{
    /// <summary>The kernels of a text, by name.</summary>
    /// <exception cref="FormatException">A branch goes to no label, or there is no kernel.</exception>
    public static IReadOnlyDictionary<string, KernelCode> Parse(string ptx)
    {
        string text = Comment().Replace(ptx, "");
        Dictionary<string, KernelCode> kernels = [];
        foreach (Match entry in Entry().Matches(text))
        {
            int open = text.IndexOf('{', entry.Index);
            string name = entry.Groups["name"].Value;
            kernels[name] = new KernelCode(name, Instructions(text[(open + 1)..End(text, open)]));
        }

        return kernels.Count > 0 ? kernels : throw new FormatException("Not a PTX text: it has no .entry.");
    }

    private static int End(string text, int open)
    {
        int depth = 0;
        for (int i = open; i < text.Length; i++)
        {
            if (text[i] == '{') depth++;
            if (text[i] == '}' && --depth == 0) return i;
        }

        throw new FormatException("A PTX kernel does not end.");
    }

    private static List<Instruction> Instructions(string body)
    {
        Dictionary<string, int> labels = [];
        List<Instruction> instructions = [];
        foreach (string part in body.Split(';'))
        {
            // Braces around statements, as inline assembly and calls have them, only bound names.
            string statement = part.Trim().TrimStart('{', '}').Trim();
            while (Label().Match(statement) is { Success: true } label)
            {
                labels[label.Groups["name"].Value] = instructions.Count;
                statement = statement[label.Length..].Trim().TrimStart('{', '}').Trim();
            }

            if (statement.Length == 0 || statement[0] == '.') continue;
            Match match = Statement().Match(statement);
            instructions.Add(match.Success
                ? new Instruction(match.Groups["guard"].Value, match.Groups["opcode"].Value, Operands(match.Groups["operands"].Value))
                : throw new FormatException($"Not a PTX instruction: {statement}"));
        }

        return [.. instructions.Select(instruction => WithTargets(instruction, labels, instructions.Count))];
    }

    private static Instruction WithTargets(Instruction instruction, Dictionary<string, int> labels, int count)
    {
        switch (instruction.Opcode.Split('.')[0])
        {
            case "bra":
                string label = instruction.Operands[^1];
                if (!labels.TryGetValue(label, out int target) || target >= count)
                    throw new FormatException($"{instruction}: no instruction is there.");
                return instruction with { Targets = [target], FallsThrough = instruction.IsGuarded };
            case "brx":
                throw new FormatException($"{instruction}: branches by a table are not read.");
            case "ret" or "exit" or "trap":
                return instruction with { FallsThrough = instruction.IsGuarded };
            case "call":
                return instruction with { IsCall = true };
            default:
                return instruction;
        }
    }

    private static string[] Operands(string text) =>
        [.. OperandComma().Split(text).Select(operand => operand.Trim()).Where(operand => operand.Length > 0)];

    // And the directives that say which line an instruction was made of.
    [GeneratedRegex(@"//[^\n]*|^\s*\.loc\s[^\n]*", RegexOptions.Multiline)]
    private static partial Regex Comment();

    [GeneratedRegex(@"\.entry\s+(?<name>\w+)\s*\(")]
    private static partial Regex Entry();

    [GeneratedRegex(@"^(?<name>[$\w]+):")]
    private static partial Regex Label();

    [GeneratedRegex(@"^(?:@(?<guard>!?%?\w+)\s+)?(?<opcode>[a-z][\w.:]*)\s*(?<operands>.*)$", RegexOptions.Singleline)]
    private static partial Regex Statement();

    // Commas inside brackets and braces belong to one operand.
    [GeneratedRegex(@",(?![^\[{]*[\]}])")]
    private static partial Regex OperandComma();
}
