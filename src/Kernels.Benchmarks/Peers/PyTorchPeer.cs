using System.Globalization;
using System.Text.Json;
using Kernels.Verification;

namespace Kernels.Benchmarks;

/// <summary>
/// PyTorch in a process of its own, on the CPU or on a CUDA GPU. It gets the case table's problems, every public property by name, and
/// makes its tensors itself; the modules that answer are those of <c>bench/peers/pytorch</c>.
/// </summary>
public sealed class PyTorchPeer : Peer
{
    private static readonly Dictionary<string, string> KeepHeap = new()
    {
        ["MALLOC_MMAP_MAX_"] = "0",
        ["MALLOC_TRIM_THRESHOLD_"] = "1000000000000",
    };

    private readonly string _python;
    private readonly string _device;
    private readonly bool _keepsHeap;
    private readonly bool _takesOurs;
    private PeerProcess _process;
    private string? _op;

    private PyTorchPeer(string python, string device, bool keepsHeap)
    {
        (_python, _device, _keepsHeap) = (python, device, keepsHeap);
        (_process, Name, _takesOurs) = Start(python, device, keepsHeap);
    }

    /// <summary>
    /// The Python package: beside the bundle's programs, or in the repository that a build lies in; null where it is not. It finds the
    /// native library itself.
    /// </summary>
    internal static string? PackageFolder { get; } = new[] { "../native/python", "../../../../native/python" }
        .Select(folder => Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, folder)))
        .FirstOrDefault(folder => File.Exists(Path.Combine(folder, "kernels", "__init__.py")));

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
        return PythonPeers.First<IReadOnlyList<Peer>>("PyTorch", python =>
        {
            PyTorchPeer first = new(python, device.Id, keepsHeap: false);
            return device.Kind == DeviceKind.Cpu && OperatingSystem.IsLinux()
                ? [first, new PyTorchPeer(python, device.Id, keepsHeap: true)]
                : [first];
        });
    }

    public override PeerCall Prepare(OpCase op, Problem problem, DType dtype, DeviceTensors tensors)
    {
        if (_op is not null && _op != op.Op && !_keepsHeap && _device == "cpu")
        {
            (PeerProcess fresh, _, _) = Start(_python, _device, _keepsHeap);
            _process.Dispose();
            _process = fresh;
        }

        _op = op.Op;
        return PythonPeers.Prepare(_process, op, problem, dtype, _takesOurs ? tensors : null);
    }

    public override void Dispose()
    {
        _process.Dispose();
        base.Dispose();
    }

    private static (PeerProcess Process, string Name, bool TakesOurs) Start(string python, string device, bool keepHeap)
    {
        // As many threads as the CPU device uses: PyTorch itself would leave out the second thread of a core, BLAS and OpenMP would not.
        string threads = Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture);
        Dictionary<string, string> environment = keepHeap ? new(KeepHeap) : [];
        foreach (string library in (string[])["OMP", "OPENBLAS", "MKL"]) environment[$"{library}_NUM_THREADS"] = threads;
        // On the CPU each would keep the cores busy that the other is timed on.
        string? package = device == "cpu" ? null : PackageFolder;
        (PeerProcess process, JsonElement reply) = PythonPeers.Start(
            python, "pytorch", environment,
            new { Do = "start", Device = device, Threads = Environment.ProcessorCount, KeepsHeap = keepHeap, Package = package });
        return (process, PythonPeers.Text(reply, "name"), reply.TryGetProperty("kernels", out _));
    }
}
