using System.Text.Json;
using Kernels.Tests.Support;
using Xunit;

namespace Kernels.Tests.Cli;

/// <summary>The <c>kernels</c> command in a process of its own, as a script would call it.</summary>
internal static class KernelsCommand
{
    private static readonly string Program = Path.Combine(AppContext.BaseDirectory, "Kernels.Cli.dll");

    public static TestProcess Run(params string[] arguments) => Start([], arguments).Result;

    public static TestProcess Run(Dictionary<string, string?> environment, params string[] arguments) =>
        Start(environment, arguments).Result;

    public static Task<TestProcess> Start(Dictionary<string, string?> environment, params string[] arguments) =>
        TestProcess.RunDotnet(Program, arguments, environment: environment);

    /// <inheritdoc cref="TestProcess.Run"/>
    public static Task<TestProcess> Watch(Action<int> onStart, Action<string> onErrorLine, params string[] arguments) =>
        TestProcess.RunDotnet(Program, arguments, onStart: onStart, onErrorLine: onErrorLine);

    /// <summary>Run by a POSIX shell, which can do to a process what no library does; <c>"$@"</c> in the script is the command.</summary>
    public static Task<TestProcess> InShell(string script, params string[] arguments) =>
        TestProcess.Run("/bin/sh", ["-c", script, "sh", TestProcess.Host, "exec", Program, .. arguments]);

    /// <summary>Standard output as the contract has it: one array of flat objects, and nothing else.</summary>
    public static IReadOnlyList<JsonElement> Rows(this TestProcess command)
    {
        JsonElement[] rows = JsonSerializer.Deserialize<JsonElement[]>(command.Output)!;
        Assert.All(rows, row => Assert.Equal(JsonValueKind.Object, row.ValueKind));
        Assert.All(rows.SelectMany(row => row.EnumerateObject()),
            field => Assert.False(field.Value.ValueKind is JsonValueKind.Object or JsonValueKind.Array));
        return rows;
    }
}
