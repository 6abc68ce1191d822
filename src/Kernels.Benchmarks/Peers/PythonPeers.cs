using System.Reflection;
using System.Text.Json;
using Kernels.Verification;

namespace Kernels.Benchmarks;

/// <summary>
/// Peers in Python, each in a process of its own. They get the case table's problems, every public property by name, and make their tensors
/// themselves; their modules, <c>bench/peers</c>, are part of this assembly.
/// </summary>
internal static class PythonPeers
{
    /// <summary>Environment variable that names the Python to use, and no other.</summary>
    public const string PythonVariable = "KERNELS_PYTHON";

    /// <summary>Integers of a tensor that are sent to the other process.</summary>
    private const int MostIntegers = 1 << 17;

    // Imports from the texts that the first line of standard input brings; nothing is written to disk.
    private const string Loader = """
        import importlib.util, json, sys

        texts = json.loads(sys.stdin.readline())

        class Texts:
            def find_spec(self, name, path=None, target=None):
                return importlib.util.spec_from_loader(name, self) if name in texts else None

            def create_module(self, spec):
                return None

            def exec_module(self, module):
                exec(compile(texts[module.__name__], f"{module.__name__}.py", "exec"), module.__dict__)

        sys.meta_path.insert(0, Texts())
        exec(compile(texts["__main__"], "__main__.py", "exec"))
        """;

    /// <summary>What the first Python makes that can.</summary>
    /// <exception cref="PeerException">None can; the message says what was tried.</exception>
    public static T First<T>(string library, Func<string, T> start)
    {
        List<string> failures = [];
        foreach (string python in Candidates())
        {
            try
            {
                return start(python);
            }
            catch (PeerException e)
            {
                failures.Add($"{python}: {e.Message}");
            }
        }

        throw new PeerException($"no Python with {library} ({string.Join("; ", failures)}); {PythonVariable} can name one");
    }

    /// <summary>Starts the modules of a library.</summary>
    /// <returns>The process, and its answer to <paramref name="request"/>.</returns>
    /// <exception cref="PeerException">It does not start, or answers that it cannot.</exception>
    public static (PeerProcess Process, JsonElement Reply) Start(
        string python, string library, IReadOnlyDictionary<string, string> environment, object request)
    {
        PeerProcess process = PeerProcess.Start(python, ["-c", Loader], environment);
        try
        {
            process.Send(JsonSerializer.Serialize(Modules(library)) + "\n");
            return (process, process.Ask(request));
        }
        catch
        {
            process.Dispose();
            throw;
        }
    }

    /// <summary>Sets a problem up.</summary>
    /// <param name="process">The peer's.</param>
    /// <param name="op">The op.</param>
    /// <param name="problem">What to compute.</param>
    /// <param name="dtype">Stored type.</param>
    /// <param name="tensors">Operands, where the process times ours too.</param>
    /// <exception cref="PeerException">The peer has no such op, or not with these settings.</exception>
    public static PeerCall Prepare(PeerProcess process, OpCase op, Problem problem, DType dtype, DeviceTensors? tensors)
    {
        // As object, so that the serializer looks at the record itself and not at its base class.
        JsonElement reply = process.Ask(new
        {
            Do = "prepare",
            op.Op,
            Dtype = dtype.ShortName(),
            Problem = (object)problem,
            Tensors = tensors?.Specs.Select(Describe),
        });
        return reply.TryGetProperty("unsupported", out JsonElement reason)
            ? throw new PeerException(reason.ToString())
            : new Call(process, Text(reply, "call"));
    }

    public static string Text(JsonElement reply, string name) =>
        reply.TryGetProperty(name, out JsonElement value)
            ? value.ToString()
            : throw new PeerException($"a reply without '{name}': {reply}");

    /// <summary>A tensor of the problem; integers are labels and indices, so their values matter.</summary>
    private static object Describe(TensorSpec spec) => new
    {
        spec.Name,
        Dtype = spec.DType.ShortName(),
        spec.Shape,
        Values = !spec.DType.IsFloat() && spec.Values.Length is > 0 and <= MostIntegers ? spec.Values : null,
    };

    private static IEnumerable<string> Candidates()
    {
        if (Environment.GetEnvironmentVariable(PythonVariable) is { Length: > 0 } chosen) return [chosen];
        // The first python3 on PATH is often an environment without PyTorch where the system's has it.
        return OperatingSystem.IsWindows() ? ["python3", "python"] : ["python3", "/usr/bin/python3"];
    }

    /// <summary>The text of every module of a library, and of those that all share, by its name.</summary>
    private static Dictionary<string, string> Modules(string library)
    {
        Assembly assembly = typeof(PythonPeers).Assembly;
        string[] folders = ["peers/python/", $"peers/{library}/"];
        bool Belongs(string name) => folders.Any(folder => name.StartsWith(folder, StringComparison.Ordinal));
        return assembly.GetManifestResourceNames().Where(Belongs).ToDictionary(
            name => Path.GetFileNameWithoutExtension(name),
            name =>
            {
                using StreamReader reader = new(assembly.GetManifestResourceStream(name)!);
                return reader.ReadToEnd();
            });
    }

    private sealed class Call(PeerProcess process, string name) : PeerCall
    {
        private BesideTimes? _beside;

        public override string Name => name;

        internal override BesideTimes? Beside => _beside;

        internal override Timing Time(DeviceTimer timer)
        {
            JsonElement reply = process.Ask(new { Do = "run" });
            _beside = !reply.TryGetProperty("ours", out JsonElement ours)
                ? null
                : new(
                    new(Milliseconds(ours, "cold"), Milliseconds(ours, "warm")),
                    reply.TryGetProperty("graph", out JsonElement graph)
                        ? new(Milliseconds(graph, "ours"), Milliseconds(graph, "theirs"))
                        : null);
            return new Timing(Milliseconds(reply, "cold"), Milliseconds(reply, "warm"));
        }

        private static double Milliseconds(JsonElement reply, string name) =>
            reply.TryGetProperty(name, out JsonElement value) && value.TryGetDouble(out double milliseconds) && milliseconds > 0
                ? milliseconds
                : throw new PeerException($"a reply without a time '{name}': {reply}");
    }
}
