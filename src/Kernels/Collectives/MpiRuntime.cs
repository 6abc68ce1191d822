using System.Diagnostics;
using System.Text;
using Kernels.Interop;
using static Kernels.Interop.Mpi;

namespace Kernels;

/// <summary>
/// MPI in this process: found, started once, ended when the process ends in good order. Calls hold <see cref="Calls"/>, so that MPI need
/// not allow several threads at a time.
/// </summary>
internal sealed unsafe class MpiRuntime
{
    public static readonly Lock Calls = new();

    private static readonly TimeSpan AbortLimit = TimeSpan.FromSeconds(1);
    private static readonly Lock Starting = new();
    private static MpiRuntime? _started;

    private readonly List<Func<TimeSpan, bool>> _ended = [];
    private int _groups; // that are in use or failed: nobody can wait for all ranks then

    private MpiRuntime(MpiHandles handles, string version)
    {
        Handles = handles;
        Version = version;
    }

    public MpiHandles Handles { get; }

    /// <summary>Name and version of the library.</summary>
    public string Version { get; }

    /// <summary>How many processes the launcher of this one has started, or null without a launcher.</summary>
    public static int? LaunchedRanks
    {
        get
        {
            foreach (string variable in (ReadOnlySpan<string>)["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
            {
                if (int.TryParse(Environment.GetEnvironmentVariable(variable), out int count)) return count;
            }

            return null;
        }
    }

    /// <summary>Starts MPI, unless somebody has.</summary>
    /// <exception cref="DeviceNotAvailableException">There is no library, it is unknown, or another than the launcher's.</exception>
    /// <exception cref="CollectiveException">It does not start within the limit, or fails.</exception>
    public static MpiRuntime Start(TimeSpan limit)
    {
        lock (Starting)
        {
            if (_started is not null) return _started;
            SignalHandlers handlers = new();
            try
            {
                return _started = StartNow(limit);
            }
            finally
            {
                handlers.Restore();
            }
        }
    }

    /// <summary>A group began.</summary>
    public void Begin() => Interlocked.Increment(ref _groups);

    /// <summary>A group ended in good order.</summary>
    /// <param name="hasEnded">Waits until it has done so on all ranks; false when that takes longer than the limit.</param>
    public void End(Func<TimeSpan, bool> hasEnded)
    {
        lock (_ended) _ended.Add(hasEnded);
        Interlocked.Decrement(ref _groups);
    }

    /// <summary>Asks until the request is done; true when it is not within the limit.</summary>
    /// <param name="request">What is waited for.</param>
    /// <param name="start">When the waiting began.</param>
    /// <param name="limit">How long to wait.</param>
    /// <param name="busy">How long to ask without a pause.</param>
    /// <param name="status">How the request ended.</param>
    public bool Poll(nint* request, long start, TimeSpan limit, TimeSpan busy, out int status)
    {
        while (true)
        {
            int done = 0;
            lock (Calls) status = MPI_Test(request, &done, Handles.StatusIgnore);
            if (done != 0 || status != Success) return false;
            TimeSpan waited = Stopwatch.GetElapsedTime(start);
            if (waited > limit) return true;
            if (waited < busy)
                Thread.Yield(); // other ranks may need this processor
            else
                Thread.Sleep(1);
        }
    }

    /// <summary>Ends all processes, and does not return.</summary>
    public void Abort(nint communicator)
    {
        // MPICH ends the process from within, for which the runtime may wait for ever; a killed one is a failure to every launcher.
        RunWithin(AbortLimit, () =>
        {
            lock (Calls) _ = MPI_Abort(communicator, 1);
        });
        Process.GetCurrentProcess().Kill();
        Thread.Sleep(Timeout.Infinite);
    }

    public void ThrowIfFailed(int status, string call)
    {
        if (status != Success) throw new CollectiveException($"{call} failed: {ErrorText(status)}", null, ErrorText(status), call);
    }

    /// <summary>What a status means, with its number.</summary>
    public static string ErrorText(int status)
    {
        byte* text = stackalloc byte[8192];
        int length = 0;
        bool known = MPI_Error_string(status, text, &length) == Success;
        return known ? $"{Encoding.UTF8.GetString(text, length).Trim()} ({status})" : $"status {status}";
    }

    private static MpiRuntime StartNow(TimeSpan limit)
    {
        if (!NativeLibraries.TryLoad(NativeLibraries.Mpi, out string? reason)) throw new DeviceNotAvailableException($"MPI: {reason}");
        string path = NativeLibraries.PathOf(NativeLibraries.Mpi)!;
        byte* text = stackalloc byte[8192];
        int length = 0;
        string version = MPI_Get_library_version(text, &length) == Success ? Encoding.UTF8.GetString(text, length) : "";
        MpiHandles handles = MpiHandles.Of(NativeLibraries.Load(NativeLibraries.Mpi), path, version)
            ?? throw new DeviceNotAvailableException(
                $"MPI: '{path}' is neither Open MPI, nor of MPICH's binary interface, nor libmpi_abi; it says '{FirstLine(version)}'.");
        MpiRuntime runtime = new(handles, FirstLine(version));
        int flag;
        MPI_Finalized(&flag);
        if (flag != 0) throw new InvalidOperationException("MPI: it was ended in this process, and cannot be started again.");
        MPI_Initialized(&flag);
        if (flag != 0)
            CheckThreads(runtime);
        else
            Initialize(runtime, limit);
        int count;
        runtime.ThrowIfFailed(MPI_Comm_size(handles.World, &count), nameof(MPI_Comm_size));
        if (LaunchedRanks is int launched && launched != count)
        {
            throw new DeviceNotAvailableException(
                $"MPI: the launcher started {launched} processes, and {runtime.Version} in '{path}' sees {count}: it is not the launcher's "
                + "library. KERNELS_LIBMPI can give the full path of the right one.");
        }

        return runtime;
    }

    /// <summary>Another part of the process has started MPI and will end it.</summary>
    private static void CheckThreads(MpiRuntime runtime)
    {
        int provided;
        runtime.ThrowIfFailed(MPI_Query_thread(&provided), nameof(MPI_Query_thread));
        if (provided < runtime.Handles.ThreadSerialized)
            throw new InvalidOperationException("MPI: it was started without MPI_THREAD_SERIALIZED, which this library needs.");
    }

    private static void Initialize(MpiRuntime runtime, TimeSpan limit)
    {
        int status = 0, provided = 0;
        bool ended = RunWithin(limit, () =>
        {
            int got = 0;
            status = MPI_Init_thread(0, 0, runtime.Handles.ThreadSerialized, &got);
            provided = got;
        });
        if (!ended)
        {
            throw new CollectiveException(
                $"MPI_Init_thread of {runtime.Version} did not return within {limit.TotalSeconds:0.###} s: a rank did not start.",
                call: nameof(MPI_Init_thread));
        }

        runtime.ThrowIfFailed(status, nameof(MPI_Init_thread));
        if (provided < runtime.Handles.ThreadSerialized)
            throw new DeviceNotAvailableException($"MPI: {runtime.Version} offers no MPI_THREAD_SERIALIZED, which this library needs.");
        AppDomain.CurrentDomain.ProcessExit += (_, _) => runtime.Exit(limit);
    }

    /// <summary>Ends MPI. A process that exits without this is a failure to most launchers, which end the others.</summary>
    private void Exit(TimeSpan limit)
    {
        if (Volatile.Read(ref _groups) == 0 && _ended.TrueForAll(hasEnded => hasEnded(limit))) RunWithin(limit, () => MPI_Finalize());
    }

    /// <summary>Calls that wait for other ranks cannot be broken off: their thread is left behind then.</summary>
    private static bool RunWithin(TimeSpan limit, Action call)
    {
        Thread thread = new(() => call()) { IsBackground = true, Name = "MPI" };
        thread.Start();
        return thread.Join(limit);
    }

    private static string FirstLine(string version)
    {
        string line = version.Split('\n')[0].Split(',')[0].Replace("Version:", "", StringComparison.Ordinal);
        return string.Join(' ', line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    }
}
