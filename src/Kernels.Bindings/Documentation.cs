using System.Text;
using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace Kernels.Bindings;

/// <summary>The documentation file of an assembly, as plain text with the names that C has.</summary>
public sealed partial class Documentation
{
    private static readonly Dictionary<string, string> Statuses = new()
    {
        ["ArgumentException"] = "INVALID_ARGUMENT",
        ["ArgumentNullException"] = "INVALID_ARGUMENT",
        ["ArgumentOutOfRangeException"] = "INVALID_ARGUMENT",
        ["ObjectDisposedException"] = "INVALID_HANDLE",
        ["InvalidOperationException"] = "INVALID_STATE",
        ["NotSupportedException"] = "NOT_SUPPORTED",
        [nameof(DeviceNotAvailableException)] = "DEVICE_NOT_AVAILABLE",
        [nameof(DeviceException)] = "DEVICE_ERROR",
        [nameof(OutOfDeviceMemoryException)] = "OUT_OF_MEMORY",
        [nameof(KernelCompilationException)] = "COMPILATION_FAILED",
        [nameof(DeviceDataException)] = "BAD_DATA",
    };

    private readonly ILookup<string, XElement> _members;

    private Documentation(XDocument file) =>
        _members = file.Descendants("member").ToLookup(member => NameOf((string)member.Attribute("name")!));

    /// <summary>The file beside an assembly.</summary>
    public static Documentation Of(string assembly) =>
        new(XDocument.Load(Path.ChangeExtension(assembly, ".xml"), LoadOptions.PreserveWhitespace));

    /// <summary>The summary and the remarks of a type, a field, or a property.</summary>
    public string Summary(string member) => TextOf(_members[member].FirstOrDefault());

    /// <summary>The summary of a method, of the overload that has one.</summary>
    public string Summary(string method, IEnumerable<string> parameters) => TextOf(Overload(method, parameters));

    /// <summary>What is said of a parameter.</summary>
    public string Parameter(string method, IEnumerable<string> parameters, string name) =>
        Plain(Overload(method, parameters)?.Elements("param").FirstOrDefault(p => (string?)p.Attribute("name") == name));

    private XElement? Overload(string method, IEnumerable<string> parameters)
    {
        HashSet<string> names = [.. parameters];
        return _members[method].Where(member => member.Element("summary") is not null)
            .MaxBy(member => member.Elements("param").Count(p => names.Contains((string)p.Attribute("name")!)));
    }

    /// <summary>Without the number of type parameters and the types of parameters.</summary>
    private static string NameOf(string id) => Suffix().Replace(id, "");

    private static string TextOf(XElement? member) =>
        // A class in several files has several summaries, that of the main file last.
        string.Join(
            ' ', new[] { member?.Elements("summary").LastOrDefault(), member?.Element("remarks") }.Select(Plain).Where(part => part != ""));

    private static string Plain(XElement? element)
    {
        if (element is null) return "";
        StringBuilder text = new();
        Append(text, element);
        text.Replace("throws KERNELS_", "gives KERNELS_");
        return Null().Replace(Spaces().Replace(text.ToString(), " ").Trim(), "NULL");
    }

    private static void Append(StringBuilder text, XElement element)
    {
        foreach (XNode node in element.Nodes())
        {
            switch (node)
            {
                case XText words: text.Append(words.Value); break;
                case XElement { Name.LocalName: "see" or "seealso" } see when see.Attribute("cref") is { } cref:
                    text.Append(Reference(cref.Value));
                    break;
                case XElement { Name.LocalName: "see" } see:
                    text.Append((string?)see.Attribute("langword") == "null" ? "NULL" : see.Value);
                    break;
                case XElement { Name.LocalName: "paramref" or "typeparamref" } see:
                    text.Append(Names.Snake((string)see.Attribute("name")!));
                    break;
                case XElement child:
                    text.Append(' ');
                    Append(text, child);
                    text.Append(' ');
                    break;
            }
        }
    }

    /// <summary>The name in C of a type, a method, a property or a constant; of an exception its status.</summary>
    private static string Reference(string cref)
    {
        string name = NameOf(cref[2..]);
        string[] parts = name.Split('.');
        string last = parts[^1], type = parts.Length > 1 ? parts[^2] : "";
        return cref[0] switch
        {
            'T' when Statuses.TryGetValue(last, out string? status) => "KERNELS_STATUS_" + status,
            'T' when typeof(Device).Assembly.GetType(name) is { } found && (found.IsEnum || RecordModel.Of(found) is not null) =>
                Names.TypeName(found),
            'T' => last,
            'M' => Names.Function(type, last),
            'F' => $"kernels_{Names.Snake(type)}_{Names.Snake(last)}".ToUpperInvariant(),
            _ => Names.Snake(last),
        };
    }

    [GeneratedRegex(@"(``?\d+)?(\{.*\})?(\(.*)?$")]
    private static partial Regex Suffix();

    [GeneratedRegex(@"\bnull\b")]
    private static partial Regex Null();

    [GeneratedRegex(@"\s+")]
    private static partial Regex Spaces();
}
