using System.Text.Json;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Cli;

/// <summary>The <c>kernels</c> command in a process of its own, as a script would call it.</summary>
internal static class KernelsCommand
{
    public static DotnetProcess Run(params string[] arguments) => Start([], arguments).Result;

    public static DotnetProcess Run(Dictionary<string, string> environment, params string[] arguments) => Start(environment, arguments).Result;

    public static Task<DotnetProcess> Start(Dictionary<string, string> environment, params string[] arguments) =>
        DotnetProcess.Run(Path.Combine(AppContext.BaseDirectory, "Kernels.Cli.dll"), arguments, environment: environment);

    /// <summary>Standard output as the contract has it: one array of flat objects, and nothing else.</summary>
    public static IReadOnlyList<JsonElement> Rows(this DotnetProcess command)
    {
        JsonElement[] rows = JsonSerializer.Deserialize<JsonElement[]>(command.Output)!;
        Assert.All(rows, row => Assert.Equal(JsonValueKind.Object, row.ValueKind));
        Assert.All(rows.SelectMany(row => row.EnumerateObject()), field => Assert.False(field.Value.ValueKind is JsonValueKind.Object or JsonValueKind.Array));
        return rows;
    }
}
