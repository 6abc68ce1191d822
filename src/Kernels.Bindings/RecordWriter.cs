using System.Reflection;
using System.Security;
using System.Text;

namespace Kernels.Bindings;

/// <summary>Writes the C# of the structs that C has for records of the library.</summary>
internal static class RecordWriter
{
    public static string Write(Documentation documentation, IEnumerable<RecordModel> records)
    {
        StringBuilder text = new();
        foreach (RecordModel record in records.OrderBy(record => record.Name, StringComparer.Ordinal)) Append(text, documentation, record);
        return text.ToString();
    }

    private static void Append(StringBuilder text, Documentation documentation, RecordModel record)
    {
        text.Append($"\n/// <summary>{Escaped(documentation.Summary("T:" + record.Type.FullName))}</summary>\n");
        text.Append($"public unsafe struct {record.Name}\n{{\n");
        if (record.IsSized)
            text.Append($"    /// <summary>sizeof({Names.TypeName(record.Type)}).</summary>\n    public nuint Size;\n");
        foreach (PropertyInfo property in record.Properties)
        {
            string summary = Escaped(documentation.Summary($"P:{property.DeclaringType!.FullName}.{property.Name}"));
            // A positional record has its properties among its parameters.
            if (summary.Length == 0) summary = Escaped(documentation.Parameter("T:" + record.Type.FullName, [], property.Name));
            foreach ((string declaration, string note) in Declare(property))
                text.Append($"\n    /// <summary>{(note.Length == 0 ? summary : note)}</summary>\n    public {declaration};\n");
        }

        IEnumerable<string> values =
            record.Properties.Select(property => (record.IsPositional ? "" : property.Name + " = ") + Value(record, property));
        string make = record.IsPositional
            ? $"new global::{record.Type.FullName}({string.Join(", ", values)})"
            : $"new global::{record.Type.FullName} {{ {string.Join(", ", values)} }}";
        string absent = record.Type.IsValueType ? "default" : "null!";
        text.Append(record.IsSized
            ? $$"""

                internal static global::{{record.Type.FullName}} From(DeviceEntry? device, {{record.Name}}* record) =>
                    Arguments.Sized((nuint*)record, sizeof({{record.Name}}), "{{Names.TypeName(record.Type)}}")
                        ? record->ToManaged(device) : {{absent}};

                private readonly global::{{record.Type.FullName}} ToManaged(DeviceEntry? device) => {{make}};

            """
            : $$"""

                internal static global::{{record.Type.FullName}} From({{record.Name}}* record, string op, string name) =>
                    record is null ? throw new ArgumentNullException(name, $"{op}: {name} is NULL.") : record->ToManaged();

                internal readonly global::{{record.Type.FullName}} ToManaged() => {{make}};

            """);
        text.Append("}\n");
    }

    /// <summary>The fields of a property, with what is said of each where it is not what is said of the property.</summary>
    private static IEnumerable<(string Declaration, string Note)> Declare(PropertyInfo property)
    {
        Type type = property.PropertyType;
        string name = property.Name;
        if (Nullable.GetUnderlyingType(type) is { } value)
            return [($"bool Has{name}", $"Whether {Names.Snake(name)} is given."), ($"{StructOf(value)} {name}", "")];
        if (ListElement(type) is { } listed)
        {
            string element = listed == typeof(double) ? "double" : "long";
            return [($"{element}* {name}", ""), ($"long {name}Count", $"How many {Names.Snake(name)} has.")];
        }

        if (type == typeof(DropBlockRate)) return [($"CDropBlockRate* {name}", "")];
        if (type == typeof(RandomKeySource)) return [($"CKey* {name}", "")];
        if (OpModel.ElementOf(type) is not null) return [($"CTensor* {name}", "")];
        return type.IsClass && RecordModel.Of(type) is { } record ? [($"{record.Name}* {name}", "")] : [($"{StructOf(type)} {name}", "")];
    }

    private static string Value(RecordModel record, PropertyInfo property)
    {
        Type type = property.PropertyType;
        string name = property.Name;
        if (Nullable.GetUnderlyingType(type) is { } underlying)
        {
            string value = RecordModel.Of(underlying) is null ? name : name + ".ToManaged()";
            // A value that is there unless it is taken away may be anything when it was.
            return property.GetValue(record.Default) is null
                ? $"Arguments.Optional(Has{name}, {value}, \"{Names.TypeName(record.Type)}\", \"{Names.Snake(name)}\")"
                : $"Has{name} ? {value} : null";
        }

        string of = $"\"{property.DeclaringType!.Name}\", \"{name}\"";
        if (ListElement(type) is not null) return $"Arguments.List({name}, {name}Count, {of})";
        if (type == typeof(DropBlockRate)) return $"Arguments.Rate({name}, {of})";
        if (type == typeof(RandomKeySource)) return $"Arguments.Key(device!, {name}, {of})";
        if (OpModel.ElementOf(type) is { } element)
            return $"Arguments.Tensor<{element.Name}>(device!, {name}, {of}, keeps: true)";
        if (RecordModel.Of(type) is not { } inner) return name;
        return type.IsClass ? $"{inner.Name}.From(device, {name})" : name + ".ToManaged()";
    }

    private static Type? ListElement(Type type) =>
        type == typeof(IReadOnlyList<double>) ? typeof(double) : type == typeof(IReadOnlyList<long>) ? typeof(long) : null;

    private static string StructOf(Type type) => RecordModel.Of(type)?.Name ?? type.Name;

    private static string Escaped(string text) => SecurityElement.Escape(text);
}
