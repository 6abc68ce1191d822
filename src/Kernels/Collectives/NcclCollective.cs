using System.Diagnostics;
using System.Runtime.InteropServices;
using Kernels.Devices;
using Kernels.Devices.Cuda;
using Kernels.Interop;
using static Kernels.Interop.Nccl;

namespace Kernels;

/// <summary>
/// A rank on a GPU, over NCCL. Calls are queued in the caller's stream and return. One communicator, whose calls have one order on all
/// ranks: a stream that calls after another waits for it. A watch asks for errors and for calls that take too long, and breaks the
/// communicator off, so that streams do not wait for ever.
/// </summary>
internal sealed unsafe class NcclCollective : Collective
{
    private const int OldestVersion = 21400;

    private static readonly int CallBytes = sizeof(CollectiveCall);

    private readonly CudaDevice _device;
    private readonly Lock _communicating = new(); // NCCL allows one thread at a time on a communicator
    private readonly NcclWatch _watch;
    private DeviceTensor<byte>? _calls; // those of all ranks
    private DeviceStream? _lastStream;
    private nint _communicator;

    private NcclCollective(CudaDevice device, nint communicator, int version, int rank, int rankCount, CollectiveOptions options)
        : base(rank, rankCount, options)
    {
        (_device, _communicator) = (device, communicator);
        Transport = $"NCCL {version / 10000}.{version / 100 % 100}.{version % 100}";
        _watch = new NcclWatch(options.TimeLimit, AsyncError, EndBy);
    }

    public override string Transport { get; }

    public static byte[] CreateId()
    {
        Load();
        NcclResult result = ncclGetUniqueId(out NcclUniqueId id);
        if (result != NcclResult.Success) throw Refused(result, nameof(ncclGetUniqueId), 0);
        return id.ToArray();
    }

    public static NcclCollective Open(Device device, ReadOnlySpan<byte> id, int rank, int rankCount, CollectiveOptions options)
    {
        if (device is not CudaDevice cuda)
            throw new ArgumentException($"Collectives.OpenNccl: {device} is no CUDA device.", nameof(device));
        int version = Load();
        NcclConfiguration configuration = NcclConfiguration.NonBlocking;
        long start = Stopwatch.GetTimestamp();
        using CudaContext.Scope scope = cuda.Context.MakeCurrent();
        NcclResult result = ncclCommInitRankConfig(out nint communicator, rankCount, new NcclUniqueId(id), rank, &configuration);
        while (result == NcclResult.InProgress && Stopwatch.GetElapsedTime(start) < options.TimeLimit)
        {
            Thread.Sleep(1);
            NcclResult asked = ncclCommGetAsyncError(communicator, out result);
            if (asked != NcclResult.Success) result = asked;
        }

        if (result == NcclResult.Success) return new NcclCollective(cuda, communicator, version, rank, rankCount, options);
        CollectiveException failure = result == NcclResult.InProgress
            ? new CollectiveException(
                $"NCCL: rank {rank} of {rankCount} waited {options.TimeLimit.TotalSeconds:0.###} s for the others to open the group.",
                call: nameof(ncclCommInitRankConfig))
            : Refused(result, nameof(ncclCommInitRankConfig), communicator);
        if (communicator != 0) ncclCommAbort(communicator);
        throw failure;
    }

    private protected override void RunCore(
        in CollectiveCall call, DeviceStream stream, in TensorBytes source, in TensorBytes destination)
    {
        if (stream.Device != _device)
            throw new ArgumentException($"{call.Kind}: the stream is on {stream.Device}, this rank of NCCL on {_device}.", nameof(stream));
        JoinLast(stream);
        if (Options.ComparesCalls == true) Compare(call, stream);
        if (call.Bytes == 0) return;
        using MemoryLease sourceLease = MemoryLease.Take(source.Memory), destinationLease = MemoryLease.Take(destination.Memory);
        nuint from = (nuint)source.Memory.Value + (nuint)source.First, to = (nuint)destination.Memory.Value + (nuint)destination.First;
        Queue(call, stream, from, to);
    }

    private protected override void BarrierCore(in CollectiveCall call)
    {
        using DeviceStream stream = _device.CreateStream();
        using DeviceTensor<float> one = _device.Allocate<float>(1);
        JoinLast(stream);
        if (Options.ComparesCalls == true) Compare(call, stream);
        stream.Fill(one, 1f);
        nuint address = (nuint)one.Buffer.NativeHandle;
        CollectiveCall sum = new(CollectiveKind.AllReduce, call.Number, DType.Float32, 1, 0, call.Text);
        Queue(sum, stream, address, address);
        stream.Synchronize();
        _watch.Look();
        if (Failure is { } failure) throw failure;
    }

    private protected override void SynchronizeCore(DeviceStream stream)
    {
        stream.Synchronize();
        _watch.Look();
    }

    private protected override void AbortCore(string reason) => BreakOff();

    private protected override void DisposeCore()
    {
        _watch.Dispose();
        _calls?.Dispose();
        lock (_communicating)
        {
            if (_communicator == 0) return;
            using CudaContext.Scope scope = _device.Context.MakeCurrent();
            bool finished = Settle(ncclCommFinalize(_communicator)) == NcclResult.Success;
            _ = finished ? ncclCommDestroy(_communicator) : ncclCommAbort(_communicator);
            _communicator = 0;
        }
    }

    /// <summary>Queues a call between two events, by which it is watched.</summary>
    private void Queue(in CollectiveCall call, DeviceStream stream, nuint from, nuint to)
    {
        DeviceEvent begin = stream.Record();
        lock (_communicating)
        {
            if (Failure is { } failure) throw failure;
            using CudaContext.Scope scope = _device.Context.MakeCurrent();
            (NcclResult result, string name) = Call(call, from, to, stream.NativeHandle);
            result = Settle(result);
            if (result != NcclResult.Success)
            {
                begin.Dispose();
                CollectiveException failed = Fail(result == NcclResult.InProgress
                    ? Failed(call, $"{name} did not return within {Options.TimeLimit.TotalSeconds:0.###} s.", libraryCall: name)
                    : Failed(call, $"{name} failed: {Text(result, _communicator)}", null, Name(result), name));
                BreakOff();
                throw failed;
            }
        }

        _watch.Add(new NcclWatch.Pending(call, begin, stream.Record()));
        _lastStream = stream;
    }

    private (NcclResult Result, string Name) Call(in CollectiveCall call, nuint from, nuint to, nint stream)
    {
        nuint count = (nuint)call.Count, bytes = (nuint)call.Bytes;
        switch (call.Kind)
        {
            case CollectiveKind.AllReduce:
                return (
                    ncclAllReduce(from, to, count, TypeOf(call.DType), NcclReduction.Sum, _communicator, stream), nameof(ncclAllReduce));
            case CollectiveKind.ReduceScatter:
                return (ncclReduceScatter(from, to, count, TypeOf(call.DType), NcclReduction.Sum, _communicator, stream),
                    nameof(ncclReduceScatter));
            case CollectiveKind.AllGather when call.Groups.Size == 0:
                return (ncclAllGather(from, to, bytes, NcclDataType.UInt8, _communicator, stream), nameof(ncclAllGather));
            case CollectiveKind.Broadcast:
                return (ncclBroadcast(from, to, bytes, NcclDataType.UInt8, call.Root, _communicator, stream), nameof(ncclBroadcast));
            default:
                return (Exchange(call, from, to, stream), "ncclSend and ncclRecv");
        }
    }

    /// <summary>Each rank sends the others of its group their parts, or of a gather the one that it has.</summary>
    private NcclResult Exchange(in CollectiveCall call, nuint from, nuint to, nint stream)
    {
        RankGroups groups = GroupsOf(call);
        nuint bytes = (nuint)call.Bytes;
        NcclResult result = ncclGroupStart();
        if (result != NcclResult.Success) return result;
        for (int place = 0; place < groups.Size && result == NcclResult.Success; place++)
        {
            int rank = groups.Member(Rank, place);
            nuint part = (nuint)place * bytes, source = call.Kind == CollectiveKind.AllGather ? from : from + part;
            if (source == to + part) continue; // its own, in place
            result = ncclSend(source, bytes, NcclDataType.UInt8, rank, _communicator, stream);
            if (result == NcclResult.Success)
                result = ncclRecv(to + part, bytes, NcclDataType.UInt8, rank, _communicator, stream);
        }

        NcclResult end = ncclGroupEnd();
        return result == NcclResult.Success ? end : result;
    }

    /// <summary>The calls of a communicator run in their order, whatever streams they are in.</summary>
    private void JoinLast(DeviceStream stream)
    {
        if (_lastStream is not null && _lastStream != stream) _watch.Join(stream);
    }

    /// <summary>Gathers what all ranks are about to do, and waits for it.</summary>
    private void Compare(in CollectiveCall call, DeviceStream stream)
    {
        _calls ??= _device.Allocate<byte>(RankCount, CallBytes);
        DeviceTensor<byte> own = _calls.Slice(Rank, 1);
        CollectiveCall copy = call;
        stream.Upload(new ReadOnlySpan<byte>(&copy, CallBytes), own.Reshape(CallBytes));
        CollectiveCall gather = new(CollectiveKind.AllGather, call.Number, DType.UInt8, CallBytes, 0, call.Text);
        nuint address = (nuint)_calls.Buffer.NativeHandle;
        Queue(gather, stream, address + (nuint)(Rank * CallBytes), address);
        CollectiveCall[] calls = new CollectiveCall[RankCount];
        stream.Download(_calls, MemoryMarshal.AsBytes(calls.AsSpan()));
        _watch.Look();
        if (Failure is { } failure) throw failure;
        for (int rank = 1; rank < RankCount; rank++)
        {
            if (calls[rank].Equals(calls[0])) continue;
            CollectiveException differs = Fail(Differs(call, calls));
            BreakOff();
            throw differs;
        }
    }

    /// <summary>Waits for the end of a call that did not block; in progress means that the limit was reached.</summary>
    private NcclResult Settle(NcclResult result)
    {
        long start = Stopwatch.GetTimestamp();
        while (result == NcclResult.InProgress && Stopwatch.GetElapsedTime(start) < Options.TimeLimit)
        {
            Thread.Yield();
            NcclResult asked = ncclCommGetAsyncError(_communicator, out result);
            if (asked != NcclResult.Success) return asked;
        }

        return result;
    }

    /// <summary>What the watch asks.</summary>
    private NcclResult AsyncError(out string text)
    {
        text = "";
        lock (_communicating)
        {
            if (_communicator == 0) return NcclResult.Success;
            NcclResult asked = ncclCommGetAsyncError(_communicator, out NcclResult result);
            if (asked != NcclResult.Success) result = asked;
            if (result is NcclResult.Success or NcclResult.InProgress) return NcclResult.Success;
            text = Text(result, _communicator);
            return result;
        }
    }

    /// <summary>What the watch found.</summary>
    private void EndBy(CollectiveCall call, NcclResult result, string text)
    {
        Fail(result == NcclResult.Success
            ? Failed(call, $"it did not end within {Options.TimeLimit.TotalSeconds:0.###} s: a rank has died, hangs, or did not come.")
            : Failed(call, $"a rank or its connection failed: {text}", null, Name(result), "ncclCommGetAsyncError"));
        BreakOff();
    }

    /// <summary>Ends what runs on the GPU for the communicator, with results that are not there.</summary>
    private void BreakOff()
    {
        lock (_communicating)
        {
            if (_communicator == 0) return;
            using CudaContext.Scope scope = _device.Context.MakeCurrent();
            ncclCommAbort(_communicator);
            _communicator = 0;
        }
    }

    /// <summary>Loads the library and returns its version.</summary>
    private static int Load()
    {
        if (!NativeLibraries.TryLoad(NativeLibraries.Nccl, out string? reason)) throw new DeviceNotAvailableException($"NCCL: {reason}");
        NcclResult result = ncclGetVersion(out int version);
        if (result != NcclResult.Success) throw Refused(result, nameof(ncclGetVersion), 0);
        if (version < OldestVersion)
        {
            throw new DeviceNotAvailableException(
                $"NCCL: '{NativeLibraries.PathOf(NativeLibraries.Nccl)}' is version {version}; 2.14 (21400) or later is needed.");
        }

        return version;
    }

    private static CollectiveException Refused(NcclResult result, string call, nint communicator) =>
        new($"NCCL: {call} failed: {Text(result, communicator)}", null, Name(result), call);

    private static string Name(NcclResult result) => $"{result} ({(int)result})";

    private static string Text(NcclResult result, nint communicator)
    {
        string text = $"{Name(result)}: {Marshal.PtrToStringUTF8(ncclGetErrorString(result))}";
        string? more = Marshal.PtrToStringUTF8(ncclGetLastError(communicator));
        return string.IsNullOrWhiteSpace(more) ? text : $"{text} ({more.Trim()})";
    }

    private static NcclDataType TypeOf(DType dtype) => dtype switch
    {
        DType.Float16 => NcclDataType.Float16,
        DType.BFloat16 => NcclDataType.BFloat16,
        DType.Float64 => NcclDataType.Float64,
        _ => NcclDataType.Float32,
    };
}
