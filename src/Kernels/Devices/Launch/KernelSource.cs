using System.Collections.Concurrent;
using System.Reflection;
using System.Text;

namespace Kernels.Devices;

/// <summary>
/// Assembles the text of one program: the variant's <c>#define</c> lines, the dialect header, and the kernel file with its includes
/// expanded. The text says all there is to know about the program, so it serves as the cache key; <c>#line</c> keeps the real file names in
/// compiler messages.
/// </summary>
internal static class KernelSource
{
    private static readonly ConcurrentDictionary<(Assembly, string), string> Files = new();

    private static Assembly Library => typeof(KernelSource).Assembly;

    private static readonly AsyncLocal<Func<string, string, string>?> Rewriter = new();

    /// <summary>
    /// Changes the text of files (path, text) on this flow of control: tests plant faults with it and demand that verification finds them.
    /// </summary>
    internal static Func<string, string, string>? Rewrite
    {
        get => Rewriter.Value;
        set => Rewriter.Value = value;
    }

    public static string Assemble(string dialect, KernelDefinition kernel, in KernelVariant variant)
    {
        StringBuilder text = new();
        foreach (DType dtype in (ReadOnlySpan<DType>)[DType.Float32, DType.Float16, DType.BFloat16, DType.Float64])
            text.Append($"#define DTYPE_{dtype.ShortName().ToUpperInvariant()} {(variant.DType == dtype ? 1 : 0)}\n");
        text.Append($"#define VEC {variant.VectorWidth}\n");
        text.Append($"#define GROUP_SIZE {kernel.GroupSize}\n");
        for (int i = 0; i < kernel.Switches.Count; i++) text.Append($"#define {kernel.Switches[i]} {(variant.Has(i) ? 1 : 0)}\n");

        HashSet<string> included = [];
        Append(text, Library, $"dialect/{dialect}.h", included);
        Append(text, kernel.Assembly, kernel.File, included);
        return text.ToString();
    }

    /// <summary>The text of a file under <c>kernels/</c> that belongs to the library.</summary>
    public static string Read(string file) => Read(Library, file);

    private static string Read(Assembly assembly, string file) => Files.GetOrAdd((assembly, file), static key =>
    {
        (Assembly assembly, string path) = key;
        using Stream? stream = assembly.GetManifestResourceStream($"kernels/{path}");
        if (stream is null) throw new InvalidOperationException($"kernels/{path} is not embedded in {assembly.GetName().Name}.");
        using StreamReader reader = new(stream, Encoding.UTF8);
        return reader.ReadToEnd().ReplaceLineEndings("\n");
    });

    private static void Append(StringBuilder text, Assembly assembly, string file, HashSet<string> included)
    {
        if (!included.Add(file)) return;
        text.Append($"#line 1 \"kernels/{file}\"\n");
        int number = 0;
        string content = Read(assembly, file);
        foreach (string line in (Rewrite?.Invoke(file, content) ?? content).Split('\n'))
        {
            number++;
            if (line.StartsWith("#include \"", StringComparison.Ordinal))
            {
                string name = line.Split('"')[1];
                Append(text, Library, name.Contains('/') ? name : $"portable/{name}", included);
                text.Append($"#line {number + 1} \"kernels/{file}\"\n");
            }
            else
            {
                text.Append(line).Append('\n');
            }
        }
    }
}
