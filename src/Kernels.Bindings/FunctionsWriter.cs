using System.Text;

namespace Kernels.Bindings;

/// <summary>Writes the list from which native/library/library.c makes the front of the shared library.</summary>
public static class FunctionsWriter
{
    /// <summary>The function that the front has in C, as it changes what it gives.</summary>
    private const string Own = "kernels_tensor_to_dlpack";

    /// <summary>The whole file.</summary>
    public static string Write(Interface exports)
    {
        ArgumentNullException.ThrowIfNull(exports);
        StringBuilder text = new();
        foreach (Function function in exports.Sections.SelectMany(section => section.Functions).Where(function => function.Name != Own))
        {
            string parameters = function.Parameters.Count == 0 ? "void" : string.Join(", ", function.Parameters.Select(p => p.Declaration));
            string arguments = string.Join(", ", function.Parameters.Select(p => p.Name));
            string head = function.Result == "kernels_status" ? "STATUS_FUNCTION(" : $"VALUE_FUNCTION({function.Result}, ";
            text.Append($"{head}{function.Name}, ({parameters}), ({arguments}))\n");
        }

        return text.ToString();
    }
}
