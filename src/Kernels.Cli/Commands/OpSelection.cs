using Kernels.Verification;

namespace Kernels.Cli.Commands;

/// <summary>The <c>--op</c> option.</summary>
internal static class OpSelection
{
    /// <summary>All ops, or the one of this name.</summary>
    /// <exception cref="ArgumentException">There is no such op; the message lists them.</exception>
    public static IReadOnlyList<OpCase> Ops(string? name)
    {
        if (name is null) return OpCase.All;
        OpCase? op = OpCase.All.FirstOrDefault(op => op.Op == name);
        return op is not null
            ? [op]
            : throw new ArgumentException($"There is no op '{name}'; there are {string.Join(", ", OpCase.All.Select(o => o.Op))}.");
    }
}
