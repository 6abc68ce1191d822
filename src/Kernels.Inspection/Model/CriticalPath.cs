using System.Text.RegularExpressions;

namespace Kernels.Inspection;

/// <summary>
/// The clocks that one warp alone takes for a turn: the longest chain of instructions that wait for each other's registers. A load waits
/// for memory.
/// </summary>
internal static partial class CriticalPath
{
    /// <param name="turn">All instructions of a turn.</param>
    /// <param name="loads">The loads of global memory that are carried out.</param>
    public static int Clocks(IEnumerable<Instruction> turn, IReadOnlyList<Instruction> loads)
    {
        Dictionary<string, int> ready = [];
        int issue = 0, end = 0;
        foreach (Instruction instruction in turn)
        {
            IEnumerable<string> read = instruction.Operands.Skip(HasResult(instruction) ? 1 : 0).SelectMany(Registers)
                .Concat(Registers(instruction.Guard));
            // In order: a warp does not issue past an instruction that waits.
            issue = Math.Max(issue + 1, read.Select(register => ready.GetValueOrDefault(register)).DefaultIfEmpty().Max());
            foreach (string register in instruction.Written) ready[register] = issue + Latency(instruction, loads);
            end = Math.Max(end, issue);
        }

        return end;
    }

    private static int Latency(Instruction instruction, IReadOnlyList<Instruction> loads) => Pipes.Of(instruction) switch
    {
        Pipe.Lsu when instruction.Access?.Space == MemorySpace.Global =>
            loads.Any(load => ReferenceEquals(load, instruction)) ? Gpu.MemoryLatency : Gpu.ArithmeticLatency,
        Pipe.Lsu => Gpu.SharedLatency,
        Pipe.Xu => Gpu.XuLatency,
        Pipe.Fp64 => Gpu.Fp64Latency,
        Pipe.Uniform or Pipe.Other => Gpu.UniformLatency,
        _ => Gpu.ArithmeticLatency,
    };

    private static bool HasResult(Instruction instruction) =>
        instruction.Operands.Count > 0 && instruction.Access is not ({ IsStore: true } or { IsCopy: true })
        && (Pipes.Of(instruction) != Pipe.Control || instruction.Opcode.StartsWith("B2R", StringComparison.Ordinal));

    /// <summary>The registers of the first operand, and predicates right behind it: carries and second results.</summary>
    public static IEnumerable<string> WrittenBy(Instruction instruction)
    {
        if (!HasResult(instruction)) return [];
        IEnumerable<string> first = Registers(instruction.Operands[0]);
        int width = Math.Max(
            (instruction.Access?.Bytes ?? 0) / 4,
            instruction.Opcode.Contains(".WIDE", StringComparison.Ordinal) || instruction.Opcode.Contains(".64", StringComparison.Ordinal)
                || Pipes.Of(instruction) == Pipe.Fp64 ? 2 : 1);
        if (first.FirstOrDefault() is { } name && name.TrimStart('U') is ['R', .. var digits] && int.TryParse(digits, out int number))
        {
            string file = name[..^digits.Length];
            first = Enumerable.Range(number, width).Select(each => $"{file}{each}");
        }

        return first.Concat(instruction.Operands.Skip(1).TakeWhile(operand => PlainPredicate().IsMatch(operand)));
    }

    /// <summary>Registers and predicates that an operand names; a pair where it is an address or a wide value.</summary>
    private static IEnumerable<string> Registers(string operand)
    {
        foreach (Match match in Register().Matches(operand))
        {
            string name = match.Groups["name"].Value;
            yield return name;
            if (match.Groups["wide"].Success && int.TryParse(match.Groups["number"].Value, out int number))
                yield return $"{name[..^match.Groups["number"].Value.Length]}{number + 1}";
        }
    }

    [GeneratedRegex(@"\b(?<name>U?[RP](?<number>\d+))(?:\.reuse)?(?<wide>\.64)?")]
    private static partial Regex Register();

    [GeneratedRegex(@"^U?P\d+$")]
    private static partial Regex PlainPredicate();
}
