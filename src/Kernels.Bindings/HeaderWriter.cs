using System.Globalization;
using System.Text;

namespace Kernels.Bindings;

/// <summary>Writes kernels.h: C99, and C++ from 11 on.</summary>
public static class HeaderWriter
{
    private const int Width = 116;

    private const string Introduction = """
        Kernels: neural-network regularization on CUDA, OpenCL and CPUs, with the same random bits everywhere and no stored
        masks.

        Every function but the first three returns a status, and leaves a message for its thread where that is not
        KERNELS_STATUS_OK. Memory and tensors are the caller's: a call gets pointers with shapes, and allocates nothing that
        the caller does not free. Work is queued on a stream, in the order of the calls; on the CPU device it is done when a
        call returns.

        Handles (kernels_device *, kernels_stream *, ...) are never looked into: one that was freed, or is of another kind,
        gives KERNELS_STATUS_INVALID_HANDLE. They may be freed in any order and used from any thread. Numbers and handles
        are passed by value, all structs by pointer. Options may be NULL for the defaults; otherwise begin with the struct's
        _INIT macro, which sets its size:

            kernels_dropout_options options = KERNELS_DROPOUT_OPTIONS_INIT;
            options.scaling = KERNELS_DROPOUT_SCALING_ORIGINAL;

        A pointer that may be NULL is said to be optional. A number that may be missing has a has_ before it, which is to be
        set with it. Structs grow only at their end, and a library takes the sizes of those before it. The library cannot be
        unloaded. On Linux libkernels.so is the front of a build for each level of instructions, which lie beside it.
        """;

    /// <summary>The whole header.</summary>
    public static string Write(Interface exports)
    {
        ArgumentNullException.ThrowIfNull(exports);
        StringBuilder text = new();
        Version version = Interface.Version;
        text.Append("/*\n");
        foreach (string line in Introduction.Split('\n')) text.Append(line.Length == 0 ? " *\n" : $" * {line}\n");
        text.Append($"""
             *
             * Made from the library's exports; do not edit.
             */
            /* clang-format off */
            #ifndef KERNELS_H
            #define KERNELS_H

            #include <stdbool.h>
            #include <stddef.h>
            #include <stdint.h>

            #if defined(KERNELS_API)
            #elif defined(_WIN32)
            #define KERNELS_API __declspec(dllimport)
            #else
            #define KERNELS_API
            #endif

            /** Major * 10000 + minor * 100 + patch; kernels_version gives that of the library. */
            #define KERNELS_VERSION {(version.Major * 10000) + (version.Minor * 100) + version.Build}

            #ifdef __cplusplus
            extern "C" {"{"}
            #endif

            """);
        AppendTypes(text, exports);
        foreach (Section section in exports.Sections) AppendSection(text, section);
        text.Append("""

            #ifdef __cplusplus
            }
            #endif

            #endif

            """);
        return text.ToString();
    }

    private static void AppendTypes(StringBuilder text, Interface exports)
    {
        AppendTitle(text, "Types", "");
        foreach ((string name, string documentation) in exports.Handles)
        {
            AppendComment(text, documentation, []);
            text.Append($"typedef struct {name} {name};\n");
        }

        foreach (Enumeration enumeration in exports.Enumerations)
        {
            AppendComment(text, enumeration.Documentation, []);
            text.Append($"typedef int32_t {enumeration.Name};\nenum {{\n");
            foreach ((string name, int value, string documentation) in enumeration.Values)
            {
                AppendNote(text, documentation);
                text.Append($"    {name} = {value},\n");
            }

            text.Length -= 2; // C++03 and pedantic C90 take no comma after the last
            text.Append("\n};\n");
        }

        text.Append('\n');
        foreach (Struct record in exports.Structs) text.Append($"typedef struct {record.Name} {record.Name};\n");
        foreach (Struct record in exports.Structs) AppendStruct(text, record);
        foreach ((string name, object value, string documentation) in exports.Constants)
        {
            AppendComment(text, documentation, []);
            text.Append($"#define {name} {Literal(value)}\n");
        }
    }

    private static void AppendStruct(StringBuilder text, Struct record)
    {
        AppendComment(text, record.Documentation, []);
        text.Append($"struct {record.Name} {{\n");
        foreach (Variable field in record.Fields)
        {
            AppendNote(text, field.Documentation);
            text.Append($"    {field.Declaration};\n");
        }

        text.Append("};\n");
        if (!record.HasDefaults) return;
        text.Append($"\n#define {record.Name.ToUpperInvariant()}_INIT \\\n    {{ \\\n        sizeof({record.Name}), \\\n");
        foreach (Variable field in record.Fields.Skip(1)) text.Append($"        {Literal(field.Default)}, /* {field.Name} */ \\\n");
        int last = text.ToString().LastIndexOf(", /*", StringComparison.Ordinal);
        if (record.Fields.Count > 1) text.Remove(last, 1);
        text.Append("    }\n");
    }

    private static void AppendSection(StringBuilder text, Section section)
    {
        AppendTitle(text, section.Title, section.Documentation);
        foreach (Function function in section.Functions)
        {
            AppendComment(
                text, function.Documentation,
                function.Parameters.Where(p => p.Documentation.Length > 0)
                    .Select(p => $"@param {p.Name} {(p.IsNullable ? "(optional) " : "")}{p.Documentation}"));
            string result = function.Result.EndsWith('*') ? function.Result : function.Result + " ";
            string head = $"KERNELS_API {result}{function.Name}(";
            string all = function.Parameters.Count == 0 ? "void" : string.Join(", ", function.Parameters.Select(p => p.Declaration));
            if (head.Length + all.Length + 2 <= Width)
            {
                text.Append($"{head}{all});\n");
                continue;
            }

            text.Append(head).Append("\n    ");
            int column = 4;
            foreach ((int i, Variable parameter) in function.Parameters.Index())
            {
                string item = parameter.Declaration + (i + 1 < function.Parameters.Count ? "," : ");");
                if (column + item.Length + 1 > Width && column > 4)
                {
                    text.Append("\n    ");
                    column = 4;
                }

                if (column > 4) text.Append(' ');
                text.Append(item);
                column += item.Length + 1;
            }

            text.Append('\n');
        }
    }

    /// <summary>A comment inside a struct or an enumeration.</summary>
    private static void AppendNote(StringBuilder text, string documentation)
    {
        string[] lines = [.. Lines(documentation, Width - 11)];
        if (lines.Length > 0) text.Append($"    /* {string.Join("\n       ", lines)} */\n");
    }

    private static void AppendTitle(StringBuilder text, string title, string documentation)
    {
        text.Append($"\n/* --- {title} {new string('-', Width - title.Length - 9)} */\n");
        if (documentation.Length > 0) AppendComment(text, documentation, [], "/*");
    }

    private static void AppendComment(StringBuilder text, string documentation, IEnumerable<string> more, string begin = "/**")
    {
        List<string> lines = [.. Lines(documentation, Width - 3)];
        foreach (string paragraph in more)
            lines.AddRange(Lines(paragraph, Width - 7).Select((line, i) => i == 0 ? line : "    " + line));
        text.Append('\n');
        if (lines.Count == 0) return;
        if (lines.Count == 1 && lines[0].Length + begin.Length + 4 <= Width)
        {
            text.Append($"{begin} {lines[0]} */\n");
            return;
        }

        text.Append(begin).Append('\n');
        foreach (string line in lines) text.Append($" * {line}\n");
        text.Append(" */\n");
    }

    private static IEnumerable<string> Lines(string text, int width)
    {
        StringBuilder line = new();
        foreach (string word in text.Replace("*/", "* /", StringComparison.Ordinal).Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            if (line.Length > 0 && line.Length + 1 + word.Length > width)
            {
                yield return line.ToString();
                line.Clear();
            }

            if (line.Length > 0) line.Append(' ');
            line.Append(word);
        }

        if (line.Length > 0) yield return line.ToString();
    }

    private static string Literal(object? value) => value switch
    {
        null => "NULL",
        bool flag => flag ? "true" : "false",
        Enum constant => Names.Constant(constant.GetType(), constant.ToString()),
        double number => number == Math.Floor(number) && Math.Abs(number) < 1e15
            ? number.ToString("0.0", CultureInfo.InvariantCulture) : number.ToString("R", CultureInfo.InvariantCulture),
        IFormattable number when value.GetType().IsPrimitive => number.ToString(null, CultureInfo.InvariantCulture),
        _ => "{" + string.Join(", ", PartsOf(value).Select(Literal)) + "}",
    };

    /// <summary>The fields of a record inside a record, or of the struct that stands for it.</summary>
    internal static IEnumerable<object?> PartsOf(object value) =>
        RecordModel.Of(value.GetType()) is { } record
            ? record.Properties.Select(property => property.GetValue(value))
            : value.GetType().GetFields().OrderBy(field => field.MetadataToken).Select(field => field.GetValue(value));
}
