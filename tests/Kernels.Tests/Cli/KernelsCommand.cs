using System.Text.Json;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Cli;

/// <summary>The <c>kernels</c> command in a process of its own, as a script would call it.</summary>
internal static class KernelsCommand
{
    public static TestProcess Run(params string[] arguments) => Start([], arguments).Result;

    public static TestProcess Run(Dictionary<string, string?> environment, params string[] arguments) => Start(environment, arguments).Result;

    public static Task<TestProcess> Start(Dictionary<string, string?> environment, params string[] arguments) =>
        TestProcess.RunDotnet(Path.Combine(AppContext.BaseDirectory, "Kernels.Cli.dll"), arguments, environment: environment);

    /// <summary>Standard output as the contract has it: one array of flat objects, and nothing else.</summary>
    public static IReadOnlyList<JsonElement> Rows(this TestProcess command)
    {
        JsonElement[] rows = JsonSerializer.Deserialize<JsonElement[]>(command.Output)!;
        Assert.All(rows, row => Assert.Equal(JsonValueKind.Object, row.ValueKind));
        Assert.All(rows.SelectMany(row => row.EnumerateObject()), field => Assert.False(field.Value.ValueKind is JsonValueKind.Object or JsonValueKind.Array));
        return rows;
    }
}
