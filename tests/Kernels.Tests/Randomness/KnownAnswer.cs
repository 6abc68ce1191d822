using System.Globalization;

namespace Kernels.Tests.Randomness;

/// <summary>One known answer of the generator.</summary>
/// <param name="Rounds">10, as in every draw, or 7.</param>
/// <param name="Counter">Four counter words.</param>
/// <param name="Key">Two key words.</param>
/// <param name="Output">Four output words.</param>
internal sealed record KnownAnswer(int Rounds, uint[] Counter, uint[] Key, uint[] Output)
{
    /// <summary>All six of Random123.</summary>
    public static IReadOnlyList<KnownAnswer> All { get; } =
    [
        .. File.ReadLines(Path.Combine(AppContext.BaseDirectory, "data", "philox4x32.kat"))
            .Where(line => !line.StartsWith('#'))
            .Select(line => Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries))),
    ];

    /// <summary>Those of the generator the library draws with.</summary>
    public static IEnumerable<KnownAnswer> OfTenRounds => All.Where(answer => answer.Rounds == 10);

    /// <summary>The key under which the library computes this block: key words are the seed, the upper counter words the offset.</summary>
    public RandomKey RandomKey => new(Join(Key[0], Key[1]), Join(Counter[2], Counter[3]));

    /// <summary>The block's number: the lower counter words.</summary>
    public ulong Block => Join(Counter[0], Counter[1]);

    private static KnownAnswer Parse(string[] fields)
    {
        uint[] words = [.. fields.Skip(1).Select(word => uint.Parse(word, NumberStyles.HexNumber, CultureInfo.InvariantCulture))];
        return new KnownAnswer(int.Parse(fields[0], CultureInfo.InvariantCulture), words[..4], words[4..6], words[6..10]);
    }

    private static ulong Join(uint low, uint high) => low | ((ulong)high << 32);
}
