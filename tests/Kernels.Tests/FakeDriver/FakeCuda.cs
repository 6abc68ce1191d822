using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Kernels.Interop;

namespace Kernels.Tests.FakeDriver;

/// <summary>What can live in the stand-in; <c>enum fakecuda_kind</c>.</summary>
internal enum FakeKind
{
    Context,
    Memory,
    HostMemory,
    Stream,
    Event,
    Module,
    Program,
    Blas,
    Graph,
    GraphExecutable,
    Communicator,
}

/// <summary>The controls of the stand-in for libcuda; native/fakecuda/fakecuda.h says what each does.</summary>
internal static unsafe class FakeCuda
{
    private const int KeptViolations = 32;

    private static readonly nint Library = NativeLibrary.Load(StandIns.Cuda);
    private static readonly delegate* unmanaged<void> ResetFunction = (delegate* unmanaged<void>)Export("reset");
    private static readonly delegate* unmanaged<int, int, ulong, void> ConfigureFunction =
        (delegate* unmanaged<int, int, ulong, void>)Export("configure");
    private static readonly delegate* unmanaged<void*, void> SetCallback = (delegate* unmanaged<void*, void>)Export("set_launch_callback");
    private static readonly delegate* unmanaged<uint, void> SetLatencyFunction = (delegate* unmanaged<uint, void>)Export("set_latency");
    private static readonly delegate* unmanaged<ulong, byte*, int, int, void> FailFunction =
        (delegate* unmanaged<ulong, byte*, int, int, void>)Export("fail");
    private static readonly delegate* unmanaged<byte*> FailedFunctionName = (delegate* unmanaged<byte*>)Export("failed_function");
    private static readonly delegate* unmanaged<byte*, ulong> CallsFunction = (delegate* unmanaged<byte*, ulong>)Export("calls");
    private static readonly delegate* unmanaged<ulong, int*, byte*> LogFunction = (delegate* unmanaged<ulong, int*, byte*>)Export("log");
    private static readonly delegate* unmanaged<int, void> PutOffFunction = (delegate* unmanaged<int, void>)Export("put_off");
    private static readonly delegate* unmanaged<int, void> SetAsyncFunction = (delegate* unmanaged<int, void>)Export("set_async");
    private static readonly delegate* unmanaged<ulong> WaitsFunction = (delegate* unmanaged<ulong>)Export("waits");
    private static readonly delegate* unmanaged<int, long> LiveFunction = (delegate* unmanaged<int, long>)Export("live");
    private static readonly delegate* unmanaged<byte*, PtxCounts*> CountsFunction =
        (delegate* unmanaged<byte*, PtxCounts*>)Export("counts");
    private static readonly delegate* unmanaged<uint, void> LimitGroupsFunction =
        (delegate* unmanaged<uint, void>)Export("limit_groups");
    private static readonly delegate* unmanaged<byte*, uint, void> RemoveBarrierFunction =
        (delegate* unmanaged<byte*, uint, void>)Export("remove_barrier");
    private static readonly delegate* unmanaged<int, int, void> FailRankFunction =
        (delegate* unmanaged<int, int, void>)Export("fail_rank");
    private static readonly delegate* unmanaged<int> DepthFunction = (delegate* unmanaged<int>)Export("context_depth");
    private static readonly delegate* unmanaged<ulong> ViolationsFunction = (delegate* unmanaged<ulong>)Export("violations");
    private static readonly delegate* unmanaged<ulong, byte*> ViolationFunction = (delegate* unmanaged<ulong, byte*>)Export("violation");

    /// <summary>The function that was made to fail, or null while it has not come to that.</summary>
    public static string? FailedFunction => Text(FailedFunctionName());

    /// <summary>Contexts that this thread has pushed and not popped.</summary>
    public static int ContextDepth => DepthFunction();

    /// <summary>What was misused, as far as it is kept.</summary>
    public static IReadOnlyList<string> Violations =>
        [.. Enumerable.Range(0, (int)Math.Min(ViolationsFunction(), KeptViolations)).Select(i => Text(ViolationFunction((ulong)i))!)];

    public static void Reset() => ResetFunction();

    public static void Configure(int devices = 1, int computeCapability = 90, ulong memoryBytes = 4UL << 30) =>
        ConfigureFunction(devices, computeCapability, memoryBytes);

    /// <summary>What runs in place of a kernel, or null for nothing.</summary>
    public static void OnLaunch(delegate* unmanaged<FakeLaunch*, void> callback) => SetCallback(callback);

    public static void SetLatency(uint microseconds) => SetLatencyFunction(microseconds);

    /// <summary>The work of streams is put off until somebody waits for it.</summary>
    public static void PutOff() => PutOffFunction(1);

    /// <summary>Each stream does its work meanwhile, on a thread of its own, from here on; a reset does not end that.</summary>
    public static void SetAsync(bool on = true) => SetAsyncFunction(on ? 1 : 0);

    /// <summary>Calls since the last reset that wait for the device, or may.</summary>
    public static long Waits => (long)WaitsFunction();

    public static void Fail(ulong call, CudaStatus status, bool sticky, string? function = null)
    {
        fixed (byte* name = Zeroed(function)) FailFunction(call, name, (int)status, sticky ? 1 : 0);
    }

    /// <summary>The communicators of this rank have the error from here on.</summary>
    public static void FailRank(int rank, NcclResult result) => FailRankFunction(rank, (int)result);

    public static long Calls(string? function = null)
    {
        fixed (byte* name = Zeroed(function)) return (long)CallsFunction(name);
    }

    /// <summary>The machine for PTX runs at most so many groups of a launch; 0 is no limit.</summary>
    public static void LimitGroups(uint groups) => LimitGroupsFunction(groups);

    /// <summary>The barriers of a line hold nobody up on the machine for PTX, until a reset.</summary>
    public static void RemoveBarrier(string file, int line)
    {
        fixed (byte* name = Zeroed(file)) RemoveBarrierFunction(name, (uint)line);
    }

    /// <summary>What the machine for PTX counted under a kernel's name since the last reset, or null.</summary>
    public static PtxCounts? Counts(string kernel)
    {
        fixed (byte* name = Zeroed(kernel))
        {
            PtxCounts* counts = CountsFunction(name);
            return counts == null ? null : *counts;
        }
    }

    public static long Live(FakeKind kind) => LiveFunction((int)kind);

    /// <summary>What lives, as text: <c>2 Memory, 1 Stream</c>, or the empty text.</summary>
    public static string AllLive() =>
        string.Join(", ", Enum.GetValues<FakeKind>().Where(kind => Live(kind) != 0).Select(kind => $"{Live(kind)} {kind}"));

    /// <summary>Names of the calls from the <paramref name="first"/> on.</summary>
    public static IReadOnlyList<string> Log(long first)
    {
        List<string> names = [];
        for (ulong i = (ulong)first; Text(LogFunction(i, null)) is { } name; i++) names.Add(name);
        return names;
    }

    public static string? Text(byte* text) => Marshal.PtrToStringUTF8((nint)text);

    private static nint Export(string name) => NativeLibrary.GetExport(Library, $"fakecuda_{name}");

    private static byte[]? Zeroed(string? text) => text is null ? null : Encoding.UTF8.GetBytes(text + '\0');
}

/// <summary>What the launches of a kernel would be charged for; <c>struct ptx_counts</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct PtxCounts
{
    public readonly ulong Launches;
    public readonly ulong Groups;
    public readonly ulong Threads;
    private readonly Classes _warpInstructions;
    public readonly ulong LaneInstructions;
    public readonly ulong LoadRequests;
    public readonly ulong LoadSectors;
    public readonly ulong StoreRequests;
    public readonly ulong StoreSectors;
    public readonly ulong LoadBytes;
    public readonly ulong StoreBytes;
    public readonly ulong SharedRequests;
    public readonly ulong SharedWavefronts;
    public readonly ulong DivergentBranches;

    /// <summary>Instructions of warps, by <c>enum ptx_class</c>.</summary>
    public ulong[] WarpInstructions => ((ReadOnlySpan<ulong>)_warpInstructions).ToArray();

    public ulong Barriers => _warpInstructions[12];

    [InlineArray(16)]
    private struct Classes
    {
        private ulong _first;
    }
}

/// <summary>One argument of a launch; <c>struct fakecuda_argument</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly unsafe struct FakeArgument
{
    private readonly byte* _name;

    /// <summary>Bytes, as the kernel's text declares them.</summary>
    public readonly uint Size;

    private readonly uint _isPointer;

    /// <summary>The bytes handed over, the first one lowest.</summary>
    public readonly ulong Value;

    public string Name => FakeCuda.Text(_name)!;

    public bool IsPointer => _isPointer != 0;
}

/// <summary>A launch as the stand-in saw it; <c>struct fakecuda_launch</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct FakeLaunch
{
    private readonly byte* _function;
    private readonly byte* _source;
    public readonly ulong Stream;
    private fixed uint _grid[3];
    private fixed uint _block[3];
    public readonly uint SharedBytes;
    private readonly uint _argumentCount;
    private ArgumentList _arguments;

    public readonly string Function => FakeCuda.Text(_function)!;

    public readonly string Source => FakeCuda.Text(_source)!;

    /// <summary>The defines ahead of the first file of <see cref="Source"/>.</summary>
    public readonly string Head
    {
        get
        {
            ReadOnlySpan<byte> source = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(_source);
            return Encoding.UTF8.GetString(source[..source.IndexOf("#line"u8)]);
        }
    }

    public readonly (uint X, uint Y, uint Z) Grid => (_grid[0], _grid[1], _grid[2]);

    public readonly (uint X, uint Y, uint Z) Block => (_block[0], _block[1], _block[2]);

    public readonly FakeArgument[] Arguments => ((ReadOnlySpan<FakeArgument>)_arguments)[..(int)_argumentCount].ToArray();

    [InlineArray(96)]
    private struct ArgumentList
    {
        private FakeArgument _first;
    }
}
