using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;

namespace Kernels.Cli.Commands;

/// <summary>The kinds of options that commands have; each says in words what is wrong with a value.</summary>
internal static class CommandOptions
{
    /// <summary><c>--json</c> of every command.</summary>
    public static Option<bool> Json() => Flag("--json", "Print one JSON array of flat objects, and nothing else, on standard output.");

    /// <summary>An option without a value.</summary>
    public static Option<bool> Flag(string name, string description) => new(name) { Description = description, Arity = ArgumentArity.Zero };

    /// <summary>A word or a path; an empty one is refused.</summary>
    /// <param name="name">The option's name.</param>
    /// <param name="description">What it is for.</param>
    /// <param name="help">What the help shows for the value.</param>
    /// <param name="standard">The value if none is given.</param>
    public static Option<string?> Text(string name, string description, string help, string? standard = null)
    {
        Option<string?> option = new(name) { Description = description, HelpName = help };
        if (standard is not null) option.DefaultValueFactory = _ => standard;
        option.Validators.Add(RefuseEmpty);
        return option;
    }

    /// <summary>Words of which all are known, several after one name; or paths, each after a name of its own.</summary>
    public static Option<string[]> Texts(string name, string description, string help, params string[] known)
    {
        string listed = known.Length == 0 ? description : $"{description.TrimEnd('.')} ({string.Join(", ", known)}).";
        Option<string[]> option = new(name) { Description = listed, HelpName = help, AllowMultipleArgumentsPerToken = known.Length > 0 };
        option.Validators.Add(RefuseEmpty);
        if (known.Length > 0) option.AcceptOnlyFromAmong(known);
        return option;
    }

    /// <summary>A whole number from 1 on; null if not given.</summary>
    public static Option<int?> Count(string name, string description, int largest) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = result =>
        {
            string text = result.Tokens[0].Value;
            bool isNumber = int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value);
            if (isNumber && value >= 1 && value <= largest) return value;
            result.AddError($"{name} takes a whole number from 1 to {largest}, not '{text}'.");
            return null;
        },
    };

    private static void RefuseEmpty(OptionResult result)
    {
        if (result.Tokens.Any(token => string.IsNullOrWhiteSpace(token.Value)))
            result.AddError($"{result.Option.Name} needs a value that is not empty.");
    }
}
