using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Kernels.Bindings;

/// <summary>Writes kernels.json: the header for programs that make bindings of it.</summary>
public static class TableWriter
{
    /// <summary>The whole table.</summary>
    public static string Write(Interface exports)
    {
        ArgumentNullException.ThrowIfNull(exports);
        using MemoryStream stream = new();
        JsonWriterOptions options = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, NewLine = "\n" };
        using (Utf8JsonWriter json = new(stream, options))
        {
            json.WriteStartObject();
            json.WriteString("version", Interface.Version.ToString(3));
            WriteList(json, "constants", exports.Constants, constant =>
            {
                json.WriteString("name", constant.Name);
                WriteValue(json, "value", constant.Value);
                json.WriteString("doc", constant.Documentation);
            });
            WriteList(json, "enums", exports.Enumerations, enumeration =>
            {
                json.WriteString("name", enumeration.Name);
                json.WriteString("doc", enumeration.Documentation);
                WriteList(json, "values", enumeration.Values, value =>
                {
                    json.WriteString("name", value.Name);
                    json.WriteNumber("value", value.Value);
                    json.WriteString("doc", value.Documentation);
                });
            });
            json.WriteStartArray("handles");
            foreach ((string name, _) in exports.Handles) json.WriteStringValue(name);
            json.WriteEndArray();
            WriteList(json, "structs", exports.Structs, record =>
            {
                json.WriteString("name", record.Name);
                json.WriteString("doc", record.Documentation);
                WriteList(json, "fields", record.Fields, field =>
                {
                    json.WriteString("name", field.Name);
                    json.WriteString("type", field.Type);
                    if (record.HasDefaults && field.Name != "size") WriteValue(json, "default", field.Default);
                    json.WriteString("doc", field.Documentation);
                });
            });
            WriteList(json, "functions", exports.Sections.SelectMany(section => section.Functions.Select(f => (section.Title, f))), item =>
            {
                json.WriteString("name", item.f.Name);
                json.WriteString("section", item.Title);
                json.WriteString("doc", item.f.Documentation);
                json.WriteString("result", item.f.Result);
                WriteList(json, "parameters", item.f.Parameters, parameter =>
                {
                    json.WriteString("name", parameter.Name);
                    json.WriteString("type", parameter.Type);
                    json.WriteBoolean("nullable", parameter.IsNullable);
                    if (parameter.Default is not (null or DBNull)) WriteValue(json, "default", parameter.Default);
                    json.WriteString("doc", parameter.Documentation);
                });
            });
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
    }

    private static void WriteList<T>(Utf8JsonWriter json, string name, IEnumerable<T> items, Action<T> write)
    {
        json.WriteStartArray(name);
        foreach (T item in items)
        {
            json.WriteStartObject();
            write(item);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void WriteValue(Utf8JsonWriter json, string name, object? value)
    {
        json.WritePropertyName(name);
        WriteValue(json, value);
    }

    private static void WriteValue(Utf8JsonWriter json, object? value)
    {
        switch (value)
        {
            case null: json.WriteNullValue(); break;
            case bool flag: json.WriteBooleanValue(flag); break;
            case Enum constant: json.WriteNumberValue(Convert.ToInt32(constant)); break;
            case double number: json.WriteNumberValue(number); break;
            case ulong number: json.WriteNumberValue(number); break;
            case IConvertible number: json.WriteNumberValue(number.ToInt64(null)); break;
            default:
                json.WriteStartArray();
                foreach (object? part in HeaderWriter.PartsOf(value)) WriteValue(json, part);
                json.WriteEndArray();
                break;
        }
    }
}
