using System.Text.RegularExpressions;
using Kernels.Devices;

namespace Kernels.Tests.DeviceCode;

/// <summary>A parameter of a kernel: <c>u64 x_offset</c>, or a pointer where the type ends with a star.</summary>
internal readonly record struct KernelParameter(string Type, string Name)
{
    public override string ToString() => $"{Type} {Name}";
}

/// <summary>The parameter list of a kernel from its two sources: the text of the kernel and the argument record of the host.</summary>
internal static partial class KernelParameters
{
    /// <summary>The parameters as written in the file, without <c>const</c> and address space.</summary>
    public static IReadOnlyList<KernelParameter> InText(string text, string entryPoint)
    {
        string list = EntryPoint(entryPoint).Match(text) is { Success: true } match
            ? match.Groups["list"].Value
            : throw new ArgumentException($"There is no kernel {entryPoint} in the text.", nameof(entryPoint));
        string keyParameters = KeyParameters().Match(KernelSource.Read("portable/philox.h")).Groups["list"].Value;
        return [.. list.Replace("KEY_PARAMETERS", keyParameters, StringComparison.Ordinal).Split(',').Select(Parse)];
    }

    /// <summary>The parameters that the host binds, by the naming rule of <see cref="IArgumentBinder"/>.</summary>
    public static IReadOnlyList<KernelParameter> InRecord(KernelDefinition kernel)
    {
        Recorder recorder = new([]);
        kernel.BindDefaults(ref recorder);
        return recorder.Parameters;
    }

    /// <summary>Where the two lists part, or null where they agree.</summary>
    public static string? Difference(IReadOnlyList<KernelParameter> inText, IReadOnlyList<KernelParameter> inRecord)
    {
        for (int i = 0; i < Math.Max(inText.Count, inRecord.Count); i++)
        {
            string written = i < inText.Count ? inText[i].ToString() : "nothing";
            string bound = i < inRecord.Count ? inRecord[i].ToString() : "nothing";
            bool agree = i < inText.Count && i < inRecord.Count && inText[i].Name == inRecord[i].Name
                && (inText[i].Type == inRecord[i].Type || (inRecord[i].Type == "*" && inText[i].Type.EndsWith('*')));
            if (!agree) return $"parameter {i} is '{written}' in the text and '{bound}' in the record";
        }

        return null;
    }

    private static KernelParameter Parse(string parameter)
    {
        string[] words = [.. parameter.Replace("*", " * ", StringComparison.Ordinal).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)];
        string type = string.Concat(words[..^1].Where(word => word is not ("GLOBAL" or "const" or "RESTRICT")));
        return new KernelParameter(type, words[^1]);
    }

    private static string SnakeCase(string name) => WordStart().Replace(name, "_").ToLowerInvariant();

    private static Regex EntryPoint(string name) => new($@"\bKERNEL\s+void\s+{name}\s*\((?<list>[^)]*)\)");

    [GeneratedRegex(@"^#define KEY_PARAMETERS (?<list>.*)$", RegexOptions.Multiline)]
    private static partial Regex KeyParameters();

    [GeneratedRegex("(?<=[a-z0-9])(?=[A-Z])")]
    private static partial Regex WordStart();

    /// <summary>Writes down what a record binds. The stored type of a tensor is not known here; any pointer will do.</summary>
    private readonly struct Recorder(List<KernelParameter> parameters) : IArgumentBinder
    {
        public List<KernelParameter> Parameters { get; } = parameters;

        public void Tensor(TensorArgument value, string name = "")
        {
            Add("*", SnakeCase(name));
            Add("u64", $"{SnakeCase(name)}_offset");
        }

        public void Key(in KeyArgument value, string name = "")
        {
            Tensor(value.Device, name);
            Add("u64", "seed");
            Add("u64", "offset");
        }

        public void UInt64(ulong value, string name = "") => Add("u64", SnakeCase(name));

        public void UInt32(uint value, string name = "") => Add("u32", SnakeCase(name));

        public void Real(double value, string name = "") => Add("real", SnakeCase(name));

        private void Add(string type, string name) => Parameters.Add(new KernelParameter(type, name));
    }
}
