using System.Reflection;
using System.Text.RegularExpressions;
using Kernels.Verification;

namespace Kernels.Tests.Documentation;

/// <summary>A row of the README's table of ops: the op, the public type that has it, and its page.</summary>
internal sealed partial record OpPage(string Op, string TypeName, Page Page)
{
    public static IReadOnlyList<OpPage> All { get; } =
    [
        .. Row().Matches(Repository.Read("README.md"))
            .Select(row => new OpPage(row.Groups["op"].Value, row.Groups["type"].Value, new Page(row.Groups["page"].Value))),
    ];

    public OpCase Case => OpCase.All.Single(op => op.Op == Op);

    /// <summary>The public calls of the type. Those of a base class, as optimizers have one, are its own too.</summary>
    public IEnumerable<string> Calls => typeof(Device).Assembly.GetExportedTypes()
        .Where(type => type.Name.Split('`')[0] == TypeName)
        .SelectMany(type => type.GetMethods(BindingFlags.Public | BindingFlags.Static | BindingFlags.Instance))
        .Where(method => !method.IsSpecialName && method.DeclaringType!.Assembly == typeof(Device).Assembly)
        .Where(method => method.Name != nameof(IDisposable.Dispose))
        .Select(method => method.Name)
        .Distinct();

    [GeneratedRegex(@"^\| \[`(?<op>[a-z0-9-]+)`\]\((?<page>[^)]+)\) \| `(?<type>[A-Z]\w*)` \|", RegexOptions.Multiline)]
    private static partial Regex Row();
}
