using Kernels.Reporting;
using Spectre.Console;

namespace Kernels.Cli.Commands;

/// <summary>The output of commands: one JSON array for scripts, tables and sentences for people, progress on standard error.</summary>
internal static class Output
{
    // A file or a pipe has no width to keep to.
    private const int WideWidth = 240;

    public static void WriteJson<TRow>(IEnumerable<TRow> rows) => Console.Out.WriteLine(JsonRows.Write(rows));

    /// <summary>Standard output for people; without colours where it is a file or a pipe.</summary>
    public static IAnsiConsole ForPeople() => Create(Console.Out, Console.IsOutputRedirected, WideWidth);

    /// <summary>A console over standard output or standard error.</summary>
    /// <param name="writer">The stream.</param>
    /// <param name="isRedirected">Whether it is a file or a pipe.</param>
    /// <param name="width">Columns of a file or a pipe.</param>
    public static IAnsiConsole Create(TextWriter writer, bool isRedirected, int width)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(writer) });
        if (!isRedirected) return console;
        console.Profile.Width = width;
        console.Profile.Capabilities.Ansi = false;
        return console;
    }

    /// <summary>Text without colours, whatever the stream is: launchers of ranks give each a terminal, and collect what it says.</summary>
    public static IAnsiConsole CreatePlain(TextWriter writer, int width)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Out = new AnsiConsoleOutput(writer),
            Ansi = AnsiSupport.Yes,
            ColorSystem = ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
        });
        console.Profile.Width = width;
        return console;
    }

    /// <summary>Runs work that tells where it is: a line on standard error where that is a terminal, nothing elsewhere.</summary>
    public static T WithStatus<T>(Func<Action<string>, T> work)
    {
        if (Console.IsErrorRedirected) return work(_ => { });
        // Drawn when it changes and not by a thread of its own, which would disturb what is measured.
        return Create(Console.Error, isRedirected: false, WideWidth).Status().AutoRefresh(false).Start("starting", context => work(text =>
        {
            context.Status = Markup.Escape(text);
            context.Refresh();
        }));
    }
}
