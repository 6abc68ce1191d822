using BenchmarkDotNet.Attributes;
using Kernels.Benchmarks;
using Kernels.Verification;
using PeerLibrary = Kernels.Benchmarks.Peer;

namespace Kernels.Bench;

/// <summary>
/// Every bench problem of the case table beside a copy of as many bytes and the peer in this process that has the op: oneDNN on the CPU,
/// cuDNN or cuBLAS on CUDA. Several calls are queued before the device is waited for, so that the wait is shared among them.
/// </summary>
public class OpBenchmarks
{
    private const int Calls = 8;

    private GuardedTensors? _tensors;
    private DeviceTensor<byte>? _source;
    private DeviceTensor<byte>? _target;
    private PreparedCall? _call;
    private PeerCall? _peer;

    /// <summary>Where all rows run; set before the run.</summary>
    public static Place Here { get; set; } = null!;

    /// <summary>The rows; set before the run.</summary>
    public static IReadOnlyList<BenchCase> Cases { get; set; } = [];

    [ParamsSource(nameof(Cases))]
    public BenchCase Case { get; set; } = null!;

    [GlobalSetup]
    public void SetUp()
    {
        long half = Math.Max(64, Case.Bytes / 2);
        _tensors = new GuardedTensors(Here.Stream, Case.Op.Tensors(Case.Problem, Case.DType, Verifier.DefaultSeed));
        _source = Here.Device.Allocate<byte>(half);
        _target = Here.Device.Allocate<byte>(half);
        Here.Stream.Fill(_source, (byte)1);
        Here.Stream.Fill(_target, (byte)1);
        _call = Case.Op.Prepare(Here.Stream, Case.Problem, Case.DType, _tensors);
        _peer = Here.PeerOf(Case)?.Prepare(Case.Op, Case.Problem, Case.DType, _tensors);
    }

    [GlobalCleanup]
    public void CleanUp()
    {
        _peer?.Dispose();
        _call?.Dispose();
        _tensors?.Dispose();
        _source?.Dispose();
        _target?.Dispose();
    }

    [Benchmark(OperationsPerInvoke = Calls)]
    public void Kernels() => Queue(_call!.Invoke);

    [Benchmark(OperationsPerInvoke = Calls)]
    public void Copy() => Queue(() => Here.Stream.Copy(_source!, _target!));

    [Benchmark(OperationsPerInvoke = Calls)]
    public void Peer() => Queue(((QueuedCall)_peer!).Queue);

    private static void Queue(Action call)
    {
        for (int i = 0; i < Calls; i++) call();
        Here.Stream.Synchronize();
    }

    /// <summary>A device, a stream of it, and the peers that share them.</summary>
    public sealed class Place : IDisposable
    {
        private readonly PeerSet _peers;

        private Place(Device device)
        {
            Device = device;
            Stream = device.CreateStream();
            _peers = PeerSet.Find(Stream, PeerSet.InProcess);
        }

        public Device Device { get; }

        public DeviceStream Stream { get; }

        /// <summary>The first peer that has the case, or null.</summary>
        public PeerLibrary? PeerOf(BenchCase row) =>
            _peers.Found.FirstOrDefault(peer => peer.Reject(row.Op, row.Problem, row.DType) is null);

        public static Place Open(string deviceId) => new(Device.Open(deviceId));

        public void Dispose()
        {
            _peers.Dispose();
            Stream.Dispose();
            Device.Dispose();
        }
    }
}
