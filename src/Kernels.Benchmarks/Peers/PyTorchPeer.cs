using System.Globalization;
using System.Reflection;
using System.Text.Json;
using Kernels.Verification;

namespace Kernels.Benchmarks;

/// <summary>
/// PyTorch in a process of its own, on the CPU or on a CUDA GPU. It gets the case table's problems, every public property by name, and
/// makes its tensors itself; the modules that answer, <c>bench/peers/pytorch</c>, are part of this assembly.
/// </summary>
public sealed class PyTorchPeer : Peer
{
    /// <summary>Environment variable that names the Python to use, and no other.</summary>
    public const string PythonVariable = "KERNELS_PYTHON";

    private const string Folder = "peers/pytorch/";

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

    private static readonly Dictionary<string, string> KeepHeap = new()
    {
        ["MALLOC_MMAP_MAX_"] = "0",
        ["MALLOC_TRIM_THRESHOLD_"] = "1000000000000",
    };

    private readonly string _python;
    private readonly string _device;
    private readonly bool _keepsHeap;
    private PeerProcess _process;
    private string? _op;

    private PyTorchPeer(string python, string device, bool keepsHeap)
    {
        (_python, _device, _keepsHeap) = (python, device, keepsHeap);
        (_process, Name) = Start(python, device, keepsHeap);
    }

    public override string Name { get; }

    public override string Label => _keepsHeap ? "PyTorch*" : "PyTorch";

    /// <summary>
    /// Starts the first Python that can import PyTorch and use the device (whose ids are PyTorch's: <c>cpu</c>, <c>cuda:0</c>). On the CPU
    /// of a Linux system it is started a second time with a heap that keeps its pages. As it comes, PyTorch gets each large result from the
    /// system, which clears it page by page, and that can take several times as long as the op: users have to wait for it, but the op is
    /// not to blame. How long it goes on like that depends on what the process did before, so as it comes it gets a new process for each
    /// op.
    /// </summary>
    /// <exception cref="PeerException">There is none; the message says what was tried.</exception>
    public static IReadOnlyList<Peer> Start(Device device)
    {
        if (device.Kind == DeviceKind.OpenCl) throw new PeerException("PyTorch does not run on OpenCL");
        List<string> failures = [];
        foreach (string python in Candidates())
        {
            try
            {
                PyTorchPeer first = new(python, device.Id, keepsHeap: false);
                return device.Kind == DeviceKind.Cpu && OperatingSystem.IsLinux()
                    ? [first, new PyTorchPeer(python, device.Id, keepsHeap: true)]
                    : [first];
            }
            catch (PeerException e)
            {
                failures.Add($"{python}: {e.Message}");
            }
        }

        throw new PeerException($"no Python with PyTorch ({string.Join("; ", failures)}); {PythonVariable} can name one");
    }

    public override PeerCall Prepare(OpCase op, Problem problem, DType dtype, DeviceTensors tensors)
    {
        if (_op is not null && _op != op.Op && !_keepsHeap && _device == "cpu")
        {
            (PeerProcess fresh, _) = Start(_python, _device, _keepsHeap);
            _process.Dispose();
            _process = fresh;
        }

        _op = op.Op;
        // As object, so that the serializer looks at the record itself and not at its base class.
        JsonElement reply = _process.Ask(new { Do = "prepare", op.Op, Dtype = dtype.ShortName(), Problem = (object)problem });
        return reply.TryGetProperty("unsupported", out JsonElement reason)
            ? throw new PeerException(reason.ToString())
            : new Call(_process, Text(reply, "call"));
    }

    public override void Dispose()
    {
        _process.Dispose();
        base.Dispose();
    }

    private static (PeerProcess Process, string Name) Start(string python, string device, bool keepHeap)
    {
        // As many threads as the CPU device uses: PyTorch itself would leave out the second thread of a core, BLAS and OpenMP would not.
        string threads = Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture);
        Dictionary<string, string> environment = keepHeap ? new(KeepHeap) : [];
        foreach (string library in (string[])["OMP", "OPENBLAS", "MKL"]) environment[$"{library}_NUM_THREADS"] = threads;
        PeerProcess process = PeerProcess.Start(python, ["-c", Loader], environment);
        try
        {
            process.Send(JsonSerializer.Serialize(Modules()) + "\n");
            JsonElement reply = process.Ask(
                new { Do = "start", Device = device, Threads = Environment.ProcessorCount, KeepsHeap = keepHeap });
            return (process, Text(reply, "name"));
        }
        catch
        {
            process.Dispose();
            throw;
        }
    }

    private static IEnumerable<string> Candidates()
    {
        if (Environment.GetEnvironmentVariable(PythonVariable) is { Length: > 0 } chosen) return [chosen];
        // The first python3 on PATH is often an environment without PyTorch where the system's has it.
        return OperatingSystem.IsWindows() ? ["python3", "python"] : ["python3", "/usr/bin/python3"];
    }

    /// <summary>The text of every module by its name.</summary>
    private static Dictionary<string, string> Modules()
    {
        Assembly assembly = typeof(PyTorchPeer).Assembly;
        return assembly.GetManifestResourceNames().Where(name => name.StartsWith(Folder, StringComparison.Ordinal)).ToDictionary(
            name => Path.GetFileNameWithoutExtension(name),
            name =>
            {
                using StreamReader reader = new(assembly.GetManifestResourceStream(name)!);
                return reader.ReadToEnd();
            });
    }

    private static string Text(JsonElement reply, string name) =>
        reply.TryGetProperty(name, out JsonElement value)
            ? value.ToString()
            : throw new PeerException($"a reply without '{name}': {reply}");

    private sealed class Call(PeerProcess process, string name) : PeerCall
    {
        public override string Name => name;

        internal override Timing Time(DeviceTimer timer)
        {
            JsonElement reply = process.Ask(new { Do = "run" });
            return new Timing(Milliseconds(reply, "cold"), Milliseconds(reply, "warm"));
        }

        private static double Milliseconds(JsonElement reply, string name) =>
            reply.TryGetProperty(name, out JsonElement value) && value.TryGetDouble(out double milliseconds) && milliseconds > 0
                ? milliseconds
                : throw new PeerException($"a reply without a time '{name}': {reply}");
    }
}
