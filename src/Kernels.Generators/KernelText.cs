using System.Collections.Immutable;
using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Text;

namespace Kernels.Generators;

/// <summary>Something in a text that cannot be read, or two things that cannot both be.</summary>
internal sealed record Problem(string Path, TextSpan Span, LinePositionSpan Lines, string Message)
{
    public Location Location => Location.Create(Path, Span, Lines);
}

/// <summary>A name and where it stands, for what only all texts together show.</summary>
internal sealed record Place(string Name, string Path, TextSpan Span, LinePositionSpan Lines)
{
    public Problem Problem(string message) => new(Path, Span, Lines, message);
}

/// <summary>One text under <c>kernels/</c>, read once.</summary>
/// <param name="Declarations">The records and entry points it gives rise to.</param>
/// <param name="Lists">Where a parameter list is declared.</param>
/// <param name="Uses">Where a list is used by its macro.</param>
/// <param name="Problems">What could not be read.</param>
internal sealed record KernelText(
    KernelDeclarations Declarations, EquatableArray<Place> Lists, EquatableArray<Place> Uses, EquatableArray<Problem> Problems)
{
    /// <summary>Reads the texts of kernels and of what they include.</summary>
    public static bool IsKernelText(string path) => Path.GetExtension(path) is ".cl" or ".cu" or ".h";

    public static KernelText Read(string path, SourceText? text) => new Reader(path, text ?? SourceText.From("")).Read();

    private sealed class Reader(string path, SourceText text)
    {
        private const string Expected =
            "a parameter is `GLOBAL type* name, u64 name_offset`, `u64 name`, `u32 name`, `real name`, or a list of them by its macro, " +
            "`NAME_PARAMETERS`";

        private static readonly Regex Comment = new(@"//[^\n]*|/\*.*?\*/", RegexOptions.Singleline);
        private static readonly Regex Macro = new(
            @"^[ \t]*#[ \t]*define[ \t]+(?<name>\w+_PARAMETERS)\b(?<list>(?:\\\r?\n|[^\n])*)", RegexOptions.Multiline);
        private static readonly Regex Kernel = new(@"\bKERNEL\b");
        private static readonly Regex Signature = new(@"\GKERNEL\s+void\s+(?<name>\w+)\s*\((?<list>[^()]*)\)\s*\{");
        private static readonly Regex Pointer = new(@"^GLOBAL\s+(?:const\s+)?\w+\s*\*\s*(?:RESTRICT\s+)?(?<name>\w+)$");
        private static readonly Regex Value = new(@"^(?<type>u64|u32|real)\s+(?<name>\w+)$");
        private static readonly Regex ListMacro = new("^[A-Z][A-Z0-9_]*_PARAMETERS$");
        private static readonly Regex SnakeCase = new("^[a-z][a-z0-9]*(?:_[a-z0-9]+)*$");

        // Comments keep their length, so that what follows keeps its place.
        private readonly string _code = Comment.Replace(text.ToString(), comment => Blank(comment.Value));
        private readonly List<ParameterList> _lists = [];
        private readonly List<EntryPoint> _entryPoints = [];
        private readonly List<Place> _declared = [];
        private readonly List<Place> _uses = [];
        private readonly List<Problem> _problems = [];

        public KernelText Read()
        {
            foreach (Match macro in Macro.Matches(_code))
            {
                Group name = macro.Groups["name"], list = macro.Groups["list"];
                Declare(Names.List(name.Value), name, ReadList(list.Value.Replace('\\', ' '), list.Index));
            }

            foreach (Match kernel in Kernel.Matches(_code)) ReadKernel(kernel);
            if (Path.GetExtension(path) != ".h" && _entryPoints.Count == 0 && _problems.Count == 0)
                Report(0, 0, "there is no `KERNEL void name(parameters)` in this text");

            string file = $"{Path.GetFileName(Path.GetDirectoryName(path))}/{Path.GetFileName(path)}";
            KernelDeclarations declarations = new(file, new([.. _lists]), new([.. _entryPoints]));
            return new KernelText(declarations, new([.. _declared]), new([.. _uses]), new([.. _problems]));
        }

        private void ReadKernel(Match kernel)
        {
            Match signature = Signature.Match(_code, kernel.Index);
            if (!signature.Success)
            {
                Report(kernel.Index, kernel.Length, "a kernel begins `KERNEL void name(parameters) {`");
                return;
            }

            Group name = signature.Groups["name"], list = signature.Groups["list"];
            if (ReadList(list.Value, list.Index) is not { } fields) return;
            if (fields.Length == 1 && fields[0].Kind == FieldKind.List)
                _entryPoints.Add(new EntryPoint(name.Value, fields[0].Name));
            else if (Declare(name.Value, name, fields))
                _entryPoints.Add(new EntryPoint(name.Value, name.Value));
        }

        private bool Declare(string list, Group name, ImmutableArray<Field>? fields)
        {
            if (fields is null || !CheckName(list, name.Index, name.Length)) return false;
            _lists.Add(new ParameterList(list, new(fields.Value)));
            _declared.Add(PlaceOf(list, name.Index, name.Length));
            return true;
        }

        /// <summary>The fields of a list, or null where it cannot be read, which is reported.</summary>
        private ImmutableArray<Field>? ReadList(string list, int start)
        {
            List<Field> fields = [];
            int problems = _problems.Count;
            string? offset = null;
            foreach (string part in list.Split(','))
            {
                string parameter = part.Trim();
                int index = start + part.IndexOf(parameter, StringComparison.Ordinal);
                start += part.Length + 1;
                if (offset is not null)
                {
                    if (!Regex.IsMatch(parameter, $@"^u64\s+{offset}$"))
                        Report(index, parameter.Length, $"expected `u64 {offset}` behind its pointer, not `{parameter}`");
                    offset = null;
                }
                else if (Pointer.Match(parameter) is { Success: true } pointer)
                {
                    offset = $"{pointer.Groups["name"].Value}_offset";
                    Add(FieldKind.Tensor, pointer.Groups["name"].Value);
                }
                else if (Value.Match(parameter) is { Success: true } value)
                {
                    FieldKind kind = value.Groups["type"].Value switch
                    {
                        "u64" => FieldKind.UInt64,
                        "u32" => FieldKind.UInt32,
                        _ => FieldKind.Real,
                    };
                    Add(kind, value.Groups["name"].Value);
                }
                else if (ListMacro.IsMatch(parameter))
                {
                    _uses.Add(PlaceOf(Names.List(parameter), index, parameter.Length));
                    Add(FieldKind.List, Names.List(parameter));
                }
                else
                {
                    Report(index, parameter.Length, $"`{parameter}` cannot be bound: {Expected}");
                }

                void Add(FieldKind kind, string name)
                {
                    if (!CheckName(name, index, parameter.Length)) return;
                    Field field = new(kind, name);
                    if (fields.Any(other => other.PropertyName == field.PropertyName))
                        Report(index, parameter.Length, $"`{parameter}` is a second parameter for the field {field.PropertyName}");
                    fields.Add(field);
                }
            }

            if (offset is not null) Report(start - 1, 0, $"expected `u64 {offset}` behind its pointer, not the end of the list");
            return _problems.Count == problems ? [.. fields] : null;
        }

        private bool CheckName(string name, int index, int length)
        {
            if (SnakeCase.IsMatch(name)) return true;
            Report(index, length, $"`{name}` is not in lower case with single underscores, from which names in C# are made");
            return false;
        }

        private void Report(int start, int length, string message) => _problems.Add(PlaceOf("", start, length).Problem(message));

        private Place PlaceOf(string name, int start, int length)
        {
            TextSpan span = new(start, length);
            return new Place(name, path, span, text.Lines.GetLinePositionSpan(span));
        }

        private static string Blank(string text) => Regex.Replace(text, @"[^\r\n]", " ");
    }
}
